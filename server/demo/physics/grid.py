"""A grid of bright dots, seen through optics that warp it: for finding the map that straightens a picture."""

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
class Distortion:
    """A polynomial of third order from where a point is (pixels) to where the camera sees it (pixels).

    The ten coefficients of each axis are those of 1, x, y, x², xy, y², x³, x²y, xy², y³, x being the column and y the
    row, both counted from 0: the order of scikit-image's ``PolynomialTransform``, whose parameters they are.
    """

    column_coefficients: tuple[float, ...]
    row_coefficients: tuple[float, ...]

    def __call__(self, column: Profile, row: Profile) -> tuple[Profile, Profile]:
        """Give the column and the row at which the camera sees points of the undistorted picture."""
        terms = [column ** (order - power) * row**power for order in range(4) for power in range(order + 1)]
        seen = np.tensordot(np.array([self.column_coefficients, self.row_coefficients]), np.array(terms), axes=1)
        return seen[0], seen[1]


DISTORTION: Final = Distortion(
    column_coefficients=(12.0, 0.985, 0.012, 2.0e-5, -1.2e-5, 8.0e-6, -1.5e-8, 6.0e-9, -1.0e-8, 4.0e-9),
    row_coefficients=(-6.0, -0.010, 1.012, 9.0e-6, 1.5e-5, -2.2e-5, 5.0e-9, -1.1e-8, 7.0e-9, -9.0e-9),
)


@dataclass(frozen=True)
class Grid:
    """A square grid of dots: where they are, in pixels of the undistorted picture."""

    first_dot: float = 50.0  # row and column of the first dot
    pitch: float = 48.0
    dots_per_row: int = 20  # in a row, and rows

    def compute_points(self) -> tuple[Profile, Profile]:
        """Give the columns and the rows of all dots, row by row."""
        along = self.first_dot + self.pitch * np.arange(self.dots_per_row)
        column, row = np.meshgrid(along, along)
        return column.ravel(), row.ravel()


GRID: Final = Grid()


def draw_dots(camera: Camera) -> Light:
    """Light the dots of `GRID` where `DISTORTION` shows them."""
    light = np.full(camera.active_shape, _BACKGROUND_COUNTS, np.float32)
    for column, row in zip(*DISTORTION(*GRID.compute_points()), strict=True):
        window, distance = cut_window(camera.active_shape, row, column, reach=6 * _DOT_WIDTH)
        light[window] += np.float32(_DOT_COUNTS) * draw_gaussian(distance, 0, _DOT_WIDTH)
    return light
