"""Where in the demonstration archive each transform is shown, and how: one row for each.

An example asks for a variant by the segment of a URL. Where what a transform needs is in no file of the archive, it is
a function instead, whose text the page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import tau
from types import MappingProxyType
from typing import Final

import numpy as np
import xarray as xr
from docs.make import plots
from docs.make.images import Counted, Draw, Flagged, Pair, Shown

from shotdap.catalog import Catalog
from shotdap.server.demo import COMB_PERIOD, COUNTS_PER_OD, DISTORTION, GRID
from shotdap.transforms import TRANSFORMS

__all__ = ["EXAMPLES", "Example"]

_ASBO: Final = "omega/62328/asbo1/asbo1_s62328"
_FLAT: Final = "omega/62326/asbo1/asbo1_flat_s62326"
_GRID: Final = "omega/62326/asbo1/asbo1_grid_s62326"
_SOP: Final = "omega-ep/25386/sop/sop_s25386"
_P510: Final = "omega/103741/p510_2/p510_2_s103741"
_PTD: Final = "omega/103741/ptd/PTD_s103741_ptd"
_FILM: Final = "omega/103741/xrfc_film/xrfc_film_s103741"
_WEDGE: Final = f"{_FILM}_swedge"
_PLATE: Final = "omega/103955/pcis/PCIS-s103955_pcis1_-1-_x5B_phosphor_x5D_"
_EPW: Final = "omega/112059/epw_ccd/EPW_CCD-s112059"

_PTD_FULL: Final = 4095  # counts at which that camera is saturated


@dataclass(frozen=True)
class Example:
    """How one transform is shown."""

    path: str
    """Of the image."""
    before: str
    """The variable on the left."""
    ask: str | Callable[[xr.Dataset], xr.DataArray]
    """The variant whose variable ``result`` is on the right; or what makes that of the image's dataset."""
    caption: str
    draw: Draw

    @property
    def address(self) -> str:
        """The public path of the variant; of the image, where a function makes the result."""
        return f"{self.path}/{self.ask}" if isinstance(self.ask, str) else self.path

    def shown(self, catalog: Catalog, transform: str) -> Shown:
        """Return the data of the picture; they stay lazy, except where `ask` is a function that computes."""
        dataset = catalog.open(self.address)
        after = dataset["result"] if isinstance(self.ask, str) else self.ask(dataset)
        return Shown(dataset[self.before], after, (self.before, transform))


def _dewarped_by_map(dataset: xr.Dataset) -> xr.DataArray:
    grid = dataset["image"].load()
    row, column = np.indices(grid.shape)
    seen_column, seen_row = DISTORTION(column, row)
    down, right = (xr.DataArray(each, dims=grid.dims) for each in (seen_row - row, seen_column - column))
    return TRANSFORMS["dewarp_by_map"].apply(grid, down, right)


def _numbers(values: tuple[float, ...]) -> str:
    """Numbers as a URL has them."""
    return "_".join(np.format_float_positional(each, trim="-") for each in values)


_DEWARP: Final = (
    f"~image~dewarp-column_coefficients-{_numbers(DISTORTION.column_coefficients)}"
    f"-row_coefficients-{_numbers(DISTORTION.row_coefficients)}"
)
_PER_COUNT: Final = f"density_per_count-{_numbers((1 / COUNTS_PER_OD,))}"

_LINES: Final = tuple(
    GRID.first_dot + GRID.pitch * np.arange(GRID.dots_per_row)
)  # where rows and columns of dots belong
_NUMBER_AMONG_VALUES: Final = "The line is the number, among all values of the frame."

EXAMPLES: Final[Mapping[str, Example]] = MappingProxyType(
    {
        "subtract_background": Example(
            _SOP,
            "image",
            "~image~subtract_background",
            "The bias of some 580 counts is gone, and differences below zero are below zero.",
            Pair(),
        ),
        "subtract_region": Example(
            _SOP,
            "image",
            "~image~subtract_region-columns-1060_1099",
            "The level is that of the framed columns, which are read out and never exposed.",
            Pair(outline=((0, 1099), (1060, 1099))),
        ),
        "median_filter": Example(
            _PTD,
            "background_subtracted",
            "~background_subtracted~median_filter-size-5",
            "One pixel in twenty of this camera is hot. The colours mean the same on both sides.",
            Pair(same_scale=True, rows=(60, 169), columns=(75, 204)),
        ),
        "morphological_filter": Example(
            _ASBO,
            "background_subtracted",
            "~background_subtracted~morphological_filter",
            "A part of faint fringes, in the same colours on both sides: bright spots go, and what is left is darker.",
            Pair(same_scale=True, rows=(560, 659), columns=(180, 299)),
        ),
        "sigma_clip": Example(
            _ASBO,
            "background_subtracted",
            "~background_subtracted~sigma_clip",
            "The same part, in the same colours on both sides: outliers go, and nothing else changes.",
            Pair(same_scale=True, rows=(560, 659), columns=(180, 299)),
        ),
        "minimum": Example(_P510, "image", "~image~minimum", _NUMBER_AMONG_VALUES, plots.marked),
        "maximum": Example(_P510, "image", "~image~maximum", _NUMBER_AMONG_VALUES, plots.marked),
        "mean_value": Example(_P510, "image", "~image~mean_value", _NUMBER_AMONG_VALUES, plots.marked),
        "median_value": Example(_P510, "image", "~image~median_value", _NUMBER_AMONG_VALUES, plots.marked),
        "standard_deviation": Example(
            _EPW,
            "image",
            "~image~standard_deviation",
            "The band is a standard deviation to either side of the mean.",
            plots.spread,
        ),
        "percentiles": Example(
            _EPW,
            "image",
            "~image~percentiles-levels-1_50_90_99",
            "The lines are the percentiles, among all values of the frame.",
            plots.marked,
        ),
        "histogram": Example(
            _P510,
            "image",
            "~image~histogram-bins-128-high-16384",
            "128 bins of 128 counts: the dark frame, the fiducials, and the ten beams.",
            plots.counted_in_bins,
        ),
        "wedge_densities": Example(
            _WEDGE,
            "image",
            f"~image~wedge_densities-{_PER_COUNT}",
            "The wedge is found in its scan; the points are the film's characteristic curve.",
            plots.steps,
        ),
        "film_exposure": Example(
            _FILM,
            "image",
            f"~image~film_exposure-densities-wedge_steps-{_PER_COUNT}",
            "Sixteen pinhole images of an implosion. The exposure spans two decades, which the film squeezes into one.",
            Pair(colours="gray_r", after_colours="inferno", logarithmic=True),
        ),
        "flat_field": Example(
            _SOP,
            "background_subtracted",
            "~background_subtracted~flat_field-flat-flat.background_subtracted",
            "The shadows of dust, the columns, the dark corners and the step between two amplifiers (column 550) go.",
            Pair(same_scale=True, rows=(100, 799), columns=(200, 1048)),
        ),
        "pseudo_flat_field": Example(
            _FLAT,
            "background_subtracted",
            "~background_subtracted~crop-columns-0_1048-rows-0_1023~pseudo_flat_field",
            "A lamp: the dark corners go; dust, columns and the amplifiers' step are left to be seen.",
            Pair(block=0),
        ),
        "crop": Example(
            _ASBO,
            "background_subtracted",
            "~background_subtracted~crop-columns-100_899-rows-150_699",
            "The frame is what is kept.",
            Pair(block=0, outline=((150, 699), (100, 899))),
        ),
        "rotate_flip": Example(
            _P510,
            "background_subtracted",
            "~background_subtracted~rotate_flip-rotation-90",
            "Turned by 90 degrees, clockwise: time runs downwards.",
            Pair(block=0),
        ),
        "bin_pixels": Example(
            _EPW,
            "background_subtracted",
            "~background_subtracted~bin_pixels-columns-4-rows-4",
            "Means of 4 x 4 pixels, in the same colours: their noise is a quarter of a pixel's.",
            Pair(same_scale=True, block=4, rows=(340, 499), columns=(540, 699)),
        ),
        "dewarp": Example(
            _GRID,
            "image",
            _DEWARP,
            "A corner of a grid of dots, bent by the optics, and straight again. The lines are where the dots belong.",
            Pair(colours="gray", percentiles=(1, 99.5), rows=(700, 1023), columns=(700, 1023), lines=_LINES),
        ),
        "dewarp_by_map": Example(
            _GRID,
            "image",
            _dewarped_by_map,
            "The same corner, set straight by a map that says for each pixel how far off its picture lies.",
            Pair(colours="gray", percentiles=(1, 99.5), rows=(700, 1023), columns=(700, 1023), lines=_LINES),
        ),
        "photostimulated_luminescence": Example(
            _PLATE,
            "raw_scan",
            "~raw_scan~photostimulated_luminescence",
            "The scanner's scale is logarithmic: 16 bits for five decades.",
            Pair(),
        ),
        "fading_corrected": Example(
            _PLATE,
            "image",
            "~image~fading_corrected-delay-2700",
            "Scanned 45 minutes after the shot, it has lost two fifths. The colours mean the same on both sides.",
            Pair(same_scale=True, limits=(0, 7)),
        ),
        "lineout": Example(
            _P510,
            "background_subtracted",
            "~background_subtracted~lineout-first-62-last-90",
            "The pulse shape of the uppermost beam: the mean of the rows between the lines.",
            plots.Profile(band=(62, 90)),
        ),
        "row_mean": Example(
            _P510,
            "background_subtracted",
            "~background_subtracted~row_mean",
            "Ten beams between two rows of fiducials.",
            plots.Profile(along="rows"),
        ),
        "column_mean": Example(
            _EPW,
            "background_subtracted",
            "~background_subtracted~column_mean",
            "The spectrum that plasma waves scatter, over all times; a notch takes out the laser's line.",
            plots.Profile(),
        ),
        "saturated": Example(
            _PTD,
            "image",
            "~image~saturated",
            "The camera counts to 4095, which its description says: the fiducials are beyond.",
            Flagged(("saturated",), rows=(60, 169), columns=(75, 204)),
        ),
        "bad_pixels": Example(
            _ASBO,
            "background",
            "~background~bad_pixels",
            "A part of the frame without light.",
            Flagged(("hot", "dead"), rows=(400, 459), columns=(400, 479)),
        ),
        "mask": Example(
            _PTD,
            "background_subtracted",
            "~background_subtracted~mask-flags-saturated_pixels",
            "What is saturated is missing, shown in light blue, and in no mean.",
            Pair(rows=(60, 169), columns=(75, 204)),
        ),
        "count_saturated": Example(
            _PTD,
            "image",
            "~image~count_saturated",
            "A part of the image, with the pixels that are counted in red.",
            Counted(lambda image: image >= _PTD_FULL, rows=(60, 169), columns=(75, 204)),
        ),
        "count_negative": Example(
            _SOP,
            "background_subtracted",
            "~background_subtracted~count_negative",
            "A part of the image, with the pixels that are counted in red: half of what sees no light.",
            Counted(lambda image: image < 0, rows=(700, 799), columns=(250, 369)),
        ),
        "count_missing": Example(
            _ASBO,
            "flat_fielded",
            "~flat_fielded~count_missing",
            "The pixels that are counted, in red: the overscan, where there is no light to divide by.",
            Counted(lambda image: image.isnull()),
        ),
        "normalise": Example(
            _P510,
            "background_subtracted",
            "~background_subtracted~normalise",
            "The greatest value is 1: that of a hot pixel, if it is not taken out before.",
            Pair(percentiles=(1, 99.99)),
        ),
        "log10": Example(
            _P510,
            "background_subtracted",
            "~background_subtracted~median_filter-size-9~log10",
            "Light that is a thousand times fainter than the beams; what is not above zero is missing (light blue).",
            Pair(limits=(0, 4.2)),
        ),
        "square_root": Example(
            _SOP,
            "background_subtracted",
            "~background_subtracted~square_root-signed-true",
            "Faint light can be seen beside bright light, and noise is as coarse in both.",
            Pair(),
        ),
        "comb_peaks": Example(
            _ASBO,
            "background_subtracted",
            "~background_subtracted~comb_peaks-band-800_850",
            "The camera's comb at the lower edge of the picture, and the peaks that were found there.",
            plots.peaks,
        ),
        "comb_fit": Example(
            _ASBO,
            "comb",
            "~comb~comb_fit-frequency-2",
            "The peaks, which are 500 ps apart, and the sweep that they tell.",
            plots.Fitted(1000 * COMB_PERIOD),
        ),
        "comb_residuals": Example(
            _ASBO,
            "comb",
            "~comb~comb_residuals-frequency-2",
            "What the fit of second order leaves over.",
            plots.residuals,
        ),
        "comb_time": Example(
            _ASBO,
            "background_subtracted",
            "~x~comb_time-fit-comb_coefficients",
            "The comb over the columns, and over the time made of it: the lines are 500 ps apart, and meet the peaks.",
            plots.OverTime((822, 838), 1000 * COMB_PERIOD, (0, 399)),
        ),
        "nominal_time": Example(
            _SOP,
            "background_subtracted",
            "~x~nominal_time-origin-92.5-speed-4",
            "The comb over the nominal time. The lines are 0.5 ns apart, and part from the peaks: no sweep is linear.",
            plots.OverTime((884, 900), COMB_PERIOD, (60, 639)),
        ),
        "visar_phase": Example(
            _ASBO,
            "background_subtracted",
            "~background_subtracted~visar_phase-origin-100",
            "The phase, without its whole turns.",
            Pair(after_colours="twilight", modulo=tau, limits=(0, tau), rows=(250, 599), columns=(0, 899)),
        ),
        "visar_phase_shift": Example(
            _ASBO,
            "background_subtracted",
            "~background_subtracted~visar_phase_shift-origin-100-reference-reference_subtracted",
            "Without its whole turns: none until the shock breaks out, then a jump and a slow return. How many turns "
            "the jump had, one picture cannot tell: that takes a second etalon.",
            Pair(after_colours="twilight", modulo=tau, limits=(0, tau), rows=(250, 599), columns=(0, 899)),
        ),
        "fringe_contrast": Example(
            _ASBO,
            "background_subtracted",
            "~background_subtracted~fringe_contrast",
            "0.8 where the fringes are at rest, and little along the breakout, where they jump.",
            Pair(after_colours="viridis", limits=(0, 1), rows=(250, 599), columns=(0, 899)),
        ),
    }
)
"""For each transform its example."""
