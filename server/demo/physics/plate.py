"""Particles on an image plate: a penumbral image, which fades until a scanner reads it on a logarithmic scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shotdap.server.demo.physics.profiles import Light, Profile, as_light, number_columns, number_rows, smooth_step

_RawScan: TypeAlias = NDArray[np.uint16]

_PLATE_SHAPE: Final = (400, 800)  # rows and columns: 20 mm × 20 mm
PIXEL_SIZE: Final = (50.0, 25.0)  # um, from row to row and from column to column: not square
_INSIDE_PSL: Final = 6.0  # PSL a pixel inside the penumbra
_OUTSIDE_PSL: Final = 0.1  # PSL a pixel outside
_APERTURE_RADIUS: Final = 5000.0  # um, of the aperture, magnified
_PENUMBRA_WIDTH: Final = 400.0  # um, of the source, magnified
_GRAIN: Final = 0.002  # PSL, the variance over the mean: what one particle leaves on a pixel


@dataclass(frozen=True)
class Scanner:
    """An image plate scanner, whose 16 bits span some decades (its latitude) on a logarithmic scale.

    The formula is Fuji's: PSL = (R/100)² (4000/S) 10^(L (QL/(2^G - 1) - 1/2)), QL being the raw value. R is the
    scanner's setting, the finer of the two distances between pixels.
    """

    resolution: float = 25.0  # R, um
    sensitivity: float = 4000.0  # S
    latitude: float = 5.0  # L, decades
    bits: int = 16  # G

    @property
    def _max_raw(self) -> int:
        return (1 << self.bits) - 1

    @property
    def _middle_psl(self) -> float:
        """The PSL in the middle of the scale."""
        return (self.resolution / 100) ** 2 * 4000 / self.sensitivity

    def compute_psl(self, raw: NDArray[Any]) -> Profile:
        """Return the photostimulated luminescence (PSL) of raw values: float64."""
        return np.asarray(self._middle_psl * 10 ** (self.latitude * (np.asarray(raw) / self._max_raw - 0.5)))

    def compute_raw(self, psl: Profile) -> _RawScan:
        """Return the raw values nearest to a PSL, clipped to the scale: the inverse of `compute_psl`."""
        dimmest = self._middle_psl * 10 ** (-self.latitude / 2)
        decades = np.log10(np.maximum(psl, dimmest) / self._middle_psl)
        return np.asarray(
            np.clip(np.rint(self._max_raw * (decades / self.latitude + 0.5)), 0, self._max_raw), np.uint16
        )


SCANNER: Final = Scanner()


def compute_fading(seconds: float) -> float:
    """Return the fraction of the PSL that is left some seconds after the exposure: 1 at once, 0.16 in the end.

    f(t) = 0.436 exp(-t/1134) + 0.403 exp(-t/98500) + 0.161, as in the laboratory's analysis.
    """
    return float(0.436 * np.exp(-seconds / 1134) + 0.403 * np.exp(-seconds / 98_500) + 0.161)


def draw_plate_exposure() -> Light:
    """Return the exposure of the plate without noise: float32 ``[400, 800]`` PSL a pixel.

    It is the penumbral image of a round aperture: flat inside, with an edge as wide as the source.
    """
    y = (number_rows(_PLATE_SHAPE) - _PLATE_SHAPE[0] / 2) * PIXEL_SIZE[0]
    x = (number_columns(_PLATE_SHAPE) - _PLATE_SHAPE[1] / 2) * PIXEL_SIZE[1]
    return as_light(
        _OUTSIDE_PSL + _INSIDE_PSL * smooth_step(as_light(_APERTURE_RADIUS - np.hypot(y, x)), _PENUMBRA_WIDTH)
    )


def scan_plate(rng: np.random.Generator, delay: float) -> _RawScan:
    """Scan the plate some seconds after its exposure: uint16 raw values."""
    left = compute_fading(delay) * draw_plate_exposure()
    return SCANNER.compute_raw(left + np.sqrt(_GRAIN * left) * rng.standard_normal(_PLATE_SHAPE, np.float32))
