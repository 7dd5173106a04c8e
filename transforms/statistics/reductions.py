"""Statistics of a variable over its dimensions, lazily: means, extremes, and means of blocks of pixels.

Strategy: along each dimension the elements are gathered in groups: all in one (a dimension that is taken away), n at a
time (one that is binned), or each for itself. The statistics differ in what is gathered, and in nothing else. The
values are walked over once, in blocks of at most `BLOCK` bytes, so a stack of frames is never in memory whole.

Rules:

1. Stored numbers count as what they mean: they are decoded first; see `decoding`.
2. Missing values, which are NaN, are left out. A group of which nothing is left is NaN.
3. Sums and means are float64. The least and the greatest have the type of the decoded variable where that is an
   integer; otherwise float64.
4. The last group of a binned dimension holds what is left over: its mean is that of fewer pixels.
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

from shotdap.transforms.decoding import decode
from shotdap.transforms.virtual.read_cost import bytes_read, costing, working_memory

__all__ = ["BLOCK", "binned", "blocks", "maximum", "mean", "minimum"]

Array: TypeAlias = NDArray[Any]
Block: TypeAlias = tuple[slice, ...]

BLOCK: Final = 64 << 20
"""Bytes of a variable that are in memory at a time."""

_KEPT: Final = ("units", "long_name", "standard_name")  # attributes that are true of a variable's statistics too


def mean(variable: xr.Variable, axes: Sequence[int]) -> xr.Variable:
    """The mean over some dimensions, float64; lazy."""
    return _over(variable, axes, "mean", _mean)


def minimum(variable: xr.Variable, axes: Sequence[int]) -> xr.Variable:
    """The least value over some dimensions; lazy."""
    return _over(variable, axes, "minimum", partial(_extreme, np.fmin))


def maximum(variable: xr.Variable, axes: Sequence[int]) -> xr.Variable:
    """The greatest value over some dimensions; lazy."""
    return _over(variable, axes, "maximum", partial(_extreme, np.fmax))


def binned(variable: xr.Variable, sizes: Sequence[int]) -> xr.Variable:
    """The means of blocks of pixels, float64; lazy.

    Args:
        variable: what to take the means of.
        sizes: for each dimension, how many pixels a block has along it; 1 leaves it as it is.

    Returns:
        As many dimensions as before; ``y`` binned by 4 is called ``y_bin4``.
    """
    variable = decode(variable)
    along = list(zip(variable.dims, sizes, strict=True))
    dims: list[str | None] = [f"{dim}_bin{n}" if n > 1 else str(dim) for dim, n in along]
    methods = " ".join(f"{dim}: mean (interval: {n} pixels)" for dim, n in along if n > 1)
    return _lazy(_Groups(variable, tuple(sizes)), _mean, dims, methods)


@dataclass(frozen=True)
class _Groups:
    """A variable, and how many elements make a group along each of its dimensions."""

    variable: xr.Variable
    sizes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many groups there are along each dimension."""
        return tuple(-(-size // n) for size, n in zip(self.variable.shape, self.sizes, strict=True))

    def counts(self) -> Array:
        """How many elements each group has."""
        lengths = (
            np.minimum(n, size - n * np.arange(-(-size // n)))
            for size, n in zip(self.variable.shape, self.sizes, strict=True)
        )
        return reduce(np.multiply.outer, lengths, np.asarray(1))

    def blocks(self) -> Iterator[tuple[Block, Array]]:
        """The values, all once, and where they are."""
        for block in blocks(self.variable.shape, max(1, BLOCK // self.variable.dtype.itemsize)):
            yield block, np.asarray(self.variable[block].values)


@dataclass
class _Tally:
    """One number for each group, gathered block by block."""

    groups: _Groups
    ufunc: np.ufunc
    start: float
    dtype: np.dtype[Any]
    found: Array = field(init=False)

    def __post_init__(self) -> None:
        self.found = np.full(self.groups.shape, self.start, self.dtype)

    def gather(self, block: Block, values: Array) -> None:
        """Take in the values of a block, which may begin and end within groups."""
        for axis, (part, n) in enumerate(zip(block, self.groups.sizes, strict=True)):
            if n > 1:
                values = self._reduced(values, axis, n, min(-part.start % n, part.stop - part.start))
        where = tuple(
            slice(part.start // n, -(-part.stop // n)) for part, n in zip(block, self.groups.sizes, strict=True)
        )
        self.found[where] = self.ufunc(self.found[where], values)

    def _reduced(self, values: Array, axis: int, n: int, rest: int) -> Array:
        """Each n values along an axis as one; the rest of a group comes before them, and may come after them.

        A sum over one axis more is ten times as fast as ``reduceat``.
        """
        before, values, after = np.split(values, [rest, rest + (values.shape[axis] - rest) // n * n], axis=axis)
        groups = values.reshape(*values.shape[:axis], values.shape[axis] // n, n, *values.shape[axis + 1 :])
        pieces = [self._reduce(piece, axis, keepdims=True) for piece in (before, after) if piece.size]
        pieces.insert(bool(before.size), self._reduce(groups, axis + 1))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)

    def _reduce(self, values: Array, axis: int, *, keepdims: bool = False) -> Array:
        dtype = self.dtype if self.ufunc is np.add else None
        return np.asarray(self.ufunc.reduce(values, axis=axis, dtype=dtype, keepdims=keepdims))


def _mean(groups: _Groups) -> Array:
    total, absent = _Tally(groups, np.add, 0, _FLOAT), _Tally(groups, np.add, 0, np.dtype(np.int64))
    for block, values in groups.blocks():
        missing = _find_missing(values)
        if missing is not None:
            absent.gather(block, missing)
            values = np.where(missing, 0, values)  # noqa: PLW2901 — what is missing counts for nothing
        total.gather(block, values)
    return np.asarray(total.found / (groups.counts() - absent.found))


def _extreme(ufunc: np.ufunc, groups: _Groups) -> Array:
    """The least or the greatest, by ``fmin`` or ``fmax``, which pass NaN over."""
    dtype = groups.variable.dtype.newbyteorder("=")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        found = _Tally(groups, ufunc, limits.max if ufunc is np.fmin else limits.min, dtype)
    else:
        found = _Tally(groups, ufunc, math.nan, _FLOAT)
    for block, values in groups.blocks():
        found.gather(block, values)
    return found.found


def _find_missing(values: Array) -> Array | None:
    """Return which values are NaN; `None` where none is."""
    missing = np.isnan(values) if values.dtype.kind == "f" else None
    return missing if missing is not None and missing.any() else None


_FLOAT: Final = np.dtype(np.float64)


Compute: TypeAlias = Callable[[_Groups], Array]


class _Statistic(BackendArray):
    """A statistic's values, computed when they are asked for."""

    def __init__(self, groups: _Groups, compute: Compute, shape: tuple[int, ...]) -> None:
        self.groups = groups
        self.compute = compute
        self.shape = shape
        is_integer = compute is not _mean and groups.variable.dtype.kind in "iu"
        self.dtype = groups.variable.dtype.newbyteorder("=") if is_integer else _FLOAT

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._values)

    def _values(self, key: tuple[int | slice, ...]) -> Array:
        with np.errstate(all="ignore"):  # 0/0 is NaN, as rule 1 has it
            return np.asarray(self.compute(self.groups).reshape(self.shape)[key])


def _over(variable: xr.Variable, axes: Sequence[int], method: str, compute: Compute) -> xr.Variable:
    variable = decode(variable)
    sizes = tuple(max(size, 1) if axis in axes else 1 for axis, size in enumerate(variable.shape))
    dims = [None if axis in axes else str(dim) for axis, dim in enumerate(variable.dims)]
    over = "".join(f"{variable.dims[axis]}: " for axis in sorted(axes))
    return _lazy(_Groups(variable, sizes), compute, dims, over and over + method)


def _lazy(groups: _Groups, compute: Compute, dims: Sequence[str | None], methods: str) -> xr.Variable:
    """The statistic of these groups, without the dimensions that are called nothing."""
    variable = groups.variable
    sizes = {dim: size for dim, size in zip(dims, groups.shape, strict=True) if dim is not None}
    attrs = {name: variable.attrs[name] for name in _KEPT if name in variable.attrs}
    if methods:
        attrs["cell_methods"] = methods  # CF conventions, section 7.3
    statistic = _Statistic(groups, compute, tuple(sizes.values()))
    result = xr.Variable(tuple(sizes), indexing.LazilyIndexedArray(statistic), attrs)
    return costing(result, variable.nbytes + bytes_read(variable), working_memory(variable))


def blocks(shape: tuple[int, ...], most: int) -> Iterator[Block]:
    """An array's elements in blocks of at most `most`, in C order."""
    if not shape:
        yield ()
        return
    rows = max(1, most // max(1, math.prod(shape[1:])))
    fits = math.prod(shape[1:]) <= most
    for start in range(0, shape[0], rows):
        part = slice(start, min(start + rows, shape[0]))
        for rest in [tuple(slice(0, size) for size in shape[1:])] if fits else blocks(shape[1:], most):
            yield part, *rest
