"""Pictures of images: one before, one after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from docs.make.style import ACCENT, palette
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

__all__ = ["Counted", "Draw", "Flagged", "Pair", "Range", "Shown", "limits_of", "show"]

Range: TypeAlias = tuple[int, int]
"""The first and the last of some rows or columns."""
Limits: TypeAlias = tuple[float, float]

_LINE = "#56cfe1"
_FLAGS = (ACCENT, "#00798c")
"""The colours of the flags 1 and 2."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a picture shows."""

    before: xr.DataArray
    after: xr.DataArray
    titles: tuple[str, str]


Draw: TypeAlias = Callable[[Figure, Shown], None]
"""Draws into an empty figure."""


def limits_of(image: xr.DataArray, percentiles: Limits) -> Limits:
    """Return the limits of an image's colour scale: percentiles, so that hot pixels have no effect."""
    values = image.values[np.isfinite(image.values)]
    low, high = np.percentile(values, percentiles)
    return float(low), float(high)


def show(  # noqa: PLR0913 — what is shown, and how
    axes: Axes,
    image: xr.DataArray,
    title: str,
    norm: Normalize,
    colours: str = "inferno",
    *,
    interpolation: str = "auto",
) -> AxesImage:
    """Show an image with its axes in pixels, the first row on top, and a bar of its units."""
    rows, columns = map(str, image.dims)
    ends = [_ends(image, columns), _ends(image, rows)[::-1]]
    shown = axes.imshow(
        np.ma.masked_invalid(image.values),
        cmap=palette(colours),
        norm=norm,
        extent=(*ends[0], *ends[1]),
        aspect="auto",
        interpolation=interpolation,
    )
    axes.set(title=title, xlabel=_label(columns), ylabel=_label(rows))
    return shown


def _ends(image: xr.DataArray, dimension: str) -> Limits:
    """Where the outermost pixels of a dimension end."""
    values = _numbers(image, dimension)
    half = (values[-1] - values[0]) / max(1, len(values) - 1) / 2
    return float(values[0] - half), float(values[-1] + half)


def _numbers(image: xr.DataArray, dimension: str) -> NDArray[Any]:
    there = dimension in image.coords
    return np.asarray(image.coords[dimension].values) if there else np.arange(image.sizes[dimension])


def _label(dimension: str) -> str:
    return f"{dimension.removesuffix('_result')} (pixel)"


def _zoomed(image: xr.DataArray, rows: Range | None, columns: Range | None) -> xr.DataArray:
    wanted = zip(image.dims, (rows, columns), strict=True)
    return image.isel({name: slice(part[0], part[1] + 1) for name, part in wanted if part})


@dataclass(frozen=True)
class Pair:
    """An image and what was made of it, side by side, each with a bar of colours."""

    colours: str = "inferno"
    after_colours: str = ""
    """Where the two mean something different: the map of the second."""
    same_scale: bool = False
    """Whether one colour means the same in both: the scale is that of the second."""
    percentiles: Limits = (1, 99.8)
    limits: Limits | None = None
    """The scale of the second; by default its percentiles."""
    logarithmic: bool = False
    """Whether the scale of the second is."""
    modulo: float | None = None
    """What is taken off the second as often as it goes into it: whole turns."""
    rows: Range | None = None
    columns: Range | None = None
    """The part that is shown; by default all."""
    block: int = 1
    """How many pixels of the first, either way, one of the second is; 0 if it is other pixels, shown all."""
    outline: tuple[Range, Range] | None = None
    """Rows and columns around which the first has a frame."""
    lines: Sequence[float] = ()
    """Rows, and columns, that both have a line along."""

    def __call__(self, figure: Figure, shown: Shown) -> None:
        """Draw both."""
        left, right = figure.subplots(1, 2)
        before = _zoomed(shown.before, self.rows, self.columns)
        after = self._after(shown.after)
        scale = self.limits or limits_of(after, self.percentiles)
        first = Normalize(*(scale if self.same_scale else limits_of(before, self.percentiles)))
        second = LogNorm(*scale) if self.logarithmic else Normalize(*scale)
        of_before = show(left, before, shown.titles[0], first, self.colours)
        # The mean of two angles on either side of a whole turn is neither.
        between = "auto" if self.modulo is None else "nearest"
        colours = self.after_colours or self.colours
        of_after = show(right, after, shown.titles[1], second, colours, interpolation=between)
        figure.colorbar(of_before, ax=left, label=_units(before), aspect=30)
        figure.colorbar(of_after, ax=right, label=_units(after), aspect=30)
        if self.outline:
            _frame(left, *self.outline)
        for axes in (left, right):
            _grid(axes, self.lines)

    def _after(self, image: xr.DataArray) -> xr.DataArray:
        part = _zoomed(image, _over(self.rows, self.block), _over(self.columns, self.block)) if self.block else image
        return part if self.modulo is None else (part % self.modulo).assign_attrs(part.attrs)


def _over(part: Range | None, block: int) -> Range | None:
    """Return the range of blocks that contain a range of rows or columns."""
    return (part[0] // block, part[1] // block) if part else None


def _grid(axes: Axes, lines: Sequence[float]) -> None:
    limits = axes.axis()
    for line in lines:
        axes.axhline(line, color=_LINE, linewidth=0.5)
        axes.axvline(line, color=_LINE, linewidth=0.5)
    axes.axis(limits)


def _units(image: xr.DataArray) -> str:
    units = str(image.attrs.get("units", ""))
    return "" if units == "1" else units


def _frame(axes: Axes, rows: Range, columns: Range) -> None:
    size = columns[1] - columns[0] + 1, rows[1] - rows[0] + 1
    axes.add_patch(Rectangle((columns[0] - 0.5, rows[0] - 0.5), *size, fill=False, edgecolor="white", linewidth=1.2))


@dataclass(frozen=True)
class Flagged:
    """An image, and the pixels of it that were flagged, in colours."""

    meanings: tuple[str, ...]
    """Of the flags 1, 2, …"""
    rows: Range | None = None
    columns: Range | None = None
    percentiles: Limits = (1, 99.5)

    def __call__(self, figure: Figure, shown: Shown) -> None:
        """Draw the image twice, the second time in grey below the flags."""
        left, right = figure.subplots(1, 2)
        image, flags = (_zoomed(each, self.rows, self.columns) for each in (shown.before, shown.after))
        _show_flags(figure, (left, right), image, flags, self.percentiles, shown.titles)
        for colour, meaning in zip(_FLAGS, self.meanings, strict=False):
            right.plot([], [], "s", color=colour, label=meaning)
        right.legend(loc="lower right", facecolor="white", frameon=True)


@dataclass(frozen=True)
class Counted:
    """An image, the pixels of it that were counted, in colour, and how many they are."""

    which: Callable[[xr.DataArray], xr.DataArray]
    percentiles: Limits = (1, 99.5)
    rows: Range | None = None
    columns: Range | None = None

    def __call__(self, figure: Figure, shown: Shown) -> None:
        """Draw the image, those pixels, and the number."""
        left, right = figure.subplots(1, 2)
        image = _zoomed(shown.before, self.rows, self.columns)
        title = f"{shown.titles[1]}: {int(shown.after):,}"
        _show_flags(figure, (left, right), image, self.which(image), self.percentiles, (shown.titles[0], title))


def _show_flags(  # noqa: PLR0913, PLR0917 — each is drawn once
    figure: Figure,
    axes: Sequence[Axes],
    image: xr.DataArray,
    flags: xr.DataArray,
    percentiles: Limits,
    titles: tuple[str, str],
) -> None:
    norm = Normalize(*limits_of(image, percentiles))
    figure.colorbar(show(axes[0], image, titles[0], norm), ax=axes[0], label=_units(image), aspect=30)
    below = show(axes[1], image, titles[1], norm, "gray")
    below.set_alpha(0.55)
    flagged = np.ma.masked_equal(flags.values.astype(int), 0)
    axes[1].imshow(
        flagged,
        cmap=ListedColormap(list(_FLAGS)),
        vmin=1,
        vmax=len(_FLAGS),
        extent=below.get_extent(),
        aspect="auto",
        interpolation="nearest",
    )
