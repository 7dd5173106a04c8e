"""The values of a virtual variable, computed for what is indexed.

Indexing narrows the inputs, as far as the footprint allows, and calls the transform on what is left: block by block,
where its working memory would be more than `BLOCK`, which by rule 1 of `footprint` gives the same values. What needs
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

from shotdap.transforms.virtual.footprint import BLOCK, Footprint
from shotdap.transforms.virtual.positions import with_indices
from shotdap.transforms.virtual.read_cost import bytes_read, working_memory
from shotdap.transforms.virtual.recipe import BadRecipe, Recipe

__all__ = ["Remember", "VirtualArray", "forget"]

Array: TypeAlias = NDArray[Any]

Remember: TypeAlias = Callable[[Hashable, Callable[[], Array]], Array]
"""Gives what was computed before under a name, or computes it."""


def forget(_name: Hashable, compute: Callable[[], Array]) -> Array:
    """Remember nothing: compute each time."""
    return compute()


class VirtualArray(BackendArray):
    """A virtual variable's values, computed for what is indexed."""

    def __init__(
        self, recipe: Recipe, inputs: tuple[xr.Variable, ...], footprint: Footprint, remember: Remember, lineage: str
    ) -> None:
        self.recipe = recipe
        self.inputs = inputs
        self.footprint = footprint
        self.remember = remember
        self.lineage = lineage
        self.sizes = footprint.sizes
        self.shape = tuple(self.sizes.values())
        self.dtype = recipe.transform.result_type(inputs)

    @cached_property
    def bytes_read(self) -> int:
        """What any part of it reads at least."""
        read = sum(map(bytes_read, self.inputs))
        return read + sum(each.nbytes for each in self.inputs) if self.footprint.is_whole else read

    @cached_property
    def working_memory(self) -> int:
        """What computing any part of it takes at its peak; its inputs are computed before it, one after the other."""
        own = self.footprint.working.of(max((each.size for each in self.inputs), default=0))
        return max(own if self.footprint.is_whole else 0, *map(working_memory, self.inputs), 0)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        compute = self._from_whole if self.footprint.is_whole else self._narrowed
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, compute)

    def _from_whole(self, key: tuple[int | slice, ...]) -> Array:
        return np.asarray(self.remember(self.lineage, self._whole)[key])

    def _whole(self) -> Array:
        everything = [{str(name): range(size) for name, size in each.sizes.items()} for each in self.inputs]
        arrays = [_read(each, part) for each, part in zip(self.inputs, everything, strict=True)]
        return self._computed(arrays, everything, self.shape)

    def _narrowed(self, key: tuple[int | slice, ...]) -> Array:
        wanted = {name: _wanted(part, self.sizes[name]) for name, part in zip(self.sizes, key, strict=True)}
        shape = tuple(map(len, wanted.values()))
        squeezed = tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in key)
        if 0 in shape:
            return np.empty(shape, self.dtype)[squeezed]
        needed = self._needed(wanted)
        arrays = [_read(each, part) for each, part in zip(self.inputs, needed, strict=True)]
        return self._in_blocks(arrays, needed, wanted)[squeezed]

    def _needed(self, wanted: Mapping[str, range]) -> list[dict[str, range]]:
        """Which part of each input some indices of the result need."""
        sizes = ({str(name): size for name, size in each.sizes.items()} for each in self.inputs)
        return [self.footprint.needed(wanted, each) for each in sizes]

    def _in_blocks(
        self, arrays: list[xr.Variable], needed: list[dict[str, range]], wanted: Mapping[str, range]
    ) -> Array:
        """Compute the wanted values of the needed part of each input, by halves where it takes too much memory."""
        shape = tuple(map(len, wanted.values()))
        longest = max(wanted, key=lambda name: len(wanted[name]), default="")
        pixels = max((each.size for each in arrays), default=0)
        if self.footprint.working.of(pixels) <= BLOCK or not longest or len(wanted[longest]) == 1:
            every = {name: part for each in needed for name, part in each.items()}
            return self._computed(arrays, needed, shape, self.footprint.kept(wanted, every))
        made, half, axis = np.empty(shape, self.dtype), len(wanted[longest]) // 2, list(wanted).index(longest)
        for part in (slice(0, half), slice(half, None)):
            less = {**wanted, longest: wanted[longest][part]}
            needed_less = self._needed(less)
            cut = [each.isel({name: _position(less_of[name], all_of[name]) for name in all_of})
                   for each, less_of, all_of in zip(arrays, needed_less, needed, strict=True)]  # fmt: skip
            made[(*[slice(None)] * axis, part)] = self._in_blocks(cut, needed_less, less)
        return made

    def _computed(
        self,
        arrays: list[xr.Variable],
        needed: list[dict[str, range]],
        shape: tuple[int, ...],
        kept: tuple[slice, ...] = (),
    ) -> Array:
        """What the transform makes of a part of each input."""
        transform = self.recipe.transform
        given = (
            with_indices(each, part) if transform.knows_indices else xr.DataArray(each)
            for each, part in zip(arrays, needed, strict=True)
        )
        result = transform.function(*given, **dict(self.recipe.checked))
        if len(self.sizes) > 1:
            result = result.transpose(*self.sizes)
        where: tuple[Any, ...] = (..., *kept)  # so that a single number stays an array
        values = np.asarray(np.asarray(result.values)[where])
        if values.shape != shape:
            raise BadRecipe(f"{self.recipe.name} = {self.recipe} made {values.shape} values in place of {shape}.")
        made = values.astype(self.dtype, copy=False)
        # A small view would keep the whole of a large array in memory, for as long as it is remembered.
        return made.copy() if isinstance(made.base, np.ndarray) and made.base.nbytes > 2 * made.nbytes else made


def _position(part: range, whole: range) -> slice:
    """Where a part of some indices lies among them: neighbours among these are neighbours there."""
    first = (part.start - whole.start) // whole.step
    return slice(first, first + len(part))


def _wanted(part: int | slice, size: int) -> range:
    return range(*part.indices(size)) if isinstance(part, slice) else range(int(part) % size, int(part) % size + 1)


def _read(variable: xr.Variable, part: Mapping[str, range]) -> xr.Variable:
    cuts = {name: slice(each.start, each.stop, each.step) for name, each in part.items()}
    part_read = variable.isel(cuts)
    return xr.Variable(variable.dims, np.asarray(part_read.values), variable.attrs)  # a dask array has been computed
