"""Statistics of a variable over its dimensions, lazily: means, extremes, and means of blocks of pixels.

Strategy: along each dimension the elements are grouped: all in one group (a reduced dimension), n at a time (a binned
one), or each alone. The statistics differ only in the function of a group. The values are read once, in blocks of at
most `BLOCK_BYTES` bytes, so a stack of frames is never in memory whole.

Rules:

1. Stored numbers are decoded first; see `decoding`.
2. Missing values, which are NaN, are left out. A group without other values is NaN.
3. Sums and means are float64. Minimum and maximum have the type of the decoded variable if that is an integer;
   otherwise float64.
4. The last group of a binned dimension may have fewer pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from shotdap.transforms.decoding import decode_variable
from shotdap.transforms.virtual.read_cost import bytes_read, set_read_cost, working_memory

Array: TypeAlias = NDArray[Any]
Block: TypeAlias = tuple[slice, ...]

BLOCK_BYTES: Final = 64 << 20
"""Bytes of a variable that are in memory at a time."""

_KEPT_ATTRIBUTES: Final = ("units", "long_name", "standard_name")  # true of a variable's statistics too


def compute_mean(variable: xr.Variable, axes: Sequence[int]) -> xr.Variable:
    """Compute the mean over some dimensions, float64; lazy."""
    return _reduce_dimensions(variable, axes, "mean", _compute_group_means)


def compute_minimum(variable: xr.Variable, axes: Sequence[int]) -> xr.Variable:
    """Compute the least value over some dimensions; lazy."""
    return _reduce_dimensions(variable, axes, "minimum", partial(_compute_group_extremes, np.fmin))


def compute_maximum(variable: xr.Variable, axes: Sequence[int]) -> xr.Variable:
    """Compute the greatest value over some dimensions; lazy."""
    return _reduce_dimensions(variable, axes, "maximum", partial(_compute_group_extremes, np.fmax))


def compute_block_means(variable: xr.Variable, sizes: Sequence[int]) -> xr.Variable:
    """Compute the means of blocks of pixels, float64; lazy.

    Args:
        variable: any numbers.
        sizes: the length of a block along each dimension; 1 leaves the dimension unchanged.

    Returns:
        As many dimensions as before; ``y`` binned by 4 has the name ``y_bin4``.
    """
    variable = decode_variable(variable)
    along = list(zip(variable.dims, sizes, strict=True))
    dims: list[str | None] = [f"{dim}_bin{n}" if n > 1 else str(dim) for dim, n in along]
    methods = " ".join(f"{dim}: mean (interval: {n} pixels)" for dim, n in along if n > 1)
    return _make_lazy_variable(_Groups(variable, tuple(sizes)), _compute_group_means, dims, methods)


@dataclass(frozen=True)
class _Groups:
    """A variable, and the length of a group along each of its dimensions."""

    variable: xr.Variable
    sizes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of groups along each dimension."""
        return tuple(-(-size // n) for size, n in zip(self.variable.shape, self.sizes, strict=True))

    def count_elements(self) -> Array:
        """Count the elements of each group."""
        lengths = (
            np.minimum(n, size - n * np.arange(-(-size // n)))
            for size, n in zip(self.variable.shape, self.sizes, strict=True)
        )
        return reduce(np.multiply.outer, lengths, np.asarray(1))

    def iter_blocks(self) -> Iterator[tuple[Block, Array]]:
        """Yield all values in blocks, with the position of each block."""
        for block in split_into_blocks(self.variable.shape, max(1, BLOCK_BYTES // self.variable.dtype.itemsize)):
            yield block, np.asarray(self.variable[block].values)


@dataclass
class _Accumulator:
    """One number for each group, accumulated block by block."""

    groups: _Groups
    ufunc: np.ufunc
    initial: float
    dtype: np.dtype[Any]
    result: Array = field(init=False)

    def __post_init__(self) -> None:
        self.result = np.full(self.groups.shape, self.initial, self.dtype)

    def add_block(self, block: Block, values: Array) -> None:
        """Add the values of a block, which may begin and end within groups."""
        for axis, (part, n) in enumerate(zip(block, self.groups.sizes, strict=True)):
            if n > 1:
                values = self._reduce_axis(values, axis, n, min(-part.start % n, part.stop - part.start))
        where = tuple(
            slice(part.start // n, -(-part.stop // n)) for part, n in zip(block, self.groups.sizes, strict=True)
        )
        self.result[where] = self.ufunc(self.result[where], values)

    def _reduce_axis(self, values: Array, axis: int, n: int, rest: int) -> Array:
        """Reduce each n values along an axis to one; a part of a group comes before them, and may come after them.

        A sum over an additional axis is ten times as fast as ``reduceat``.
        """
        before, values, after = np.split(values, [rest, rest + (values.shape[axis] - rest) // n * n], axis=axis)
        groups = values.reshape(*values.shape[:axis], values.shape[axis] // n, n, *values.shape[axis + 1 :])
        pieces = [self._reduce_values(piece, axis, keepdims=True) for piece in (before, after) if piece.size]
        pieces.insert(bool(before.size), self._reduce_values(groups, axis + 1))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)

    def _reduce_values(self, values: Array, axis: int, *, keepdims: bool = False) -> Array:
        dtype = self.dtype if self.ufunc is np.add else None
        return np.asarray(self.ufunc.reduce(values, axis=axis, dtype=dtype, keepdims=keepdims))


def _compute_group_means(groups: _Groups) -> Array:
    total, absent = _Accumulator(groups, np.add, 0, _FLOAT64), _Accumulator(groups, np.add, 0, np.dtype(np.int64))
    for block, values in groups.iter_blocks():
        missing = np.isnan(values) if values.dtype.kind == "f" else None
        if missing is not None and missing.any():
            absent.add_block(block, missing)
            values = np.where(missing, 0, values)  # noqa: PLW2901 — they add nothing to the sum
        total.add_block(block, values)
    return np.asarray(total.result / (groups.count_elements() - absent.result))


def _compute_group_extremes(ufunc: np.ufunc, groups: _Groups) -> Array:
    """Compute minimum or maximum, by ``fmin`` or ``fmax``, which ignore NaN."""
    dtype = groups.variable.dtype.newbyteorder("=")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        extremes = _Accumulator(groups, ufunc, limits.max if ufunc is np.fmin else limits.min, dtype)
    else:
        extremes = _Accumulator(groups, ufunc, math.nan, _FLOAT64)
    for block, values in groups.iter_blocks():
        extremes.add_block(block, values)
    return extremes.result


_FLOAT64: Final = np.dtype(np.float64)


_Compute: TypeAlias = Callable[[_Groups], Array]


class _StatisticArray(BackendArray):
    """A statistic's values, computed when they are indexed."""

    def __init__(self, groups: _Groups, compute: _Compute, shape: tuple[int, ...]) -> None:
        self.groups = groups
        self.compute = compute
        self.shape = shape
        is_integer = compute is not _compute_group_means and groups.variable.dtype.kind in "iu"
        self.dtype = groups.variable.dtype.newbyteorder("=") if is_integer else _FLOAT64

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        def compute_part(key: tuple[int | slice, ...]) -> Array:
            with np.errstate(all="ignore"):  # 0/0 is NaN, by rule 2
                return np.asarray(self.compute(self.groups).reshape(self.shape)[key])

        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, compute_part)


def _reduce_dimensions(variable: xr.Variable, axes: Sequence[int], method: str, compute: _Compute) -> xr.Variable:
    variable = decode_variable(variable)
    sizes = tuple(max(size, 1) if axis in axes else 1 for axis, size in enumerate(variable.shape))
    dims = [None if axis in axes else str(dim) for axis, dim in enumerate(variable.dims)]
    over = "".join(f"{variable.dims[axis]}: " for axis in sorted(axes))
    return _make_lazy_variable(_Groups(variable, sizes), compute, dims, over and over + method)


def _make_lazy_variable(groups: _Groups, compute: _Compute, dims: Sequence[str | None], methods: str) -> xr.Variable:
    """Make the lazy variable of a statistic; a dimension whose name is `None` is dropped."""
    variable = groups.variable
    sizes = {dim: size for dim, size in zip(dims, groups.shape, strict=True) if dim is not None}
    attrs = {name: variable.attrs[name] for name in _KEPT_ATTRIBUTES if name in variable.attrs}
    if methods:
        attrs["cell_methods"] = methods  # CF conventions, section 7.3
    statistic = _StatisticArray(groups, compute, tuple(sizes.values()))
    result = xr.Variable(tuple(sizes), indexing.LazilyIndexedArray(statistic), attrs)
    return set_read_cost(result, variable.nbytes + bytes_read(variable), working_memory(variable))


def split_into_blocks(shape: tuple[int, ...], most: int) -> Iterator[Block]:
    """Split an array into blocks of at most `most` elements, in C order."""
    if not shape:
        yield ()
        return
    rows = max(1, most // max(1, math.prod(shape[1:])))
    fits = math.prod(shape[1:]) <= most
    for start in range(0, shape[0], rows):
        part = slice(start, min(start + rows, shape[0]))
        for rest in [tuple(slice(0, size) for size in shape[1:])] if fits else split_into_blocks(shape[1:], most):
            yield part, *rest
