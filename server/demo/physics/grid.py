"""A grid of bright dots, recorded through distorting optics, to find the map that corrects a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from shotdap.server.demo.physics.ccd import Camera
from shotdap.server.demo.physics.profiles import Light, Profile, cut_window, draw_gaussian

_DOT_WIDTH: Final = 3.0  # pixels, the standard deviation of a dot
_DOT_COUNTS: Final = 8000.0  # counts at its peak
_BACKGROUND_COUNTS: Final = 120.0  # counts between the dots


@dataclass(frozen=True)
class _Distortion:
    """A polynomial of third order from a point's true position (pixels) to its position in the picture (pixels).

    The ten coefficients of each axis are those of 1, x, y, x², xy, y², x³, x²y, xy², y³, x being the column and y the
    row, both counted from 0: the order of scikit-image's ``PolynomialTransform``, whose parameters they are.
    """

    column_coefficients: tuple[float, ...]
    row_coefficients: tuple[float, ...]

    def __call__(self, column: Profile, row: Profile) -> tuple[Profile, Profile]:
        """Return the columns and rows in the picture of points of the undistorted picture."""
        terms = [column ** (order - power) * row**power for order in range(4) for power in range(order + 1)]
        positions = np.tensordot(np.array([self.column_coefficients, self.row_coefficients]), np.array(terms), axes=1)
        return positions[0], positions[1]


DISTORTION: Final = _Distortion(
    column_coefficients=(12.0, 0.985, 0.012, 2.0e-5, -1.2e-5, 8.0e-6, -1.5e-8, 6.0e-9, -1.0e-8, 4.0e-9),
    row_coefficients=(-6.0, -0.010, 1.012, 9.0e-6, 1.5e-5, -2.2e-5, 5.0e-9, -1.1e-8, 7.0e-9, -9.0e-9),
)


@dataclass(frozen=True)
class Grid:
    """A square grid of dots: their positions in pixels of the undistorted picture."""

    first_dot: float = 50.0  # row and column of the first dot
    pitch: float = 48.0
    dots_per_row: int = 20  # and as many rows

    def compute_points(self) -> tuple[Profile, Profile]:
        """Return the columns and the rows of all dots, row by row."""
        along = self.first_dot + self.pitch * np.arange(self.dots_per_row)
        column, row = np.meshgrid(along, along)
        return column.ravel(), row.ravel()


GRID: Final = Grid()


def draw_dots(camera: Camera) -> Light:
    """Return the light of the dots of `GRID` at the positions that `DISTORTION` gives."""
    light = np.full(camera.active_shape, _BACKGROUND_COUNTS, np.float32)
    for column, row in zip(*DISTORTION(*GRID.compute_points()), strict=True):
        window, distance = cut_window(camera.active_shape, row, column, reach=6 * _DOT_WIDTH)
        light[window] += np.float32(_DOT_COUNTS) * draw_gaussian(distance, 0, _DOT_WIDTH)
    return light
