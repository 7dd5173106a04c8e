"""The same camera's images of many shots as one dataset, along a dimension ``shot``; as lazy as they are.

Indexing a stack opens nothing anew: it indexes the images that the wanted shots are of, one after the other.

Rule 1: nothing is said of all images that is true of the first alone. Variables of other dimensions or units make no
stack; attributes that differ are named; values are never converted, but for types that hold them exactly.
Rule 2: a coordinate of one dimension that differs, ``x(x)``, lies along ``shot`` too. Its dimension then gets another
name, ``x(shot, x_index)``: no client takes a variable of two dimensions for the coordinate of one of them.
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

from shotdap.catalog.collections.agreement import count_paths, find_difference, find_shared_coordinate, merge_attributes
from shotdap.catalog.collections.chunk_sources import of_images
from shotdap.catalog.entry import Fact
from shotdap.transforms import UniqueNames
from shotdap.transforms.virtual.read_cost import bytes_read, costing, working_memory

__all__ = ["LEFT_OUT", "SHOT", "BadStack", "Differing", "Layer", "Ragged", "stacked"]

SHOT: Final = "shot"
"""The dimension along which images are stacked."""

LEFT_OUT: Final = "left_out"
"""The attribute of a dataset that names what is not in it, and why."""

Ragged: TypeAlias = Literal["refuse", "pad"]
"""What to do with images of different sizes: nothing at all, or fill up the smaller ones with NaN."""

Differing: TypeAlias = Literal["refuse", "omit"]
"""What to do with variables that differ in meaning: nothing at all, or leave them out."""

_PATH: Final = "path"
_COORDINATES: Final = "coordinates"
_TYPES: Final = "image_types"
_EXACT: Final = 2**53  # up to here, every whole number is a float64
_LONG: Final = 8  # bytes of an integer that may be greater


class BadStack(ValueError):
    """These images make no stack; the message says why, and what would make one."""


@dataclass(frozen=True)
class Layer:
    """One image of a stack."""

    path: str
    shot: Fact
    dataset: xr.Dataset


def stacked(layers: Sequence[Layer], ragged: Ragged, differing: Differing, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Stack images. Of their values, only coordinates of one dimension are read, to compare them.

    Args:
        layers: in the order in which they are to lie.
        ragged: what to do if they differ in size.
        differing: what to do with variables that differ in dimensions, units or the like.
        attributes: of the stack.

    Returns:
        A dataset with all variables that every image has, each with the dimension ``shot`` before its own; but
        coordinates of one dimension that are the same in all, which stay as they are. Its coordinates ``shot`` and
        ``path`` say which image lies where. What had to be filled up is floating, NaN where there is nothing, or an
        empty text. Attributes are those that all images share; ``differing_attributes`` names the others, and
        ``left_out`` the variables that are not in all images.

    Raises:
        BadStack: there are no images, or they do not lie on one another.
    """
    if not layers:
        raise BadStack("No image matches, so there is nothing to stack.")
    paths = [layer.path for layer in layers]
    images, coordinates = _set_aside([layer.dataset for layer in layers])
    common, reasons = _find_common(images, paths, differing)
    if not common:
        raise BadStack("These images have no variable in common; ask for those of one diagnostic.")
    sizes = _sizes(common, paths, ragged)
    own = {name: variables for name, variables in common.items() if variables[0].dims == (name,)}
    found = {name: find_shared_coordinate(variables) for name, variables in own.items()}
    shared = {
        name: _share(coordinate, common[name], paths) for name, coordinate in found.items() if coordinate is not None
    }
    dimensions = _name_dimensions(sizes, images, shared)
    piled = {
        name: _pile(name, variables, paths, sizes, dimensions)
        for name, variables in common.items()
        if name not in shared
    }
    beside = {name: variable for name, variable in piled.items() if name in coordinates}
    auxiliary = {_PATH: (SHOT,), **{name: variable.dims for name, variable in beside.items()}}
    for name in piled.keys() - beside.keys():
        _refer(piled[name], common[name], auxiliary, reasons)
    merged = merge_attributes([layer.dataset.attrs for layer in layers])
    missing = [str(each[LEFT_OUT]) for each in (merged, attributes) if LEFT_OUT in each]
    missing += [f"{name}: {reason}" for name, reason in reasons.items()]
    return xr.Dataset(
        {name: variable for name, variable in piled.items() if name not in beside},
        coords=xr.Coordinates({**_labels(layers), **shared, **beside}, indexes={}),
        attrs={**merged, **attributes, **({LEFT_OUT: "; ".join(missing)} if missing else {})},
    )


def _labels(layers: Sequence[Layer]) -> dict[Hashable, xr.Variable]:
    shots = np.asarray([layer.shot for layer in layers])
    shots = shots.astype(np.int32) if shots.dtype.kind == "i" and (abs(shots) < np.iinfo(np.int32).max).all() else shots
    paths = np.asarray([layer.path for layer in layers])
    for values in (shots, paths):
        values.flags.writeable = False  # every opening of the stack shares them
    return {
        SHOT: of_images(xr.Variable((SHOT,), shots, {"long_name": "shot number"}), ()),
        _PATH: of_images(xr.Variable((SHOT,), paths, {"long_name": "public path of the image"}), ()),
    }


def _set_aside(datasets: Sequence[xr.Dataset]) -> tuple[list[dict[str, xr.Variable]], frozenset[str]]:
    """The variables of each image, and the names of coordinates.

    What is called like the stack's own coordinates, or their dimension, is called ``file_<name>``.
    """
    taken = {str(name) for dataset in datasets for name in (*dataset.variables, *dataset.dims)}
    free = UniqueNames(taken)
    aside: dict[str, str] = {name: free.claim(f"file_{name}") for name in (SHOT, _PATH) if name in taken}
    images: list[dict[str, xr.Variable]] = []
    for dataset in datasets:
        image: dict[str, xr.Variable] = {}
        for name, variable in dataset.variables.items():
            ours = variable.to_base_variable()
            ours.dims = [aside.get(str(dimension), str(dimension)) for dimension in variable.dims]
            if name in aside:
                ours.attrs = {**variable.attrs, "original_name": name}
            if aside and _COORDINATES in variable.attrs:
                words = str(variable.attrs[_COORDINATES]).split()
                ours.attrs = {**ours.attrs, _COORDINATES: " ".join(aside.get(word, word) for word in words)}
            image[aside.get(str(name), str(name))] = ours
        images.append(image)
    return images, frozenset(aside.get(str(name), str(name)) for dataset in datasets for name in dataset.coords)


def _find_common(
    images: Sequence[Mapping[str, xr.Variable]], paths: Sequence[str], differing: Differing
) -> tuple[dict[str, list[xr.Variable]], dict[str, str]]:
    """The variables that every image has, and for each of the others why it is left out.

    Raises:
        BadStack: some differ in meaning, and are not to be left out.
    """
    common: dict[str, list[xr.Variable]] = {}
    reasons: dict[str, str] = {}
    differences: dict[str, str] = {}
    for name in dict.fromkeys(name for image in images for name in image):
        without = [path for path, image in zip(paths, images, strict=True) if name not in image]
        variables = [image[name] for image in images if name in image]
        if without:
            reasons[name] = f"it is not in {count_paths(without)}"
        elif difference := find_difference(variables, paths):
            differences[name] = difference
        else:
            common[name] = variables
    if differences and differing == "refuse":
        first, *others = differences
        besides = f" {len(others)} more variables differ." if others else ""
        raise BadStack(
            f"These images differ in {first}, so no one description is true of all: {differences[first]}.{besides} Ask"
            " for images that agree; or for differing-omit, to leave out the variables that differ."
        )
    return common, reasons | {name: f"its images differ: {difference}" for name, difference in differences.items()}


def _sizes(common: Mapping[str, Sequence[xr.Variable]], paths: Sequence[str], ragged: Ragged) -> dict[str, int]:
    """How long each dimension is in the stack.

    Raises:
        BadStack: the images differ, and are not to be filled up.
    """
    sizes: dict[str, int] = {}
    for path, image in zip(paths, zip(*common.values(), strict=True), strict=True):
        for dimension, size in ((str(d), s) for variable in image for d, s in variable.sizes.items()):
            if sizes.setdefault(dimension, size) != size and ragged == "refuse":
                raise BadStack(
                    f"{paths[0]} has {dimension} {sizes[dimension]}, {path} has {size}. To fill up the"
                    " smaller ones with NaN, ask for ragged-pad."
                )
            sizes[dimension] = max(sizes[dimension], size)
    return sizes


def _share(coordinate: xr.Variable, variables: Sequence[xr.Variable], paths: Sequence[str]) -> xr.Variable:
    """The coordinate of all images, with the attributes that all of them have."""
    whole = coordinate.to_base_variable()
    whole.attrs = merge_attributes([variable.attrs for variable in variables])
    longest = next(path for path, variable in zip(paths, variables, strict=True) if variable is coordinate)
    return of_images(whole, (longest,))


def _name_dimensions(
    sizes: Mapping[str, int], images: Sequence[Mapping[str, xr.Variable]], shared: Mapping[str, xr.Variable]
) -> dict[str, str]:
    """What each dimension is called: its name, unless an image has a variable of that name that is not everyone's."""
    free = UniqueNames({name for image in images for name in image} | {*sizes, SHOT, _PATH})
    return {
        dimension: free.claim(f"{dimension}_index")
        if dimension not in shared and any(dimension in image for image in images)
        else dimension
        for dimension in sizes
    }


def _pile(
    name: str,
    variables: Sequence[xr.Variable],
    paths: Sequence[str],
    sizes: Mapping[str, int],
    dimensions: Mapping[str, str],
) -> xr.Variable:
    """Variables on one another, with the attributes that all of them have."""
    own = [str(dimension) for dimension in variables[0].dims]
    array = _Pile(name, variables, tuple(sizes[dimension] for dimension in own))
    attributes = merge_attributes(
        [{name: value for name, value in each.attrs.items() if name != _COORDINATES} for each in variables]
    )
    types = dict.fromkeys(variable.dtype.name for variable in variables)
    if len(types) > 1 and array.dtype.kind not in "UO":
        attributes[_TYPES] = ", ".join(types)
    pile = xr.Variable(
        (SHOT, *(dimensions[dimension] for dimension in own)), indexing.LazilyIndexedArray(array), attributes
    )
    pile.encoding = {"preferred_chunks": {SHOT: 1}}  # in xarray's words: each shot is read by itself
    cost = sum(map(bytes_read, variables)), max(map(working_memory, variables))  # one image is computed after the other
    return of_images(costing(pile, *cost), tuple(paths))


def _refer(
    pile: xr.Variable,
    variables: Sequence[xr.Variable],
    auxiliary: Mapping[str, tuple[Hashable, ...]],
    left_out: Mapping[str, str],
) -> None:
    """Let a variable name its auxiliary coordinates: those that its images name, and those that became such."""
    named = [name for each in variables for name in str(each.attrs.get(_COORDINATES, "")).split()]
    lying = [name for name, dimensions in auxiliary.items() if set(dimensions) <= set(pile.dims)]
    pile.attrs[_COORDINATES] = " ".join(name for name in dict.fromkeys([*named, *lying]) if name not in left_out)


class _Pile(BackendArray):
    """Variables on one another, each read when it is indexed."""

    def __init__(self, name: str, layers: Sequence[xr.Variable], size: tuple[int, ...]) -> None:
        self.name = name
        self.layers = layers
        self.shape = (len(layers), *size)
        common = np.result_type(*(layer.dtype.newbyteorder("=") for layer in layers))
        is_ragged = any(layer.shape != size for layer in layers)
        self.dtype = np.result_type(common, np.float32) if is_ragged and common.kind in "biufc" else common
        self.fill = np.array("" if self.dtype.kind in "UOS" else "NaT" if self.dtype.kind in "Mm" else np.nan)

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
            return self._convert(np.asarray(layer[rest].values))
        parts = [range(*each.indices(size)) if isinstance(each, slice) else range(each, each + 1)
                 for each, size in zip(rest, self.shape[1:], strict=True)]  # fmt: skip
        there = [_within(part, size) for part, size in zip(parts, layer.shape, strict=True)]
        values = np.full([len(part) for part in parts], self.fill, self.dtype)
        inside = tuple(slice(0, len(part)) for part in there)
        values[inside] = self._convert(layer[tuple(slice(part.start, part.stop, part.step) for part in there)].values)
        return values[tuple(slice(None) if isinstance(each, slice) else 0 for each in rest)]

    def _convert(self, values: NDArray[Any]) -> NDArray[Any]:
        """The same values in the stack's type.

        Raises:
            BadStack: that type cannot hold them.
        """
        is_long = values.dtype.kind in "iu" and values.dtype.itemsize == _LONG and self.dtype.kind in "fc"
        if is_long and values.size and (values.max() > _EXACT or values.min() < -_EXACT):
            raise BadStack(
                f"{self.name} has whole numbers beyond 2**53, which {self.dtype.name}, the type of this stack, cannot"
                " hold exactly. Ask for images of one type and size."
            )
        return values.astype(self.dtype, copy=False)


def _within(part: range, size: int) -> range:
    """Those indices that are less than a size; they go up."""
    return range(part.start, min(part.stop, size), part.step) if part.start < size else range(0)


def _ranges(key: tuple[int | slice, ...], shape: tuple[int, ...]) -> Iterator[range]:
    return (range(*part.indices(size)) for part, size in zip(key, shape, strict=True) if isinstance(part, slice))
