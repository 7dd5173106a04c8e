"""The uneven sensitivity of a camera: vignetting, two amplifiers, its columns, and dust.

A flat field corrects it: the shot and the lamp are recorded with the same map, so that it cancels in their quotient.
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
_AMPLIFIER_DIFFERENCE: Final = 0.06  # relative excess of the second amplifier's gain
_COLUMN_VARIATION: Final = 0.01  # RMS, from one column to the next
_SPECK_COUNT: Final = 24
_CAMERAS: Final[Mapping[str, Camera]] = {"ASBO1": ASBO_CAMERA, "ASBO2": ASBO_CAMERA, "SOP": SOP_CAMERA}


def compute_sensitivity(facility: str, diagnostic: str) -> Light:
    """Map the relative sensitivity of a diagnostic's camera: float32 ``[rows, columns]`` of its active area, mean 1.

    It is a property of the camera: neither the seed of an archive nor the shot changes it.

    Raises:
        LookupError: the diagnostic's camera has an even sensitivity; only ASBO1, ASBO2 and SOP do not.
    """
    camera = _CAMERAS[diagnostic]
    rng = np.random.default_rng(zlib.crc32(f"{facility}/{diagnostic}".encode()))
    height, width = camera.active_shape
    y, x = number_rows(camera.active_shape), number_columns(camera.active_shape)
    # Vignetting darkens the corners, by the law of cos⁴ of the angle off the axis.
    distance_squared = np.square(y - height / 2) + np.square(x - width / 2)
    vignetting = as_light(np.square(1 / (1 + distance_squared / _FOCAL_DISTANCE**2)))
    # Two amplifiers read one half of the stored frame each, and each column has its own gain.
    amplifiers = 1 + _AMPLIFIER_DIFFERENCE * (x >= camera.shape[1] // 2)
    sensitivity = vignetting * as_light(amplifiers * (1 + _COLUMN_VARIATION * rng.standard_normal(x.shape)))
    # Dust casts shadows: discs, because the specks are out of focus.
    for _ in range(_SPECK_COUNT):
        row, column, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 16)
        window, distance = cut_window((height, width), row, column, 2 * radius)
        sensitivity[window] *= 1 - rng.uniform(0.05, 0.25) * draw_super_gaussian(distance, 0, radius)
    return as_light(sensitivity / sensitivity.mean())


def draw_lamp(camera: Camera) -> Light:
    """Return uniform light on the whole active area."""
    return np.full(camera.active_shape, LAMP_COUNTS, np.float32)
