"""The same camera's images of many shots as one dataset, along a dimension ``shot``; as lazy as they are.

Indexing a stack opens nothing anew: it indexes the images that the wanted shots are of, one after the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from shotdap.catalog.entry import Fact
from shotdap.catalog.membership import of_images
from shotdap.transforms.reading import bytes_read, costing, working_memory

__all__ = ["SHOT", "BadStack", "Layer", "Ragged", "stacked"]

SHOT: Final = "shot"
"""The dimension along which images are stacked."""

Ragged: TypeAlias = Literal["refuse", "pad"]
"""What to do with images of different sizes: nothing at all, or fill up the smaller ones with NaN."""


class BadStack(ValueError):
    """These images make no stack; the message says why, and what would make one."""


@dataclass(frozen=True)
class Layer:
    """One image of a stack."""

    path: str
    shot: Fact
    dataset: xr.Dataset


def stacked(layers: Sequence[Layer], ragged: Ragged, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Stack images.

    Args:
        layers: in the order in which they are to lie.
        ragged: what to do if they differ in size.
        attributes: of the stack.

    Returns:
        A dataset with all variables that every image has, each with the dimension ``shot`` before its own; but pixel
        numbers, which stay as they are. Its coordinates ``shot`` and ``path`` say which image lies where. What had
        to be filled up is floating, NaN where there is nothing.

    Raises:
        BadStack: there are no images, or they do not lie on one another.
    """
    if not layers:
        raise BadStack("No image matches, so there is nothing to stack.")
    first = layers[0].dataset
    common = [name for name in first.variables if all(name in layer.dataset.variables for layer in layers)]
    if not common:
        raise BadStack("These images have no variable in common; ask for those of one diagnostic.")
    sizes = _sizes(layers, common, ragged)
    flat = {name: first.variables[name] for name in common if first.variables[name].dims == (name,)}
    whole = {name: _longest(layers, name) for name in flat}
    piled = {name: _piled(str(name), layers, sizes) for name in common if name not in flat}
    coordinates = {name: variable for name, variable in piled.items() if name in first.coords}
    return xr.Dataset(
        {name: variable for name, variable in piled.items() if name not in coordinates},
        coords=xr.Coordinates({**_labels(layers), **whole, **coordinates}, indexes={}),
        attrs=dict(attributes),
    )


def _labels(layers: Sequence[Layer]) -> dict[Hashable, xr.Variable]:
    shots = np.asarray([layer.shot for layer in layers])
    shots = shots.astype(np.int32) if shots.dtype.kind == "i" and (abs(shots) < np.iinfo(np.int32).max).all() else shots
    paths = np.asarray([layer.path for layer in layers])
    return {
        SHOT: of_images(xr.Variable((SHOT,), shots, {"long_name": "shot number"}), ()),
        "path": of_images(xr.Variable((SHOT,), paths, {"long_name": "public path of the image"}), ()),
    }


def _sizes(layers: Sequence[Layer], common: Sequence[Hashable], ragged: Ragged) -> dict[Hashable, int]:
    """How long each dimension is in the stack.

    Raises:
        BadStack: the images differ, and are not to be filled up.
    """
    sizes: dict[Hashable, int] = {}
    for layer in layers:
        for dimension, size in ((d, s) for name in common for d, s in layer.dataset.variables[name].sizes.items()):
            if sizes.setdefault(dimension, size) != size and ragged == "refuse":
                raise BadStack(
                    f"{layers[0].path} has {dimension} {sizes[dimension]}, {layer.path} has {size}. To fill up the"
                    " smaller ones with NaN, ask for ragged-pad."
                )
            sizes[dimension] = max(sizes[dimension], size)
    return sizes


def _longest(layers: Sequence[Layer], name: Hashable) -> xr.Variable:
    longest = max(layers, key=lambda layer: layer.dataset.variables[name].size)
    return of_images(longest.dataset.variables[name], (longest.path,))


def _piled(name: str, layers: Sequence[Layer], sizes: Mapping[Hashable, int]) -> xr.Variable:
    variables = [layer.dataset.variables[name] for layer in layers]
    dimensions = variables[0].dims
    for layer, variable in zip(layers, variables, strict=True):
        if variable.dims != dimensions:
            raise BadStack(f"{name} of {layer.path} has other dimensions than that of {layers[0].path}.")
    array = _Pile(variables, tuple(sizes[dimension] for dimension in dimensions))
    pile = xr.Variable((SHOT, *dimensions), indexing.LazilyIndexedArray(array), _alike(variables))
    pile.encoding = {"preferred_chunks": {SHOT: 1}}  # in xarray's words: each shot is read by itself
    cost = sum(map(bytes_read, variables)), max(map(working_memory, variables))  # one image is computed after the other
    return of_images(costing(pile, *cost), tuple(layer.path for layer in layers))


def _alike(variables: Sequence[xr.Variable]) -> dict[str, Any]:
    """The attributes that all have, with the same values."""
    first, *others = (variable.attrs for variable in variables)
    return {
        str(name): value
        for name, value in first.items()
        if all(name in other and np.array_equal(other[name], value) for other in others)
    }


class _Pile(BackendArray):
    """Variables on one another, each read when it is indexed."""

    def __init__(self, layers: Sequence[xr.Variable], size: tuple[int, ...]) -> None:
        self.layers = layers
        self.shape = (len(layers), *size)
        self.is_ragged = any(layer.shape != size for layer in layers)
        common = np.result_type(*(layer.dtype.newbyteorder("=") for layer in layers))
        self.dtype = np.result_type(common, np.float32) if self.is_ragged else common

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        which, *rest = key
        if not isinstance(which, slice):
            return self._layer(int(which), tuple(rest))
        chosen = range(*which.indices(len(self.layers)))
        values = [self._layer(number, tuple(rest)) for number in chosen]
        return np.stack(values) if values else self._empty(tuple(rest))

    def _empty(self, rest: tuple[int | slice, ...]) -> NDArray[Any]:
        return np.empty((0, *(len(part) for part in _ranges(rest, self.shape[1:]))), self.dtype)

    def _layer(self, number: int, rest: tuple[int | slice, ...]) -> NDArray[Any]:
        """A part of one image, filled up where that ends before the part does."""
        layer = self.layers[number]
        if layer.shape == self.shape[1:]:
            return np.asarray(layer[rest].values).astype(self.dtype, copy=False)
        parts = [range(*each.indices(size)) if isinstance(each, slice) else range(each, each + 1)
                 for each, size in zip(rest, self.shape[1:], strict=True)]  # fmt: skip
        there = [_within(part, size) for part, size in zip(parts, layer.shape, strict=True)]
        values = np.full([len(part) for part in parts], np.nan, self.dtype)
        inside = tuple(slice(0, len(part)) for part in there)
        values[inside] = layer[tuple(slice(part.start, part.stop, part.step) for part in there)].values
        return values[tuple(slice(None) if isinstance(each, slice) else 0 for each in rest)]


def _within(part: range, size: int) -> range:
    """Those indices that are less than a size; they go up."""
    return range(part.start, min(part.stop, size), part.step) if part.start < size else range(0)


def _ranges(key: tuple[int | slice, ...], shape: tuple[int, ...]) -> Iterator[range]:
    return (range(*part.indices(size)) for part, size in zip(key, shape, strict=True) if isinstance(part, slice))
