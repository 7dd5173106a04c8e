"""Film: from its optical density to the exposure that blackened it, by the step wedge on the same film.

Strategy: a step wedge lets each of its steps pass less light than the step before, by a known density. What the film
shows under each step (`wedge_densities`) is a point of its characteristic curve, density over the logarithm of the
exposure (Hurter and Driffield). `film_exposure` reads that curve backwards.

Rule: the curve is never prolonged. Where film shows a density that no step has, or lies so far in the toe or the
shoulder that a density says nothing of the exposure, the exposure is NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from shotdap.transforms.film.step_wedge import find_wedge_extent
from shotdap.transforms.geometry import Bounds, find_rows_and_columns
from shotdap.transforms.lineouts import ProfileAxis
from shotdap.transforms.virtual.footprint import Along, Footprint, Sizes, WorkingMemory, find_image_dimensions
from shotdap.transforms.virtual.transform import Options, Transform

Array: TypeAlias = NDArray[Any]

_DensityPerCount: TypeAlias = Annotated[float, Field(gt=0, le=1000)]
"""The optical density of one count of the scanner: 1 if the image is in density already."""


def wedge_densities(  # noqa: PLR0913 — each is an option of its own
    wedge: xr.DataArray,
    *,
    steps: Annotated[int, Field(ge=2, le=64)] = 21,
    along: ProfileAxis = "columns",
    extent: Bounds | None = None,
    inner: Annotated[float, Field(gt=0, le=1)] = 0.5,
    density_per_count: _DensityPerCount = 1,
) -> xr.DataArray:
    """Measure the film's density under each step of a step wedge.

    The steps are equally wide. Where the first begins and the last ends is either said, or found (see `wedges`): of all
    extents that take up at least half of the scan, it is the one whose steps, and a margin on either side, are nearest
    to being constant. The density of a step is the median of its inner part, so neither its edges, nor lines between
    steps, nor dust and scratches count. NaN is left out; a step that holds nothing else is NaN, and so are all where no
    wedge is found.

    Args:
        wedge: the scan of the wedge, of any type; its last two dimensions are rows and columns.
        steps: how many the wedge has.
        along: what the steps follow one another along: the ``columns``, from left to right, or the ``rows``.
        extent: the first and the last column (or row) of the wedge, both belonging to it; found by default.
        inner: the part of a step's width, and of the wedge's height, that is looked at.
        density_per_count: the optical density that a count of the scanner means.

    Returns:
        The density of each step in the order of the scan, along the new dimension ``step``; float64, optical density.
    """
    rows, columns = find_rows_and_columns(wedge)
    ordered = wedge.transpose(..., *((rows, columns) if along == "columns" else (columns, rows)))
    inner_rows = ordered[..., _make_central_slice(0, ordered.shape[-2], inner), :].values.astype(np.float64)
    densities = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # the median of nothing is NaN
        for frame in inner_rows.reshape(-1, *inner_rows.shape[-2:]):
            found = (extent[0], extent[1] + 1) if extent else find_wedge_extent(np.nanmedian(frame, axis=0), steps)
            edges = np.linspace(*found, steps + 1) if found else ()
            medians = [np.nanmedian(frame[:, _make_central_slice(*each, inner)]) for each in pairwise(edges)]
            densities.append(medians or [np.nan] * steps)
    shape = (*ordered.shape[:-2], steps)
    return xr.DataArray(np.reshape(densities, shape) * density_per_count, dims=(*ordered.dims[:-2], "step"))


def _make_central_slice(start: float, stop: float, inner: float) -> slice:
    """Make the slice of the indices in the middle of an interval, at least one."""
    centre, half = (start + stop) / 2, (stop - start) / 2 * inner
    first = min(int(np.ceil(centre - half)), int(centre))
    return slice(first, max(int(np.floor(centre + half)), first + 1))


def film_exposure(
    image: xr.DataArray,
    densities: xr.DataArray,
    *,
    step: Annotated[float, Field(gt=0, le=3)] = 0.15,
    density_per_count: _DensityPerCount = 1,
    gamma: Annotated[float, Field(gt=0, le=10)] = 0.1,
) -> xr.DataArray:
    """Turn the density of a film into the exposure that blackened it, by the densities of a step wedge on it.

    The step at the blacker end of the wedge had the exposure 1, and each one further 10^-step times that of its
    neighbour; the wedge may lie either way. The densities are made to rise with the exposure (isotonic regression:
    noise in the toe may let them fall), and the logarithm of the exposure is interpolated between them, monotonically
    and smoothly (PCHIP: Fritsch and Carlson, SIAM J. Numer. Anal. 17, 238 (1980)). Steps at either end, between which
    the curve rises by less than gamma, are left out.

    What is not between the least and the greatest density that is left is NaN, and so is everything where fewer than
    two steps are left: nothing is extrapolated. NaN stays NaN.

    Args:
        image: the film's scan, of any type and shape.
        densities: of the steps of the wedge, in their order, in optical density, as `wedge_densities` gives them.
        step: the optical density of the wedge from one step to the next.
        density_per_count: the optical density that a count of the image's scanner means.
        gamma: the least slope of the curve that is made use of, in density per decade of exposure.

    Returns:
        The exposure, float32, relative to that of the wedge's clear end: 1 and below.
    """
    from scipy.interpolate import PchipInterpolator  # noqa: PLC0415 — 0.5 s, only for film
    from scipy.optimize import isotonic_regression  # noqa: PLC0415 — likewise

    density = image.astype(np.float64) * density_per_count
    wedge = densities.values.astype(np.float64)
    (steps,) = np.nonzero(np.isfinite(wedge))
    half = len(steps) // 2
    log_exposures, measured = -step * (len(wedge) - 1 - steps), wedge[steps]
    if not half or measured[:half].mean() >= measured[half:].mean():  # the first step is the blackest
        log_exposures, measured = (-step * steps)[::-1], measured[::-1]
    rising = isotonic_regression(measured).x if measured.size else measured
    steep = np.flatnonzero(np.diff(rising) >= gamma * np.diff(log_exposures))
    if not steep.size:
        return density.copy(data=np.full(density.shape, np.nan))
    used = slice(steep[0], steep[-1] + 2)
    levels, where = np.unique(rising[used], return_inverse=True)
    # Steps that the regression has made equal share the mean of their exposures; none is at an end, which is steep.
    middles = np.bincount(where, log_exposures[used]) / np.bincount(where)
    curve = PchipInterpolator(levels, middles, extrapolate=False)
    return density.copy(data=10 ** curve(density.values))


def _wedge_densities_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    (sizes,) = inputs
    rows, columns = find_image_dimensions(sizes)
    along = columns if options.along == "columns" else rows
    last = sizes[along] - 1
    if options.extent and options.extent[1] > last:
        raise ValueError(f"{along} ends with {last}, and {options.extent[1]} is beyond it")
    width = options.extent[1] - options.extent[0] + 1 if options.extent else sizes[along]
    if width < 2 * options.steps:
        raise ValueError(
            f"{options.steps} steps need {2 * options.steps} pixels at least, and along {along} are {width}"
        )
    frames = {name: Along(name, size) for name, size in sizes.items() if name not in {rows, columns}}
    return Footprint(frames | {"step": options.steps}, is_whole=True)


def _film_exposure_footprint(inputs: Sequence[Sizes], _options: Options) -> Footprint:
    image, densities = inputs
    if len(densities) != 1:
        raise ValueError(f"the densities of the steps have one dimension, and these have {len(densities)}")
    if set(densities) & set(image):
        raise ValueError(f"the steps of the wedge lie along {', '.join(densities)}, as the image does")
    return Footprint({name: Along(name, size) for name, size in image.items()})


TRANSFORMS = (
    Transform(
        wedge_densities,
        _wedge_densities_footprint,
        dtype="float64",
        units="1",
        long_name="optical density under each step of the wedge",
        coordinates={"step": lambda options: range(options.steps)},
        memory=WorkingMemory(36),
    ),
    Transform(
        film_exposure,
        _film_exposure_footprint,
        units="1",
        long_name="exposure relative to the clear end of the step wedge",
        memory=WorkingMemory(24),
    ),
)
