"""The values of a virtual variable, computed for what is indexed.

Indexing narrows the inputs, as far as the footprint allows, and calls the transform on what is left. What needs its
inputs entire is computed once, and remembered by whoever opened the dataset.
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

from shotdap.transforms.footprint import Footprint
from shotdap.transforms.positions import with_indices
from shotdap.transforms.reading import bytes_read
from shotdap.transforms.recipe import BadRecipe, Recipe

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

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        compute = self._from_whole if self.footprint.is_whole else self._narrowed
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, compute)

    def _from_whole(self, key: tuple[int | slice, ...]) -> Array:
        return np.asarray(self.remember(self.lineage, self._whole)[key])

    def _whole(self) -> Array:
        everything = [{str(name): range(size) for name, size in each.sizes.items()} for each in self.inputs]
        return self._computed(everything, self.shape)

    def _narrowed(self, key: tuple[int | slice, ...]) -> Array:
        wanted = {name: _wanted(part, self.sizes[name]) for name, part in zip(self.sizes, key, strict=True)}
        shape = tuple(map(len, wanted.values()))
        squeezed = tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in key)
        if 0 in shape:
            return np.empty(shape, self.dtype)[squeezed]
        sizes = [{str(name): size for name, size in each.sizes.items()} for each in self.inputs]
        needed = [self.footprint.needed(wanted, each) for each in sizes]
        every = {name: part for each in needed for name, part in each.items()}
        return self._computed(needed, shape, self.footprint.kept(wanted, every))[squeezed]

    def _computed(self, needed: list[dict[str, range]], shape: tuple[int, ...], kept: tuple[slice, ...] = ()) -> Array:
        """What the transform makes of a part of each input."""
        transform = self.recipe.transform
        arrays = [_read(each, part) for each, part in zip(self.inputs, needed, strict=True)]
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
        return values.astype(self.dtype, copy=False)


def _wanted(part: int | slice, size: int) -> range:
    return range(*part.indices(size)) if isinstance(part, slice) else range(int(part) % size, int(part) % size + 1)


def _read(variable: xr.Variable, part: Mapping[str, range]) -> xr.Variable:
    cuts = {name: slice(each.start, each.stop, each.step) for name, each in part.items()}
    part_read = variable.isel(cuts)
    return xr.Variable(variable.dims, np.asarray(part_read.values), variable.attrs)  # a dask array has been computed
