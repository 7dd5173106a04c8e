"""The time axis of streak cameras, along their columns, and the fiducials that measure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from shotdap.server.demo.physics.ccd import P510_CAMERA, SOP_CAMERA, Camera
from shotdap.server.demo.physics.profiles import (
    Light,
    Profile,
    as_light,
    draw_gaussian,
    number_columns,
    number_rows,
    sum_gaussians,
)

FIDUCIAL_PERIOD: Final = 0.54824  # ns between the peaks of OMEGA's fiducial laser
COMB_PERIOD: Final = 0.5  # ns between those of the comb generator of a ROSS camera, which runs at 2 GHz
_FIDUCIAL_COUNT: Final = 8  # peaks in one train of the fiducial laser


@dataclass(frozen=True)
class Sweep:
    """The time axis of a streak camera along its columns: t = a x² + b x, nearly but not quite linear.

    `window` is the time (ns) across `column_count` columns; `curvature` is the quadratic part as a fraction of it.
    """

    window: float
    column_count: int
    curvature: float = 0.06

    def get_time(self, column: Profile) -> Profile:
        """Return the time (ns) at a column."""
        u = np.asarray(column) / self.column_count
        return np.asarray(self.window * (u + self.curvature * u * (u - 1)))

    def get_column(self, time: Profile) -> Profile:
        """Return the column at a time (ns): the inverse of `get_time`."""
        linear = 1 - self.curvature
        root = np.sqrt(linear**2 + 4 * self.curvature * time / self.window)
        return np.asarray(self.column_count * (root - linear) / (2 * self.curvature))

    def get_fiducial_columns(self) -> Profile:
        """Return the columns of a train of fiducials, the first one a period after the window's start."""
        return self.get_peak_columns(FIDUCIAL_PERIOD)[:_FIDUCIAL_COUNT]

    def get_comb_columns(self) -> Profile:
        """Return the columns of every peak of the camera's comb, the first one a period after the window's start."""
        return self.get_peak_columns(COMB_PERIOD)

    def get_peak_columns(self, period: float) -> Profile:
        """Return the columns of peaks of any period (ns), all over the window."""
        return self.get_column(np.arange(period, self.window, period))


# Nominal windows (ns) of the SOP's sweep speeds 1-4, the ``SweepSpeed`` of its attributes.
SWEEPS: Final[Mapping[int, Sweep]] = {
    speed: Sweep(window, SOP_CAMERA.active_shape[1]) for speed, window in {1: 96.0, 2: 46.0, 3: 17.0, 4: 6.0}.items()
}
P510_SWEEP: Final = Sweep(7.4, P510_CAMERA.active_shape[1])  # 14 ps a column


def draw_edge_peaks(camera: Camera, centres: Profile, row: float, *, height: float, width: float = 2.5) -> Light:
    """Return the light of peaks along one edge of the picture."""
    y, x = number_rows(camera.active_shape), number_columns(camera.active_shape)
    return as_light(height * draw_gaussian(y, row, 4) * sum_gaussians(x, centres, width))
