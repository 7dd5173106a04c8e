"""The CCD cameras: bias, noise, hot pixels, saturation.

`take_frames` exposes a camera twice, with the light and without: the signal and its background. Each has its own noise
and hot pixels, so that a uint16 subtraction wraps wherever the light is faint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shotdap.server.demo.physics.profiles import Light, as_light

_Frame: TypeAlias = NDArray[np.uint16]

_MAX_HOT_COUNTS: Final = 14_000  # counts; real pairs of frames differ by up to 13,832
_HOT_TAIL: Final = 1.3  # exponent of the hot pixels' Pareto distribution


@dataclass(frozen=True)
class Camera:
    """A CCD: ``shape`` is the stored frame, ``active`` the part of it that sees light; the rest is overscan."""

    shape: tuple[int, int]
    active_shape: tuple[int, int]
    bias: float  # counts of an unexposed pixel
    read_noise: float  # counts, read noise (RMS)
    gain: float  # counts per photoelectron
    dark_counts: float = 2.0  # counts of dark current, in the active area only
    pattern_noise: float = 0.3  # counts, column to column (RMS), the same in every frame
    hot_fraction: float = 0.008  # fraction of the pixels hit, each frame anew
    hot_counts: float = 15.0  # counts of the faintest hit
    saturation: int = 65_535  # counts at which it saturates


ASBO_CAMERA: Final = Camera((1100, 1100), (1024, 1049), bias=375, read_noise=3.5, gain=3)
SOP_CAMERA: Final = Camera((1100, 1100), (1024, 1049), bias=578, read_noise=5, gain=5)
P510_CAMERA: Final = Camera((512, 548), (512, 524), bias=688, read_noise=8, gain=10, hot_fraction=0.01, hot_counts=25)
EPW_CAMERA: Final = Camera(
    (1024, 1024), (1024, 1024), bias=606, read_noise=6, gain=12, pattern_noise=3, hot_fraction=0.0005
)
PTD_CAMERA: Final = Camera(
    (341, 512), (341, 512), bias=270, read_noise=75, gain=8, hot_fraction=0.05, hot_counts=200, saturation=4095
)


def take_frames(rng: np.random.Generator, camera: Camera, light: Light) -> _Frame:
    """Take a shot and its background: uint16 ``[2, rows, columns]``."""
    pattern = np.float32(camera.pattern_noise) * rng.standard_normal(camera.shape[1], np.float32)
    unlit = np.zeros_like(light)
    return np.stack([_expose_frame(rng, camera, exposure, pattern) for exposure in (light, unlit)])


def take_frame(rng: np.random.Generator, camera: Camera, light: Light) -> _Frame:
    """Take one frame: uint16 ``[rows, columns]``."""
    return _expose_frame(rng, camera, light, np.zeros(camera.shape[1], np.float32))


def _expose_frame(rng: np.random.Generator, camera: Camera, light: Light, pattern: Light) -> _Frame:
    counts = np.float32(camera.read_noise) * rng.standard_normal(camera.shape, np.float32)
    counts += np.float32(camera.bias) + pattern
    active = light + np.float32(camera.dark_counts)
    # Shot noise, Poisson's law approximated by the normal one: the variance in counts is the gain times the mean.
    noise = np.sqrt(np.float32(camera.gain) * active) * rng.standard_normal(light.shape, np.float32)
    counts[: camera.active_shape[0], : camera.active_shape[1]] += as_light(active + noise)
    # Hot pixels, most of them faint and a few very bright.
    hits = int(camera.hot_fraction * counts.size)
    where = rng.integers(0, counts.size, hits)
    heat = camera.hot_counts * (1 + rng.pareto(_HOT_TAIL, hits))
    counts.reshape(-1)[where] += np.minimum(heat, _MAX_HOT_COUNTS).astype(np.float32)
    return np.asarray(np.clip(np.rint(counts), 0, camera.saturation), np.uint16)
