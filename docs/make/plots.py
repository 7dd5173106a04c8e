"""Pictures of what is no image: profiles, distributions, combs and wedges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from docs.make.images import Range, Shown, limits_of, show
from docs.make.style import ACCENT, BEFORE, INK
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from shotdap.server.demo import compute_film_density
from shotdap.transforms.streak.comb import count_periods

__all__ = ["Fitted", "OverTime", "Profile", "counted_in_bins", "marked", "peaks", "residuals", "spread", "steps"]


def _image(figure: Figure, axes: Axes, image: xr.DataArray, title: str) -> None:
    """Show the image that a line was made of."""
    shown = show(axes, image, title, Normalize(*limits_of(image, (1, 99.8))))
    figure.colorbar(shown, ax=axes, label=str(image.attrs.get("units", "")), aspect=30)


@dataclass(frozen=True)
class Profile:
    """An image, and a line with one value for each of its columns, or rows."""

    along: Literal["columns", "rows"] = "columns"
    band: Range | None = None
    """What the line is made of; by default all."""

    def __call__(self, figure: Figure, shown: Shown) -> None:
        """Draw the image with the band, and the line beside it, where its rows are."""
        left, right = figure.subplots(1, 2)
        _image(figure, left, shown.before, shown.titles[0])
        for edge in self.band or ():
            (left.axhline if self.along == "columns" else left.axvline)(edge, color="white", linewidth=0.8)
        where, label = _axis(shown.after)
        value = f"{shown.after.attrs.get('long_name', '')} ({shown.after.attrs.get('units', '')})"
        if self.along == "columns":
            right.plot(where, shown.after, color=ACCENT)
            right.set(title=shown.titles[1], xlabel=label, ylabel=value, xlim=(where[0], where[-1]))
            right.locator_params(axis="x", nbins=5)
        else:
            right.plot(shown.after, where, color=ACCENT)
            right.set(title=shown.titles[1], xlabel=value, ylabel=label, ylim=(where[-1], where[0]))


def _axis(line: xr.DataArray) -> tuple[NDArray[Any], str]:
    """Return the x values of a line and their label: a physical coordinate if one exists, else pixel numbers."""
    (dimension,) = line.dims
    known = [line.coords[name] for name in line.coords if line.coords[name].dims == (dimension,)]
    best = min(known, key=lambda each: each.name == dimension)
    return best.values, f"{best.attrs.get('long_name', best.name)} ({best.attrs.get('units', '')})"


def _distribution(axes: Axes, image: xr.DataArray, most: float) -> None:
    """Count the pixels by their values, on a logarithmic scale, up to some value at least: few are far beyond."""
    values = image.values[np.isfinite(image.values)].astype(np.float64)
    high = 1.03 * max(most, float(np.percentile(values, 99.99)))
    counts, edges = np.histogram(values, 160, (float(values.min()), high))
    axes.stairs(counts, edges, fill=True, color=BEFORE, alpha=0.55)
    axes.set(yscale="log", ylabel="pixels in a bin", xlabel=f"value ({image.attrs.get('units', '')})")
    axes.set_ylim(0.7, 3 * counts.max())
    axes.locator_params(axis="x", nbins=5)


def marked(figure: Figure, shown: Shown) -> None:
    """Draw an image, and where the numbers made of it lie among its values."""
    left, right = figure.subplots(1, 2)
    _image(figure, left, shown.before, shown.titles[0])
    numbers = np.atleast_1d(shown.after.values)
    _distribution(right, shown.before, numbers.max())
    names = [f"{each:g} %: " for each in shown.after["percentile_result"].values] if shown.after.ndim else [""]
    for place, (number, name) in enumerate(zip(numbers, names, strict=True)):
        right.axvline(number, color=ACCENT)
        _note(right, number, 0.95 - 0.1 * place, f"{name}{number:,.1f}")
    right.set_title(shown.titles[1])


def spread(figure: Figure, shown: Shown) -> None:
    """Draw an image, and a standard deviation to either side of its mean."""
    left, right = figure.subplots(1, 2)
    _image(figure, left, shown.before, shown.titles[0])
    mean, deviation = float(shown.before.mean()), float(shown.after)
    _distribution(right, shown.before, mean + deviation)
    right.axvline(mean, color=INK, linestyle=":")
    right.axvspan(mean - deviation, mean + deviation, color=ACCENT, alpha=0.25, linewidth=0)
    _note(right, mean + deviation, 0.95, f"mean ± {deviation:,.1f}")
    right.set_title(shown.titles[1])


def _note(axes: Axes, x: float, height: float, text: str) -> None:
    """Write beside a line, on the side where there is room."""
    low, high = axes.get_xlim()
    is_right = x > low + 0.8 * (high - low)
    axes.annotate(
        text,
        (x, height),
        (-4 if is_right else 4, 0),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="right" if is_right else "left",
        va="center",
        color=ACCENT,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
    )


def counted_in_bins(figure: Figure, shown: Shown) -> None:
    """Draw an image and its histogram."""
    left, right = figure.subplots(1, 2)
    _image(figure, left, shown.before, shown.titles[0])
    middles = shown.after["bin_result"].values
    half = (middles[1] - middles[0]) / 2
    right.stairs(shown.after.values, [*(middles - half), middles[-1] + half], fill=True, color=ACCENT, alpha=0.8)
    right.set(title=shown.titles[1], yscale="log", xlabel=f"value ({shown.before.attrs['units']})", ylabel="pixels")
    right.locator_params(axis="x", nbins=5)


def steps(figure: Figure, shown: Shown) -> None:
    """Draw a step wedge, and the density under each of its steps beside what the film was made with."""
    left, right = figure.subplots(1, 2)
    shown_wedge = show(left, shown.before, shown.titles[0], Normalize(*limits_of(shown.before, (0, 100))), "gray_r")
    figure.colorbar(shown_wedge, ax=left, label="count", aspect=30)
    number = np.arange(shown.after.size)
    right.plot(number, compute_film_density(-0.15 * number), color=BEFORE, label="what the film was made with")
    right.plot(number, shown.after, "o", color=ACCENT, markersize=4, label="measured")
    right.set(title=shown.titles[1], xlabel="step", ylabel="optical density")
    right.legend()


def peaks(figure: Figure, shown: Shown) -> None:
    """Draw the rows about a comb, and its peaks on their profile."""
    left, right = figure.subplots(1, 2)
    strip = shown.before.isel(y=slice(790, 871))
    _image(figure, left, strip, shown.titles[0])
    profile = _comb(shown.before, (822, 838))
    right.plot(profile, color=BEFORE)
    found = shown.after.values[~np.isnan(shown.after.values)]
    right.plot(found, np.interp(found, np.arange(profile.size), profile), "o", color=ACCENT, markersize=3.5)
    right.set(title=f"{shown.titles[1]}: {found.size} peaks", xlabel="x (pixel)", ylabel="count", xlim=(0, 1100))


def _comb(image: xr.DataArray, band: Range) -> NDArray[Any]:
    """Return the profile of a comb: the median of its rows."""
    return np.asarray(image.isel(y=slice(band[0], band[1] + 1)).median("y").values)


def _numbered_peaks(axes: Axes, shown: Shown) -> NDArray[Any]:
    """Draw the pixels of a comb's peaks over their numbers, and give them."""
    found = shown.before.values[~np.isnan(shown.before.values)]
    axes.plot(found, count_periods(found), "o", color=BEFORE, markersize=3.5)
    axes.set(title=shown.titles[0], xlabel="x (pixel)", ylabel="number of the peak")
    return np.asarray(found)


@dataclass(frozen=True)
class Fitted:
    """The peaks of a comb, and the polynomial through them."""

    period: float
    """From one peak to the next, ps."""

    def __call__(self, figure: Figure, shown: Shown) -> None:
        """Draw the peaks, and the line with its formula."""
        left, right = figure.subplots(1, 2)
        found = _numbered_peaks(left, shown)
        constant, linear, quadratic, residual, count, first, _ = shown.after.values
        start = count_periods(found)[np.searchsorted(found, first)]
        pixels = np.arange(found[0], found[-1])
        line = np.polynomial.Polynomial([constant, linear, quadratic])
        right.plot(found, self.period * (count_periods(found) - start) / 1000, "o", color=BEFORE, markersize=3.5)
        right.plot(pixels, line(pixels) / 1000, color=ACCENT)
        said = (
            f"t = {constant:.4g} ps + {linear:.5g} ps x + {quadratic:.4g} ps x²\n"
            f"residual {residual:.2f} ps (RMS of {count:.0f} peaks)"
        )
        right.text(0.03, 0.97, said, transform=right.transAxes, va="top", color=ACCENT)
        right.set(title=shown.titles[1], xlabel="x (pixel)", ylabel="time (ns)")


def residuals(figure: Figure, shown: Shown) -> None:
    """Draw the peaks of a comb, and how far each is from the fit."""
    left, right = figure.subplots(1, 2)
    found = _numbered_peaks(left, shown)
    right.stem(found, shown.after.values[: found.size], linefmt=ACCENT, markerfmt="o", basefmt=" ")
    right.axhline(0, color=INK, linewidth=0.6)
    right.set(title=shown.titles[1], xlabel="x (pixel)", ylabel="time of the peak less the fit (ps)")


@dataclass(frozen=True)
class OverTime:
    """The comb of a streak over its columns, and over the time that was made of them, with a line every period."""

    band: Range
    """The rows of the comb."""
    period: float
    """From one line to the next, in the units of time."""
    columns: Range
    """The part of the streak that is shown."""

    def __call__(self, figure: Figure, shown: Shown) -> None:
        """Draw the comb twice."""
        left, right = figure.subplots(1, 2)
        part = slice(self.columns[0], self.columns[1] + 1)
        comb, time = _comb(shown.before, self.band)[part], shown.after.values[part]
        left.plot(np.arange(part.start, part.stop), comb, color=BEFORE)
        left.set(title=shown.titles[0], xlabel="x (pixel)", ylabel="count")
        for line in self.period * np.arange(int(np.nanmax(time) / self.period) + 1):
            right.axvline(line, color=ACCENT, linewidth=0.8)
        right.plot(time, comb, color=INK)
        right.set(title=shown.titles[1], xlabel=f"time ({shown.after.attrs['units']})", ylabel="count")
