"""The values of a virtual variable, computed for what is indexed.

Indexing narrows the inputs, as far as the footprint allows, and calls the transform on what is left: block by block,
where its working memory would be more than `BLOCK_BYTES`, which by rule 1 of `footprint` gives the same values. What needs
its inputs entire is computed once, and remembered by whoever opened the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
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

__all__ = ["Memo", "VirtualArray", "no_memo"]

Array: TypeAlias = NDArray[Any]

Memo: TypeAlias = Callable[[Hashable, Callable[[], Array]], Array]
"""Gives what was computed before under a name, or computes it."""


def no_memo(_name: Hashable, compute: Callable[[], Array]) -> Array:
    """Remember nothing: compute each time."""
    return compute()


class VirtualArray(BackendArray):
    """A virtual variable's values, computed for what is indexed."""

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
        """What any part of it reads at least."""
        read = sum(map(bytes_read, self.inputs))
        return read + sum(each.nbytes for each in self.inputs) if self.footprint.is_whole else read

    @cached_property
    def working_memory(self) -> int:
        """What computing any part of it takes at its peak; its inputs are computed before it, one after the other."""
        own = self.footprint.memory.estimate_bytes(max((each.size for each in self.inputs), default=0))
        return max(own if self.footprint.is_whole else 0, *map(working_memory, self.inputs), 0)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        compute = self._slice_whole if self.footprint.is_whole else self._compute_part
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, compute)

    def _slice_whole(self, key: tuple[int | slice, ...]) -> Array:
        return np.asarray(self.remember(self.lineage, self._compute_whole)[key])

    def _compute_whole(self) -> Array:
        everything = [{str(name): range(size) for name, size in each.sizes.items()} for each in self.inputs]
        arrays = [_read_part(each, part) for each, part in zip(self.inputs, everything, strict=True)]
        return self._call_transform(arrays, everything, self.shape)

    def _compute_part(self, key: tuple[int | slice, ...]) -> Array:
        wanted = {name: _convert_to_range(part, self.sizes[name]) for name, part in zip(self.sizes, key, strict=True)}
        shape = tuple(map(len, wanted.values()))
        squeezed = tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in key)
        if 0 in shape:
            return np.empty(shape, self.dtype)[squeezed]
        needed = self._find_input_ranges(wanted)
        arrays = [_read_part(each, part) for each, part in zip(self.inputs, needed, strict=True)]
        return self._compute_in_blocks(arrays, needed, wanted)[squeezed]

    def _find_input_ranges(self, wanted: Mapping[str, range]) -> list[dict[str, range]]:
        """Which part of each input some indices of the result need."""
        sizes = ({str(name): size for name, size in each.sizes.items()} for each in self.inputs)
        return [self.footprint.compute_source_ranges(wanted, each) for each in sizes]

    def _compute_in_blocks(
        self, arrays: list[xr.Variable], needed: list[dict[str, range]], wanted: Mapping[str, range]
    ) -> Array:
        """Compute the wanted values of the needed part of each input, by halves where it takes too much memory."""
        shape = tuple(map(len, wanted.values()))
        longest = max(wanted, key=lambda name: len(wanted[name]), default="")
        pixels = max((each.size for each in arrays), default=0)
        if self.footprint.memory.estimate_bytes(pixels) <= BLOCK_BYTES or not longest or len(wanted[longest]) == 1:
            every = {name: part for each in needed for name, part in each.items()}
            return self._call_transform(arrays, needed, shape, self.footprint.compute_trim_slices(wanted, every))
        made, half, axis = np.empty(shape, self.dtype), len(wanted[longest]) // 2, list(wanted).index(longest)
        for part in (slice(0, half), slice(half, None)):
            less = {**wanted, longest: wanted[longest][part]}
            needed_less = self._find_input_ranges(less)
            cut = [each.isel({name: _locate_range(less_of[name], all_of[name]) for name in all_of})
                   for each, less_of, all_of in zip(arrays, needed_less, needed, strict=True)]  # fmt: skip
            made[(*[slice(None)] * axis, part)] = self._compute_in_blocks(cut, needed_less, less)
        return made

    def _call_transform(
        self,
        arrays: list[xr.Variable],
        needed: list[dict[str, range]],
        shape: tuple[int, ...],
        kept: tuple[slice, ...] = (),
    ) -> Array:
        """What the transform makes of a part of each input."""
        transform = self.recipe.transform
        given = (
            add_index_coordinates(each, part) if transform.knows_indices else xr.DataArray(each)
            for each, part in zip(arrays, needed, strict=True)
        )
        result = transform.function(*given, **dict(self.recipe.validated_options))
        if len(self.sizes) > 1:
            result = result.transpose(*self.sizes)
        where: tuple[Any, ...] = (..., *kept)  # so that a single number stays an array
        values = np.asarray(np.asarray(result.values)[where])
        if values.shape != shape:
            raise BadRecipe(f"{self.recipe.name} = {self.recipe} made {values.shape} values in place of {shape}.")
        made = values.astype(self.dtype, copy=False)
        # A small view would keep the whole of a large array in memory, for as long as it is remembered.
        return made.copy() if isinstance(made.base, np.ndarray) and made.base.nbytes > 2 * made.nbytes else made


def _locate_range(part: range, whole: range) -> slice:
    """Where a part of some indices lies among them: neighbours among these are neighbours there."""
    first = (part.start - whole.start) // whole.step
    return slice(first, first + len(part))


def _convert_to_range(part: int | slice, size: int) -> range:
    return range(*part.indices(size)) if isinstance(part, slice) else range(int(part) % size, int(part) % size + 1)


def _read_part(variable: xr.Variable, part: Mapping[str, range]) -> xr.Variable:
    cuts = {name: slice(each.start, each.stop, each.step) for name, each in part.items()}
    part_read = variable.isel(cuts)
    return xr.Variable(variable.dims, np.asarray(part_read.values), variable.attrs)  # a dask array has been computed
