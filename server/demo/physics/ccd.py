"""The CCD cameras: bias, noise, hot pixels, saturation.

`frames` exposes a camera twice, to the light and to none: the signal and its background, with noise and hot pixels of
their own, so that a uint16 subtraction wraps wherever the light is faint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shotdap.server.demo.physics.profiles import Light, as_light

Frame: TypeAlias = NDArray[np.uint16]

_HOTTEST: Final = 14_000  # counts; real pairs of frames differ by up to 13,832
_HOT_TAIL: Final = 1.3  # exponent of the hot pixels' Pareto distribution


@dataclass(frozen=True)
class Camera:
    """A CCD: ``shape`` is the stored frame, ``active`` the part of it that sees light; the rest is overscan."""

    shape: tuple[int, int]
    active: tuple[int, int]
    bias: float  # counts of an unexposed pixel
    noise: float  # counts, read noise (RMS)
    gain: float  # counts per photoelectron
    dark: float = 2.0  # counts of dark current, in the active area only
    pattern: float = 0.3  # counts, column to column (RMS), the same in every frame
    hot: float = 0.008  # fraction of the pixels hit, each frame anew
    heat: float = 15.0  # counts of the faintest hit
    full: int = 65_535  # counts at which it saturates


ASBO_CAMERA: Final = Camera((1100, 1100), (1024, 1049), bias=375, noise=3.5, gain=3)
SOP_CAMERA: Final = Camera((1100, 1100), (1024, 1049), bias=578, noise=5, gain=5)
P510_CAMERA: Final = Camera((512, 548), (512, 524), bias=688, noise=8, gain=10, hot=0.01, heat=25)
EPW_CAMERA: Final = Camera((1024, 1024), (1024, 1024), bias=606, noise=6, gain=12, pattern=3, hot=0.0005)
PTD_CAMERA: Final = Camera((341, 512), (341, 512), bias=270, noise=75, gain=8, hot=0.05, heat=200, full=4095)


def frames(rng: np.random.Generator, camera: Camera, light: Light) -> Frame:
    """Take a shot and its background: uint16 ``[2, rows, columns]``."""
    pattern = np.float32(camera.pattern) * rng.standard_normal(camera.shape[1], np.float32)
    unlit = np.zeros_like(light)
    return np.stack([_expose(rng, camera, exposure, pattern) for exposure in (light, unlit)])


def expose(rng: np.random.Generator, camera: Camera, light: Light) -> Frame:
    """Take one frame: uint16 ``[rows, columns]``."""
    return _expose(rng, camera, light, np.zeros(camera.shape[1], np.float32))


def _expose(rng: np.random.Generator, camera: Camera, light: Light, pattern: Light) -> Frame:
    counts = np.float32(camera.noise) * rng.standard_normal(camera.shape, np.float32)
    counts += np.float32(camera.bias) + pattern
    counts[: camera.active[0], : camera.active[1]] += _detected(rng, camera, light + np.float32(camera.dark))
    _hit(rng, camera, counts)
    return np.asarray(np.clip(np.rint(counts), 0, camera.full), np.uint16)


def _detected(rng: np.random.Generator, camera: Camera, light: Light) -> Light:
    """Add shot noise, with the normal law for Poisson's: the variance in counts is the gain times the mean."""
    return as_light(light + np.sqrt(np.float32(camera.gain) * light) * rng.standard_normal(light.shape, np.float32))


def _hit(rng: np.random.Generator, camera: Camera, counts: Light) -> None:
    """Add hot pixels, most of them faint and a few very bright, in place."""
    hits = int(camera.hot * counts.size)
    where = rng.integers(0, counts.size, hits)
    heat = camera.heat * (1 + rng.pareto(_HOT_TAIL, hits))
    counts.reshape(-1)[where] += np.minimum(heat, _HOTTEST).astype(np.float32)
