"""Hypothesis: datasets that count what is read of them, hyperslabs, selections that fit and selections that may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import xarray as xr
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shotdap.catalog.readers.lazy import BasicIndex, create_lazy_variable
from shotdap.transforms import Hyperslab, Selection

__all__ = [
    "QUICK",
    "CountingSource",
    "any_selections",
    "cuts",
    "datasets",
    "hyperslabs",
    "indexers",
    "numbered",
    "outer",
    "selections",
]

Array = NDArray[Any]

DIMENSIONS: Final = ("y", "x", "time", "nothing")
QUICK: Final = settings(deadline=None, max_examples=50)
"""For properties of whole datasets, whose time depends on what else the machine does."""

HUGE: Final = 2**63 - 1
"""The stop that pydap asks for of a dimension of length zero."""


@dataclass
class CountingSource:
    """Values in memory that remember which hyperslabs of them were read."""

    values: Array
    reads: list[BasicIndex] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.values.dtype

    @property
    def count(self) -> int:
        """How many numbers were read in all."""
        return sum(int(np.asarray(self.values[key]).size) for key in self.reads)

    @property
    def indices(self) -> list[tuple[list[int], ...]]:
        """For each reading the indices along each dimension."""
        return [
            tuple(
                list(range(size)[part]) if isinstance(part, slice) else [part]
                for part, size in zip(key, self.shape, strict=True)
            )
            for key in self.reads
        ]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab, and remember it."""
        self.reads.append(key)
        return np.array(self.values[key])


def numbered(*shape: int, dtype: str = "u2") -> Array:
    """An array in which no two numbers are the same."""
    return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """A lazy dataset: variables of none to three dimensions, some shared, some of length zero, some coordinates."""
    sizes = {name: draw(st.integers(1, 6)) for name in DIMENSIONS} | {"nothing": 0}
    ranks = draw(st.lists(st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=3), min_size=1, max_size=4))
    variables = {f"v{number}": _variable(dims, sizes, number) for number, dims in enumerate(ranks)}
    along = draw(st.lists(st.sampled_from(DIMENSIONS), unique=True))
    coordinates = {name: _variable([name], sizes, number) for number, name in enumerate(along)}
    dataset = xr.Dataset(variables, coords=xr.Coordinates(coordinates, indexes={}), attrs={"shot": 62328})
    dataset.encoding = {"source": "a file"}
    return dataset


def _variable(dims: Sequence[str], sizes: Mapping[str, int], number: int) -> xr.Variable:
    values = numbered(*(sizes[name] for name in dims), dtype="i4") + number * 1000
    variable = create_lazy_variable(tuple(dims), CountingSource(np.asarray(values)), {"number": number})
    variable.encoding = {"dap2": "Int32"}
    return variable


@st.composite
def cuts(draw: st.DrawFn, size: int) -> slice:
    """A slice that fits a dimension, as `Selection` wants it."""
    if size == 0:
        return slice(0, draw(st.sampled_from([0, 1, HUGE])), draw(st.sampled_from([None, 1])))
    start = draw(st.integers(0, size - 1))
    stop = draw(st.none() | st.integers(start, size))
    return slice(draw(st.sampled_from([start, None])) if start == 0 else start, stop, draw(st.integers(1, size + 2)))


@st.composite
def hyperslabs(draw: st.DrawFn, shape: tuple[int, ...]) -> Hyperslab:
    """A slice for each dimension, or nothing for all of them."""
    return draw(st.just(()) | st.tuples(*(cuts(size) for size in shape)))


@st.composite
def selections(draw: st.DrawFn, dataset: xr.Dataset) -> Selection:
    """A selection that fits a dataset; each variable is cut by itself."""
    names = draw(st.lists(st.sampled_from([str(name) for name in dataset.variables]), unique=True))
    return Selection({name: draw(hyperslabs(dataset.variables[name].shape)) for name in names})


def any_selections(dataset: xr.Dataset) -> st.SearchStrategy[Selection]:
    """Any selection, of variables that may not exist, with slices that may make no sense."""
    index = st.none() | st.integers(-3, 9) | st.just(HUGE)
    names = st.sampled_from([str(name) for name in dataset.variables]) | st.text(max_size=3)
    slabs = st.lists(st.builds(slice, index, index, index), max_size=4).map(tuple)
    return st.builds(Selection, st.dictionaries(names, slabs, max_size=4))


@st.composite
def indexers(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int | slice | Array, ...]:
    """What NumPy and xarray take for each dimension: an index, a slice of any step, or a list of indices."""
    return tuple(draw(_indexer(size)) for size in shape)


def _indexer(size: int) -> st.SearchStrategy[int | slice | Array]:
    slices: st.SearchStrategy[Any] = st.slices(size).filter(lambda part: _is_up_or_something(part, size))
    if size == 0:
        return slices
    listed = st.lists(st.integers(-size, size - 1), min_size=1, max_size=5).map(np.array)
    return st.integers(-size, size - 1) | slices | listed


def _is_up_or_something(part: slice, size: int) -> bool:
    """Whether xarray takes a slice of a lazy array; it fails on one that goes down and is empty."""
    return part.step is None or part.step > 0 or len(range(*part.indices(size))) > 0


def outer(values: Array, indices: tuple[int | slice | Array, ...]) -> Array:
    """What NumPy gives for an index, a slice or a list for each dimension, each taken by itself."""
    for axis in reversed(range(values.ndim)):
        values = values[(slice(None),) * axis + (indices[axis],)]
    return values
