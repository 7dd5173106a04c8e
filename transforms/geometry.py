"""Where pixels lie: parts of an image, turned, binned, and set straight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.polynomial.polynomial import polygrid2d
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat

from shotdap.transforms.statistics import sums
from shotdap.transforms.virtual.footprint import (
    Along,
    Footprint,
    Sizes,
    WorkingMemory,
    blocks,
    find_image_dimensions,
    whole,
)
from shotdap.transforms.virtual.positions import select_bounds
from shotdap.transforms.virtual.transform import Options, Transform


def _check_ascending(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError("the first must not be greater than the last")
    return bounds


def _parse_digits(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Bounds: TypeAlias = Annotated[
    tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], AfterValidator(_check_ascending)
]
"""The first and the last of some rows or columns, both included."""

Rotation: TypeAlias = Annotated[Literal[0, 90, 180, 270], BeforeValidator(_parse_digits)]
"""Degrees, clockwise; a number, or, as in a URL, its digits."""

Flip: TypeAlias = Annotated[
    Literal["none", "x", "y", "xy"], BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
]
"""The axes that run backwards; ``X`` means ``x``, as in the attribute ``display_flip``."""

_BinFactor: TypeAlias = Annotated[int, Field(ge=1, le=256)]
"""The number of pixels of a row or a column that make one."""

Coefficients: TypeAlias = Annotated[tuple[FiniteFloat, ...], Field(min_length=10, max_length=10)]
"""Coefficients of 1, x, y, x², xy, y², x³, x²y, xy² and y³; x is the column and y the row, both counted from 0."""

SplineOrder: TypeAlias = Annotated[Literal[0, 1, 3], BeforeValidator(_parse_digits)]
"""The order of the spline between pixels, a number or its digits: 0 is the nearest pixel, 1 linear, 3 cubic."""

_BAND_ROWS: Final = 64  # rows that are processed at a time: 1 MiB of float64 for 2048 columns

_POLYNOMIAL_POWERS: Final = tuple((total - power, power) for total in range(4) for power in range(total + 1))
"""The powers of x and of y of the `Coefficients`."""
_IDENTITY_COLUMN: Final = (0.0, 1.0, *[0.0] * 8)
_IDENTITY_ROW: Final = (0.0, 0.0, 1.0, *[0.0] * 7)

_ROTATIONS: Final = {
    0: (False, False, False),
    90: (True, False, True),
    180: (False, True, True),
    270: (True, True, False),
}
"""For a rotation: whether rows and columns are swapped; whether the result's rows, and its columns, run backwards."""


def find_rows_and_columns(image: xr.DataArray) -> tuple[str, str]:
    """Find the dimensions of an image's rows and columns: its last two, under any name.

    Raises:
        ValueError: the image has fewer.
    """
    return find_image_dimensions({str(name): size for name, size in image.sizes.items()})


def iter_bands(rows: int) -> Iterator[slice]:
    """Yield the rows of an image in bands, so that working memory per pixel is needed for one band at a time."""
    return (slice(start, min(start + _BAND_ROWS, rows)) for start in range(0, rows, _BAND_ROWS))


def crop(image: xr.DataArray, *, rows: Bounds | None = None, columns: Bounds | None = None) -> xr.DataArray:
    """Take a part of an image: a region of interest, or the area that sees light.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        rows: the first and the last to keep; all by default.
        columns: likewise.

    Returns:
        The part, of the same type.
    """
    bounds = zip(find_rows_and_columns(image), (rows, columns), strict=True)
    return select_bounds(image, {name: part for name, part in bounds if part is not None})


def check_bounds(sizes: Sizes, options: Options) -> dict[str, tuple[int, int] | None]:
    """Check that the options ``rows`` and ``columns`` lie inside an image, and return them by dimension.

    Raises:
        ValueError: the image has no rows and columns, or fewer.
    """
    bounds = dict(zip(find_image_dimensions(sizes), (options.rows, options.columns), strict=True))
    for name, part in bounds.items():
        if part is not None and part[1] >= sizes[name]:
            raise ValueError(f"{name} ends with {sizes[name] - 1}, and {part[1]} is beyond it")
    return bounds


def _crop_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    (sizes,) = inputs
    bounds = check_bounds(sizes, options)
    return Footprint(
        {
            name: Along(name, part[1] - part[0] + 1, start=part[0]) if (part := bounds.get(name)) else Along(name, size)
            for name, size in sizes.items()
        }
    )


def rotate_flip(image: xr.DataArray, *, rotation: Rotation = 0, flip: Flip = "none") -> xr.DataArray:
    """Turn an image by right angles, then mirror it.

    It means what ``RotateFlipType`` of .NET (System.Drawing) means, whose names cameras write into their files'
    attribute ``ImageDisplay``. The rotation is clockwise, for an image shown with its first row on top, and comes
    first; a flip along x is horizontal (the columns run backwards), one along y vertical. So an image turned by 90
    begins with the pixel of its last row and first column. Of a stack, each frame is turned, and the frames keep their
    order.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        rotation: degrees, clockwise: 0, 90, 180 or 270.
        flip: ``none``, ``x``, ``y`` or ``xy``.

    Returns:
        The same values, of the same type. Each dimension keeps its name: turned by 90 or 270, an image ``(y, x)``
        is one of ``(x, y)``.
    """
    turned = rotate_dimensions(find_rows_and_columns(image), rotation, flip)
    backwards = {name: slice(None, None, -1) for name, is_backwards in turned.items() if is_backwards}
    return image.isel(backwards).transpose(..., *turned)


def rotate_dimensions(dimensions: tuple[str, str], rotation: Rotation, flip: Flip) -> dict[str, bool]:
    """Return the dimensions of the turned image's rows and columns, in this order, and whether they run backwards."""
    swapped, rows, columns = _ROTATIONS[rotation]
    first, second = reversed(dimensions) if swapped else dimensions
    return {first: rows != ("y" in flip), second: columns != ("x" in flip)}


def _rotate_flip_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    (sizes,) = inputs
    turned = rotate_dimensions(find_image_dimensions(sizes), options.rotation, options.flip)
    along = {name: Along(name, size) for name, size in list(sizes.items())[:-2]}
    for name, is_backwards in turned.items():
        size = sizes[name]
        along[name] = Along(name, size, start=size - 1, step=-1) if is_backwards else Along(name, size)
    return Footprint(along)


def bin_pixels(
    image: xr.DataArray, *, rows: _BinFactor = 2, columns: _BinFactor = 2, statistic: Literal["mean", "sum"] = "mean"
) -> xr.DataArray:
    """Make one pixel of each block of pixels.

    The first block begins with the first row and column; rows and columns left over at the far edges are left out. Sums
    are made in float64. A mean leaves NaN out and is NaN where a block holds nothing else. A sum is NaN where a block
    holds one, since what is missing would make it too small. Saturated counts are taken as they are.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        rows: how many rows a block has.
        columns: how many columns.
        statistic: ``mean`` or ``sum``.

    Returns:
        The blocks' means or sums, float32, in the image's units.
    """
    sizes = dict(zip(find_rows_and_columns(image), (rows, columns), strict=True))
    inside = {name: f"{name}_within_block" for name in sizes}
    blocked = xr.DataArray(image.variable).coarsen(sizes, boundary="trim")
    pixels = blocked.construct({name: (name, within_block) for name, within_block in inside.items()})
    return (sums.average_over if statistic == "mean" else sums.sum_over)(pixels, inside.values())


def dewarp(
    image: xr.DataArray,
    *,
    row_coefficients: Coefficients = _IDENTITY_ROW,
    column_coefficients: Coefficients = _IDENTITY_COLUMN,
    order: SplineOrder = 1,
) -> xr.DataArray:
    """Set straight what optics or a tube have warped, by two polynomials of third order.

    The value at column x and row y of the result is that of the image at the column and row that the polynomials give:
    p(x, y) = c0 + c1 x + c2 y + c3 x² + c4 xy + c5 y² + c6 x³ + c7 x²y + c8 xy² + c9 y³, in pixels counted from 0. The
    order is that of scikit-image's ``PolynomialTransform``, which fits such coefficients to the points of a grid.
    Between pixels the image is a spline (``scipy.ndimage.map_coordinates``). Counts are not scaled by the change of
    area: flat light stays flat.

    What lies outside the image, beyond the middles of its outermost pixels, is NaN. A value to which a NaN contributes
    is NaN; a cubic spline runs through all pixels, so with ``order=3`` one NaN makes its frame NaN. Cubic splines
    overshoot at sharp edges. Saturated counts are taken as they are.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        row_coefficients: ten, of the row in the image; by default those of y itself.
        column_coefficients: ten, of the column in the image; by default those of x itself.
        order: of the spline: 0 (the nearest pixel), 1 (linear) or 3 (cubic).

    Returns:
        The image set straight, of the same shape, float32, in its units.
    """
    column, row = (np.arange(image.sizes[name]) for name in reversed(find_rows_and_columns(image)))
    matrices = np.zeros((2, 4, 4))  # as NumPy needs them: by the power of y, then by the power of x
    for matrix, coefficients in zip(matrices, (row_coefficients, column_coefficients), strict=True):
        for (x, y), coefficient in zip(_POLYNOMIAL_POWERS, coefficients, strict=True):
            matrix[y, x] = coefficient

    def compute_positions(band: slice) -> NDArray[Any]:
        with np.errstate(over="ignore", invalid="ignore"):  # an infinite position is outside too
            return np.stack([polygrid2d(row[band], column, each) for each in matrices])

    return _interpolate_frames(image, compute_positions, order)


def dewarp_by_map(
    image: xr.DataArray, row_displacement: xr.DataArray, column_displacement: xr.DataArray, *, order: SplineOrder = 1
) -> xr.DataArray:
    """Set straight what optics or a tube have warped, by a map of displacements.

    The value at a pixel of the result is that of the image so many rows and columns further. Between pixels, outside
    and at NaN all is as with `dewarp`; where a displacement is NaN the result is.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        row_displacement: ``[rows, columns]``, in pixels: how much further down the image shows what belongs here.
        column_displacement: likewise, to the right.
        order: of the spline: 0 (the nearest pixel), 1 (linear) or 3 (cubic).

    Returns:
        The image set straight, of the same shape, float32, in its units.
    """
    dimensions = find_rows_and_columns(image)
    down, right = (each.transpose(*dimensions).values for each in (row_displacement, column_displacement))

    def compute_positions(band: slice) -> NDArray[Any]:
        rows, columns = np.indices(down[band].shape)
        return np.stack([rows + band.start + down[band], columns + right[band]])

    return _interpolate_frames(image, compute_positions, order)


def _dewarp_by_map_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    image, *displacements = inputs
    dimensions = find_image_dimensions(image)
    if any(set(each) != set(dimensions) for each in displacements):
        raise ValueError(f"a displacement has the image's rows and columns, ({', '.join(dimensions)})")
    return whole(inputs, options)


def _interpolate_frames(
    image: xr.DataArray, compute_positions: Callable[[slice], NDArray[Any]], order: SplineOrder
) -> xr.DataArray:
    """Interpolate each frame at the rows and columns ``[2, rows, columns]`` that are computed for a band of rows."""
    from scipy.ndimage import map_coordinates, spline_filter  # noqa: PLC0415 — 0.3 s, only for dewarping

    is_cubic = order == 3  # noqa: PLR2004 — in which a NaN is part of every coefficient
    result = np.empty(image.shape, np.float32)
    for index in np.ndindex(image.shape[:-2]):
        frame = image.values[index].astype(np.float64)
        missing = np.isnan(frame)
        holes = missing.astype(np.float64) if missing.any() and not is_cubic else None
        if is_cubic:
            frame = spline_filter(frame, order, np.float64, mode="constant")
        elif holes is not None:
            frame[missing] = 0
        for band in iter_bands(len(frame)):
            positions, values = compute_positions(band), result[index][band]
            positions[~np.isfinite(positions)] = -1  # outside; SciPy reads memory outside of the image for a NaN
            map_coordinates(frame, positions, values, order, mode="constant", cval=np.nan, prefilter=False)
            if holes is not None:
                share = map_coordinates(holes, positions, np.float64, order, mode="constant", prefilter=False)
                values[share > 0] = np.nan
    return image.copy(data=result)


_COPY_MEMORY: Final = WorkingMemory(8)
"""For a view, which is copied only to swap its bytes."""
_BAND_MEMORY: Final = WorkingMemory(22, fixed=8 << 20)

TRANSFORMS = (
    Transform(crop, _crop_footprint, dtype=None, long_name="part of an image", knows_indices=True, memory=_COPY_MEMORY),
    Transform(rotate_flip, _rotate_flip_footprint, dtype=None, long_name="image, turned", memory=_COPY_MEMORY),
    Transform(
        bin_pixels,
        blocks(lambda options: options.rows, lambda options: options.columns),
        long_name="binned image",
        memory=WorkingMemory(26),
    ),
    Transform(dewarp, whole, long_name="image set straight", memory=_BAND_MEMORY),
    Transform(dewarp_by_map, _dewarp_by_map_footprint, long_name="image set straight", memory=_BAND_MEMORY),
)
