"""How unevenly a camera sees: vignetting, two amplifiers, its columns, and dust.

A flat field is for this: the shot and the lamp are seen through the same map, so that their quotient is without it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from shotdap.server.demo.physics.ccd import ASBO_CAMERA, SOP_CAMERA, Camera
from shotdap.server.demo.physics.profiles import (
    Light,
    as_light,
    cut_window,
    draw_super_gaussian,
    number_columns,
    number_rows,
)

LAMP_COUNTS: Final = 20_000.0  # counts of a uniform lamp, about a third of what the camera holds
_FOCAL_DISTANCE: Final = 1600.0  # pixels, the distance from the lens that vignettes
_AMPLIFIER_DIFFERENCE: Final = 0.06  # by how much the second amplifier gains more than the first
_COLUMN_VARIATION: Final = 0.01  # RMS, from one column to the next
_SPECK_COUNT: Final = 24


_CAMERAS: Final[Mapping[str, Camera]] = {"ASBO1": ASBO_CAMERA, "ASBO2": ASBO_CAMERA, "SOP": SOP_CAMERA}


def compute_sensitivity(facility: str, diagnostic: str) -> Light:
    """Map the relative sensitivity of a diagnostic's camera: float32 ``[rows, columns]`` of its active area, mean 1.

    It belongs to the camera: neither the seed of an archive nor the shot changes it.

    Raises:
        LookupError: the diagnostic's camera sees evenly; only ASBO1, ASBO2 and SOP do not.
    """
    camera = _CAMERAS[diagnostic]
    rng = np.random.default_rng(zlib.crc32(f"{facility}/{diagnostic}".encode()))
    seen = _compute_vignetting(camera) * _compute_readout_gain(rng, camera)
    _add_dust_shadows(rng, seen)
    return as_light(seen / seen.mean())


def draw_lamp(camera: Camera) -> Light:
    """Light the whole active area alike."""
    return np.full(camera.active_shape, LAMP_COUNTS, np.float32)


def _compute_vignetting(camera: Camera) -> Light:
    """Darken the corners, by the law of cos⁴ of the angle off the axis."""
    height, width = camera.active_shape
    off = np.square(number_rows(camera.active_shape) - height / 2) + np.square(
        number_columns(camera.active_shape) - width / 2
    )
    return as_light(np.square(1 / (1 + off / _FOCAL_DISTANCE**2)))


def _compute_readout_gain(rng: np.random.Generator, camera: Camera) -> Light:
    """Read the two halves of the stored frame by an amplifier each, and each column a little differently."""
    x = number_columns(camera.active_shape)
    return as_light(
        (1 + _AMPLIFIER_DIFFERENCE * (x >= camera.shape[1] // 2))
        * (1 + _COLUMN_VARIATION * rng.standard_normal(x.shape))
    )


def _add_dust_shadows(rng: np.random.Generator, seen: Light) -> None:
    """Cast the shadows of dust, in place: discs, since the specks are out of focus."""
    height, width = seen.shape
    for _ in range(_SPECK_COUNT):
        row, column, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 16)
        window, distance = cut_window((height, width), row, column, 2 * radius)
        seen[window] *= 1 - rng.uniform(0.05, 0.25) * draw_super_gaussian(distance, 0, radius)
