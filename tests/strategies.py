"""Hypothesis strategies: datasets that count what is read, hyperslabs, and valid and arbitrary selections."""

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
    "index_each",
    "indexers",
    "make_numbered",
    "selections",
]

Array = NDArray[Any]

DIMENSIONS: Final = ("y", "x", "time", "nothing")
QUICK: Final = settings(deadline=None, max_examples=50)
"""Settings for properties of whole datasets, whose duration depends on the load of the machine."""

HUGE: Final = 2**63 - 1
"""The stop that pydap requests for a dimension of length zero."""


@dataclass
class CountingSource:
    """Values in memory that record which hyperslabs were read."""

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
        """The total of numbers that were read."""
        return sum(int(np.asarray(self.values[key]).size) for key in self.reads)

    @property
    def indices(self) -> list[tuple[list[int], ...]]:
        """The indices along each dimension, for each reading."""
        return [
            tuple(
                list(range(size)[part]) if isinstance(part, slice) else [part]
                for part, size in zip(key, self.shape, strict=True)
            )
            for key in self.reads
        ]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab, and record it."""
        self.reads.append(key)
        return np.array(self.values[key])


def make_numbered(*shape: int, dtype: str = "u2") -> Array:
    """Return an array of distinct numbers."""
    return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """Draw a lazy dataset: variables of zero to three dimensions, some shared, some of length zero, and coordinates."""
    sizes = {name: draw(st.integers(1, 6)) for name in DIMENSIONS} | {"nothing": 0}
    ranks = draw(st.lists(st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=3), min_size=1, max_size=4))
    variables = {f"v{number}": _make_variable(dims, sizes, number) for number, dims in enumerate(ranks)}
    along = draw(st.lists(st.sampled_from(DIMENSIONS), unique=True))
    coordinates = {name: _make_variable([name], sizes, number) for number, name in enumerate(along)}
    dataset = xr.Dataset(variables, coords=xr.Coordinates(coordinates, indexes={}), attrs={"shot": 62328})
    dataset.encoding = {"source": "a file"}
    return dataset


def _make_variable(dims: Sequence[str], sizes: Mapping[str, int], number: int) -> xr.Variable:
    values = make_numbered(*(sizes[name] for name in dims), dtype="i4") + number * 1000
    variable = create_lazy_variable(tuple(dims), CountingSource(np.asarray(values)), {"number": number})
    variable.encoding = {"dap2": "Int32"}
    return variable


@st.composite
def cuts(draw: st.DrawFn, size: int) -> slice:
    """Draw a slice that is valid for a dimension, as in a `Selection`."""
    if size == 0:
        return slice(0, draw(st.sampled_from([0, 1, HUGE])), draw(st.sampled_from([None, 1])))
    start = draw(st.integers(0, size - 1))
    stop = draw(st.none() | st.integers(start, size))
    return slice(draw(st.sampled_from([start, None])) if start == 0 else start, stop, draw(st.integers(1, size + 2)))


@st.composite
def hyperslabs(draw: st.DrawFn, shape: tuple[int, ...]) -> Hyperslab:
    """Draw a slice for each dimension, or nothing, which selects all."""
    return draw(st.just(()) | st.tuples(*(cuts(size) for size in shape)))


@st.composite
def selections(draw: st.DrawFn, dataset: xr.Dataset) -> Selection:
    """Draw a selection that is valid for a dataset; each variable is sliced independently."""
    names = draw(st.lists(st.sampled_from([str(name) for name in dataset.variables]), unique=True))
    return Selection({name: draw(hyperslabs(dataset.variables[name].shape)) for name in names})


def any_selections(dataset: xr.Dataset) -> st.SearchStrategy[Selection]:
    """Return a strategy of arbitrary selections, also of unknown variables and with meaningless slices."""
    index = st.none() | st.integers(-3, 9) | st.just(HUGE)
    names = st.sampled_from([str(name) for name in dataset.variables]) | st.text(max_size=3)
    slabs = st.lists(st.builds(slice, index, index, index), max_size=4).map(tuple)
    return st.builds(Selection, st.dictionaries(names, slabs, max_size=4))


@st.composite
def indexers(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int | slice | Array, ...]:
    """Draw an indexer of NumPy and xarray for each dimension: an index, a slice of any step, or a list of indices."""
    return tuple(draw(_make_indexer(size)) for size in shape)


def _make_indexer(size: int) -> st.SearchStrategy[int | slice | Array]:
    slices: st.SearchStrategy[Any] = st.slices(size).filter(lambda part: _is_accepted(part, size))
    if size == 0:
        return slices
    listed = st.lists(st.integers(-size, size - 1), min_size=1, max_size=5).map(np.array)
    return st.integers(-size, size - 1) | slices | listed


def _is_accepted(part: slice, size: int) -> bool:
    """Check whether xarray accepts a slice of a lazy array; it fails on an empty one with a negative step."""
    return part.step is None or part.step > 0 or len(range(*part.indices(size))) > 0


def index_each(values: Array, indices: tuple[int | slice | Array, ...]) -> Array:
    """Index each dimension independently, as NumPy does for a single dimension."""
    for axis in reversed(range(values.ndim)):
        values = values[(slice(None),) * axis + (indices[axis],)]
    return values
