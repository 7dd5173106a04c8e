"""The values of a virtual variable, computed for the indexed part.

Indexing reduces the inputs as far as the footprint allows, and calls the transform on the rest: block by block, if its
working memory would exceed `BLOCK_BYTES`, which by rule 1 of `footprint` gives the same values. A result that needs its
inputs entire is computed once, and remembered by the memo of the caller that opened the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from shotdap.transforms.virtual.footprint import BLOCK_BYTES, Footprint
from shotdap.transforms.virtual.positions import add_index_coordinates
from shotdap.transforms.virtual.read_cost import bytes_read, working_memory
from shotdap.transforms.virtual.recipe import BadRecipe, Recipe

Array: TypeAlias = NDArray[Any]

Memo: TypeAlias = Callable[[Hashable, Callable[[], Array]], Array]
"""Returns the array that was computed before under a name, or computes it."""


def no_memo(_name: Hashable, compute: Callable[[], Array]) -> Array:
    """Compute the array each time, and remember nothing."""
    return compute()


class VirtualArray(BackendArray):
    """The values of a virtual variable, computed for the indexed part."""

    def __init__(
        self, recipe: Recipe, inputs: tuple[xr.Variable, ...], footprint: Footprint, remember: Memo, lineage: str
    ) -> None:
        self.recipe = recipe
        self.inputs = inputs
        self.footprint = footprint
        self.remember = remember
        self.lineage = lineage
        self.sizes = footprint.sizes
        self.shape = tuple(self.sizes.values())
        self.dtype = recipe.transform.infer_dtype(inputs)

    @cached_property
    def bytes_read(self) -> int:
        """Bytes that are read for any part of it."""
        read = sum(map(bytes_read, self.inputs))
        return read + sum(each.nbytes for each in self.inputs) if self.footprint.is_whole else read

    @cached_property
    def working_memory(self) -> int:
        """Peak memory for any part of it, in bytes; its inputs are computed before it, one after the other."""
        own = self.footprint.memory.estimate_bytes(max((each.size for each in self.inputs), default=0))
        return max(own if self.footprint.is_whole else 0, *map(working_memory, self.inputs), 0)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._compute)

    def _compute(self, key: tuple[int | slice, ...]) -> Array:
        if self.footprint.is_whole:

            def compute_whole() -> Array:
                parts = [{str(name): range(size) for name, size in each.sizes.items()} for each in self.inputs]
                return self._call_transform(self._read_inputs(parts), parts, self.shape)

            return np.asarray(self.remember(self.lineage, compute_whole)[key])
        ranges = {
            name: range(*index.indices(size)) if isinstance(index, slice) else range(index % size, index % size + 1)
            for (name, size), index in zip(self.sizes.items(), key, strict=True)
        }
        shape = tuple(map(len, ranges.values()))
        squeeze = tuple(slice(None) if isinstance(index, slice) else 0 for index in key)
        if 0 in shape:
            return np.empty(shape, self.dtype)[squeeze]
        parts = self._find_input_parts(ranges)
        return self._compute_in_blocks(self._read_inputs(parts), parts, ranges)[squeeze]

    def _read_inputs(self, parts: Sequence[Mapping[str, range]]) -> list[xr.Variable]:
        arrays = []
        for variable, part in zip(self.inputs, parts, strict=True):
            read = variable.isel({name: slice(each.start, each.stop, each.step) for name, each in part.items()})
            # A dask array is computed here.
            arrays.append(xr.Variable(variable.dims, np.asarray(read.values), variable.attrs))
        return arrays

    def _find_input_parts(self, ranges: Mapping[str, range]) -> list[dict[str, range]]:
        """Find the part of each input that some indices of the result need."""
        sizes = ({str(name): size for name, size in each.sizes.items()} for each in self.inputs)
        return [self.footprint.compute_source_ranges(ranges, each) for each in sizes]

    def _compute_in_blocks(
        self, arrays: list[xr.Variable], parts: list[dict[str, range]], ranges: Mapping[str, range]
    ) -> Array:
        """Compute some indices of the result from parts of the inputs, by halves if they take too much memory."""
        shape = tuple(map(len, ranges.values()))
        longest = max(ranges, key=lambda name: len(ranges[name]), default="")
        pixels = max((each.size for each in arrays), default=0)
        if self.footprint.memory.estimate_bytes(pixels) <= BLOCK_BYTES or not longest or len(ranges[longest]) == 1:
            by_dimension = {name: part for each in parts for name, part in each.items()}
            trim = self.footprint.compute_trim_slices(ranges, by_dimension)
            return self._call_transform(arrays, parts, shape, trim)
        result, half, axis = np.empty(shape, self.dtype), len(ranges[longest]) // 2, list(ranges).index(longest)
        for piece in (slice(0, half), slice(half, None)):
            half_ranges = {**ranges, longest: ranges[longest][piece]}
            half_parts = self._find_input_parts(half_ranges)
            cuts = [array.isel({name: _locate_range(inner[name], outer[name]) for name in outer})
                    for array, inner, outer in zip(arrays, half_parts, parts, strict=True)]  # fmt: skip
            result[(*[slice(None)] * axis, piece)] = self._compute_in_blocks(cuts, half_parts, half_ranges)
        return result

    def _call_transform(
        self,
        arrays: list[xr.Variable],
        parts: list[dict[str, range]],
        shape: tuple[int, ...],
        trim: tuple[slice, ...] = (),
    ) -> Array:
        """Call the transform on a part of each input, and trim its result."""
        transform = self.recipe.transform
        arguments = (
            add_index_coordinates(each, part) if transform.knows_indices else xr.DataArray(each)
            for each, part in zip(arrays, parts, strict=True)
        )
        result = transform.function(*arguments, **dict(self.recipe.validated_options))
        if len(self.sizes) > 1:
            result = result.transpose(*self.sizes)
        where: tuple[Any, ...] = (..., *trim)  # the ellipsis keeps a single number an array
        values = np.asarray(np.asarray(result.values)[where])
        if values.shape != shape:
            raise BadRecipe(f"{self.recipe.name} = {self.recipe} made {values.shape} values in place of {shape}.")
        values = values.astype(self.dtype, copy=False)
        # A small view would keep the whole of a large array in memory, for as long as it is remembered.
        return (
            values.copy() if isinstance(values.base, np.ndarray) and values.base.nbytes > 2 * values.nbytes else values
        )


def _locate_range(part: range, whole: range) -> slice:
    """Return the slice of `whole` that is `part`, whose step is the same."""
    first = (part.start - whole.start) // whole.step
    return slice(first, first + len(part))
