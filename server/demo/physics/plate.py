"""Particles on an image plate: a penumbral image, which fades until a scanner reads it on a logarithmic scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shotdap.server.demo.physics.profiles import Light, Profile, as_light, columns, rows, step

Raw: TypeAlias = NDArray[np.uint16]

PLATE: Final = (400, 800)  # rows and columns: 20 mm × 20 mm
PIXEL: Final = (50.0, 25.0)  # um, from row to row and from column to column: not square
_LEVEL: Final = 6.0  # PSL a pixel inside the penumbra
_FLOOR: Final = 0.1  # PSL a pixel outside
_RADIUS: Final = 5000.0  # um, of the aperture, magnified
_PENUMBRA: Final = 400.0  # um, of the source, magnified
_GRAIN: Final = 0.002  # PSL, the variance over the mean: what one particle leaves on a pixel


@dataclass(frozen=True)
class Scanner:
    """An image plate scanner, whose 16 bits span so many decades (its latitude) on a logarithmic scale.

    The formula is Fuji's: PSL = (R/100)² (4000/S) 10^(L (QL/(2^G - 1) - 1/2)), QL being the raw value. R is what the
    scanner was set to, the finer of the two distances between pixels.
    """

    resolution: float = 25.0  # R, um
    sensitivity: float = 4000.0  # S
    latitude: float = 5.0  # L, decades
    bits: int = 16  # G

    @property
    def _full(self) -> int:
        return (1 << self.bits) - 1

    @property
    def _middle(self) -> float:
        """The PSL in the middle of the scale."""
        return (self.resolution / 100) ** 2 * 4000 / self.sensitivity

    def psl(self, raw: NDArray[Any]) -> Profile:
        """Give the photostimulated luminescence (PSL) of raw values: float64."""
        return np.asarray(self._middle * 10 ** (self.latitude * (np.asarray(raw) / self._full - 0.5)))

    def raw(self, psl: Profile) -> Raw:
        """Give the raw values nearest to a PSL, the ends of the scale beyond it: the inverse of `psl`."""
        dimmest = self._middle * 10 ** (-self.latitude / 2)
        decades = np.log10(np.maximum(psl, dimmest) / self._middle)
        return np.asarray(np.clip(np.rint(self._full * (decades / self.latitude + 0.5)), 0, self._full), np.uint16)


SCANNER: Final = Scanner()


def fading(seconds: float) -> float:
    """Give the part of the PSL that is left so many seconds after the exposure: 1 at once, 0.16 in the end.

    f(t) = 0.436 exp(-t/1134) + 0.403 exp(-t/98500) + 0.161, as the laboratory's analysis has it.
    """
    return float(0.436 * np.exp(-seconds / 1134) + 0.403 * np.exp(-seconds / 98_500) + 0.161)


def plate_exposure() -> Light:
    """Give what the plate held when it was exposed, without noise: float32 ``[400, 800]`` PSL a pixel.

    It is the penumbral image of a round aperture: flat inside, with an edge as soft as the source is large.
    """
    y, x = (rows(PLATE) - PLATE[0] / 2) * PIXEL[0], (columns(PLATE) - PLATE[1] / 2) * PIXEL[1]
    return as_light(_FLOOR + _LEVEL * step(as_light(_RADIUS - np.hypot(y, x)), _PENUMBRA))


def scan(rng: np.random.Generator, delay: float) -> Raw:
    """Scan the plate so many seconds after its exposure: uint16 raw values."""
    left = fading(delay) * plate_exposure()
    return SCANNER.raw(left + np.sqrt(_GRAIN * left) * rng.standard_normal(PLATE, np.float32))
