"""X rays on film, scanned by a microdensitometer: pinhole images of an implosion, and the step wedge of the same film.

Exposures are relative: 1 is the exposure through the clear end of the wedge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shotdap.server.demo.physics.profiles import (
    Light,
    Profile,
    as_light,
    cut_window,
    draw_super_gaussian,
    number_columns,
    number_rows,
    smooth_step,
)

Scan: TypeAlias = NDArray[np.int16]

COUNTS_PER_OD: Final = 800  # of the scanner; 4095, its highest count, is an optical density of 5.1
PIXEL_SIZE: Final = 40.0  # um, from one sample of the scanner to the next

FOG: Final = 0.22  # OD of unexposed film
_DENSITY_RANGE: Final = 3.1  # OD, from the fog to the blackest film
_MIDDLE_LOG_EXPOSURE: Final = -1.2  # log10 of the exposure at half of the range
_STEEPNESS: Final = 1.1  # per decade: the slope in the middle (gamma) is ln(10)/4 × steepness × range = 1.96

_GRAIN: Final = 0.012  # OD (RMS) at a density of 1; it grows as the root of the density (Selwyn)
_SCANNER_NOISE: Final = 1.5  # counts (RMS)


def compute_film_density(log_exposure: Profile) -> Profile:
    """Return the optical density of the film for the log10 of a relative exposure: its Hurter-Driffield curve.

    The curve is a logistic function over the fog: toe below -2.2, straight in the middle, shoulder above -0.2.
    """
    return np.asarray(
        FOG + _DENSITY_RANGE / (1 + 10 ** (_STEEPNESS * (_MIDDLE_LOG_EXPOSURE - np.asarray(log_exposure))))
    )


def compute_film_log_exposure(density: Profile) -> Profile:
    """Return the log10 of the relative exposure for an optical density: the inverse of `compute_film_density`.

    It is NaN where no exposure gives the density: at the fog and below, and at the blackest and above.
    """
    blackened = (np.asarray(density) - FOG) / _DENSITY_RANGE
    possible = np.where((blackened > 0) & (blackened < 1), blackened, np.nan)
    return np.asarray(_MIDDLE_LOG_EXPOSURE + np.log10(possible / (1 - possible)) / _STEEPNESS)


def scan_film(rng: np.random.Generator, exposure: Light) -> Scan:
    """Expose, develop and scan a film: int16 counts of the shape of the exposure, `COUNTS_PER_OD` to a density of 1."""
    density = as_light(compute_film_density(np.log10(exposure)))
    density += np.float32(_GRAIN) * np.sqrt(density) * rng.standard_normal(density.shape, np.float32)
    counts = COUNTS_PER_OD * density + np.float32(_SCANNER_NOISE) * rng.standard_normal(density.shape, np.float32)
    return np.asarray(np.rint(counts), np.int16)


@dataclass(frozen=True)
class Wedge:
    """The scan of a step wedge: its steps side by side along the columns, dark lines between, unexposed margins."""

    step_count: int = 21
    step_density: float = 0.15  # OD of the wedge itself, from one step to the next
    step_width: int = 40  # columns of a step
    line_width: int = 4  # columns of the line between two steps
    margin: int = 20  # columns before the first step and after the last
    height: int = 120  # rows

    @property
    def shape(self) -> tuple[int, int]:
        """The rows and columns of the scan."""
        return self.height, 2 * self.margin + self.step_count * (self.step_width + self.line_width) - self.line_width

    def compute_log_exposure(self) -> Profile:
        """Return log10 of the relative exposure under each step, the first one exposed most: -0.15 k, k = 0 … 20."""
        return -self.step_density * np.arange(self.step_count)

    def get_step_columns(self, k: int) -> slice:
        """Return the columns of a step, without the lines on either side."""
        start = self.margin + k * (self.step_width + self.line_width)
        return slice(start, start + self.step_width)

    def compute_exposure(self) -> Light:
        """Return the exposure through the wedge; the edges of a step are as wide as the scanner's aperture."""
        x = number_columns(self.shape)
        steps = []
        for k, log_exposure in enumerate(self.compute_log_exposure()):
            columns = self.get_step_columns(k)
            rise = smooth_step(x - (columns.start - 0.5), _EDGE_WIDTH)
            steps.append(10**log_exposure * as_light(rise * smooth_step(columns.stop - 0.5 - x, _EDGE_WIDTH)))
        return as_light(np.repeat(_STRAY_EXPOSURE + sum(steps), self.height, axis=0))


WEDGE: Final = Wedge()
_STRAY_EXPOSURE: Final = 1e-5  # the exposure of film that is covered
_EDGE_WIDTH: Final = 0.8  # columns

_FILM_SHAPE: Final = (700, 900)  # rows and columns of the scan of a shot
_STRIP_COUNT: Final = 4  # of the framing camera, one above the other, each later than the one before
_PINHOLE_COUNT: Final = 4  # images along a strip, later from left to right


def draw_implosion(rng: np.random.Generator) -> Light:
    """Make 4 × 4 pinhole images of an imploding shell: ``[700, 900]`` relative exposures.

    The shell shrinks from one image to the next, thickens and brightens, until it stagnates.
    """
    pitch = _FILM_SHAPE[0] / _STRIP_COUNT, _FILM_SHAPE[1] / _PINHOLE_COUNT
    strips = sum(
        draw_super_gaussian(number_rows(_FILM_SHAPE), (strip + 0.5) * pitch[0], 80, 40) for strip in range(_STRIP_COUNT)
    )
    film = as_light(3e-4 + 5e-3 * strips * np.ones((1, _FILM_SHAPE[1])))
    for image, time in enumerate(np.linspace(0, 1, _STRIP_COUNT * _PINHOLE_COUNT)):
        strip, pinhole = divmod(image, _PINHOLE_COUNT)
        row, column = rng.normal(((strip + 0.5) * pitch[0], (pinhole + 0.5) * pitch[1]), 2)
        window, distance = cut_window(_FILM_SHAPE, row, column, reach=76)
        radius, hollow = 68 - 50 * time, 0.85 - 0.6 * time  # pixels, and the inner radius as a fraction of it
        # The shell is as bright as the chord of each line of sight inside it is long: 1 at the limb.
        whole, inside = (
            as_light(np.sqrt(np.maximum(length**2 - np.square(distance), 0))) for length in (radius, hollow * radius)
        )
        shell = as_light((whole - inside) / (radius * np.sqrt(1 - hollow**2)))
        film[window] += rng.normal(1, 0.08) * 0.06 * 12**time * shell
    return film
