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

from shotdap.catalog.collections.agreement import (
    describe_difference,
    describe_paths,
    find_shared_coordinate,
    merge_attributes,
)
from shotdap.catalog.collections.chunk_sources import set_image_paths
from shotdap.catalog.entry import Fact
from shotdap.transforms import UniqueNames
from shotdap.transforms.virtual.read_cost import bytes_read, set_read_cost, working_memory

__all__ = [
    "LEFT_OUT_ATTRIBUTE",
    "SHOT_DIMENSION",
    "BadStack",
    "DifferingPolicy",
    "Layer",
    "RaggedPolicy",
    "stack_images",
]

SHOT_DIMENSION: Final = "shot"
"""The dimension along which images are stacked."""

LEFT_OUT_ATTRIBUTE: Final = "left_out"
"""The attribute of a dataset that names what is not in it, and why."""

RaggedPolicy: TypeAlias = Literal["refuse", "pad"]
"""What to do with images of different sizes: nothing at all, or fill up the smaller ones with NaN."""

DifferingPolicy: TypeAlias = Literal["refuse", "omit"]
"""What to do with variables that differ in meaning: nothing at all, or leave them out."""

_PATH_COORDINATE: Final = "path"
_COORDINATES_ATTRIBUTE: Final = "coordinates"
_TYPES_ATTRIBUTE: Final = "image_types"
_MAX_EXACT_INTEGER: Final = 2**53  # up to here, every whole number is a float64
_LONG_BYTES: Final = 8  # bytes of an integer that may be greater


class BadStack(ValueError):
    """These images make no stack; the message says why, and what would make one."""


@dataclass(frozen=True)
class Layer:
    """One image of a stack."""

    path: str
    shot: Fact
    dataset: xr.Dataset


def stack_images(
    layers: Sequence[Layer], ragged: RaggedPolicy, differing: DifferingPolicy, attributes: Mapping[str, Any]
) -> xr.Dataset:
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
    images, coordinates = _rename_conflicts([layer.dataset for layer in layers])
    common, reasons = _find_common_variables(images, paths, differing)
    if not common:
        raise BadStack("These images have no variable in common; ask for those of one diagnostic.")
    sizes = _compute_sizes(common, paths, ragged)
    own = {name: variables for name, variables in common.items() if variables[0].dims == (name,)}
    found = {name: find_shared_coordinate(variables) for name, variables in own.items()}
    shared = {
        name: _make_shared_coordinate(coordinate, common[name], paths)
        for name, coordinate in found.items()
        if coordinate is not None
    }
    dimensions = _name_dimensions(sizes, images, shared)
    piled = {
        name: _stack_variables(name, variables, paths, sizes, dimensions)
        for name, variables in common.items()
        if name not in shared
    }
    beside = {name: variable for name, variable in piled.items() if name in coordinates}
    auxiliary = {_PATH_COORDINATE: (SHOT_DIMENSION,), **{name: variable.dims for name, variable in beside.items()}}
    for name in piled.keys() - beside.keys():
        _set_coordinate_names(piled[name], common[name], auxiliary, reasons)
    merged = merge_attributes([layer.dataset.attrs for layer in layers])
    missing = [str(each[LEFT_OUT_ATTRIBUTE]) for each in (merged, attributes) if LEFT_OUT_ATTRIBUTE in each]
    missing += [f"{name}: {reason}" for name, reason in reasons.items()]
    return xr.Dataset(
        {name: variable for name, variable in piled.items() if name not in beside},
        coords=xr.Coordinates({**_build_stack_coordinates(layers), **shared, **beside}, indexes={}),
        attrs={**merged, **attributes, **({LEFT_OUT_ATTRIBUTE: "; ".join(missing)} if missing else {})},
    )


def _build_stack_coordinates(layers: Sequence[Layer]) -> dict[Hashable, xr.Variable]:
    shots = np.asarray([layer.shot for layer in layers])
    shots = shots.astype(np.int32) if shots.dtype.kind == "i" and (abs(shots) < np.iinfo(np.int32).max).all() else shots
    paths = np.asarray([layer.path for layer in layers])
    for values in (shots, paths):
        values.flags.writeable = False  # every opening of the stack shares them
    return {
        SHOT_DIMENSION: set_image_paths(xr.Variable((SHOT_DIMENSION,), shots, {"long_name": "shot number"}), ()),
        _PATH_COORDINATE: set_image_paths(
            xr.Variable((SHOT_DIMENSION,), paths, {"long_name": "public path of the image"}), ()
        ),
    }


def _rename_conflicts(datasets: Sequence[xr.Dataset]) -> tuple[list[dict[str, xr.Variable]], frozenset[str]]:
    """The variables of each image, and the names of coordinates.

    What is called like the stack's own coordinates, or their dimension, is called ``file_<name>``.
    """
    taken = {str(name) for dataset in datasets for name in (*dataset.variables, *dataset.dims)}
    free = UniqueNames(taken)
    aside: dict[str, str] = {
        name: free.claim(f"file_{name}") for name in (SHOT_DIMENSION, _PATH_COORDINATE) if name in taken
    }
    images: list[dict[str, xr.Variable]] = []
    for dataset in datasets:
        image: dict[str, xr.Variable] = {}
        for name, variable in dataset.variables.items():
            ours = variable.to_base_variable()
            ours.dims = [aside.get(str(dimension), str(dimension)) for dimension in variable.dims]
            if name in aside:
                ours.attrs = {**variable.attrs, "original_name": name}
            if aside and _COORDINATES_ATTRIBUTE in variable.attrs:
                words = str(variable.attrs[_COORDINATES_ATTRIBUTE]).split()
                ours.attrs = {**ours.attrs, _COORDINATES_ATTRIBUTE: " ".join(aside.get(word, word) for word in words)}
            image[aside.get(str(name), str(name))] = ours
        images.append(image)
    return images, frozenset(aside.get(str(name), str(name)) for dataset in datasets for name in dataset.coords)


def _find_common_variables(
    images: Sequence[Mapping[str, xr.Variable]], paths: Sequence[str], differing: DifferingPolicy
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
            reasons[name] = f"it is not in {describe_paths(without)}"
        elif difference := describe_difference(variables, paths):
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


def _compute_sizes(
    common: Mapping[str, Sequence[xr.Variable]], paths: Sequence[str], ragged: RaggedPolicy
) -> dict[str, int]:
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


def _make_shared_coordinate(
    coordinate: xr.Variable, variables: Sequence[xr.Variable], paths: Sequence[str]
) -> xr.Variable:
    """The coordinate of all images, with the attributes that all of them have."""
    whole = coordinate.to_base_variable()
    whole.attrs = merge_attributes([variable.attrs for variable in variables])
    longest = next(path for path, variable in zip(paths, variables, strict=True) if variable is coordinate)
    return set_image_paths(whole, (longest,))


def _name_dimensions(
    sizes: Mapping[str, int], images: Sequence[Mapping[str, xr.Variable]], shared: Mapping[str, xr.Variable]
) -> dict[str, str]:
    """What each dimension is called: its name, unless an image has a variable of that name that is not everyone's."""
    free = UniqueNames({name for image in images for name in image} | {*sizes, SHOT_DIMENSION, _PATH_COORDINATE})
    return {
        dimension: free.claim(f"{dimension}_index")
        if dimension not in shared and any(dimension in image for image in images)
        else dimension
        for dimension in sizes
    }


def _stack_variables(
    name: str,
    variables: Sequence[xr.Variable],
    paths: Sequence[str],
    sizes: Mapping[str, int],
    dimensions: Mapping[str, str],
) -> xr.Variable:
    """Variables on one another, with the attributes that all of them have."""
    own = [str(dimension) for dimension in variables[0].dims]
    array = _StackedArray(name, variables, tuple(sizes[dimension] for dimension in own))
    attributes = merge_attributes(
        [{name: value for name, value in each.attrs.items() if name != _COORDINATES_ATTRIBUTE} for each in variables]
    )
    types = dict.fromkeys(variable.dtype.name for variable in variables)
    if len(types) > 1 and array.dtype.kind not in "UO":
        attributes[_TYPES_ATTRIBUTE] = ", ".join(types)
    pile = xr.Variable(
        (SHOT_DIMENSION, *(dimensions[dimension] for dimension in own)), indexing.LazilyIndexedArray(array), attributes
    )
    pile.encoding = {"preferred_chunks": {SHOT_DIMENSION: 1}}  # in xarray's words: each shot is read by itself
    cost = sum(map(bytes_read, variables)), max(map(working_memory, variables))  # one image is computed after the other
    return set_image_paths(set_read_cost(pile, *cost), tuple(paths))


def _set_coordinate_names(
    pile: xr.Variable,
    variables: Sequence[xr.Variable],
    auxiliary: Mapping[str, tuple[Hashable, ...]],
    left_out: Mapping[str, str],
) -> None:
    """Let a variable name its auxiliary coordinates: those that its images name, and those that became such."""
    named = [name for each in variables for name in str(each.attrs.get(_COORDINATES_ATTRIBUTE, "")).split()]
    lying = [name for name, dimensions in auxiliary.items() if set(dimensions) <= set(pile.dims)]
    pile.attrs[_COORDINATES_ATTRIBUTE] = " ".join(
        name for name in dict.fromkeys([*named, *lying]) if name not in left_out
    )


class _StackedArray(BackendArray):
    """Variables on one another, each read when it is indexed."""

    def __init__(self, name: str, layers: Sequence[xr.Variable], size: tuple[int, ...]) -> None:
        self.name = name
        self.layers = layers
        self.shape = (len(layers), *size)
        common = np.result_type(*(layer.dtype.newbyteorder("=") for layer in layers))
        is_ragged = any(layer.shape != size for layer in layers)
        self.dtype = np.result_type(common, np.float32) if is_ragged and common.kind in "biufc" else common
        self.fill_value = np.array("" if self.dtype.kind in "UOS" else "NaT" if self.dtype.kind in "Mm" else np.nan)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read_hyperslab)

    def _read_hyperslab(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        which, *rest = key
        if not isinstance(which, slice):
            return self._read_layer(int(which), tuple(rest))
        chosen = range(*which.indices(len(self.layers)))
        values = [self._read_layer(number, tuple(rest)) for number in chosen]
        return np.stack(values) if values else self._empty(tuple(rest))

    def _empty(self, rest: tuple[int | slice, ...]) -> NDArray[Any]:
        return np.empty((0, *(len(part) for part in _expand_slices(rest, self.shape[1:]))), self.dtype)

    def _read_layer(self, number: int, rest: tuple[int | slice, ...]) -> NDArray[Any]:
        """A part of one image, filled up where that ends before the part does."""
        layer = self.layers[number]
        if layer.shape == self.shape[1:]:
            return self._convert_values(np.asarray(layer[rest].values))
        parts = [range(*each.indices(size)) if isinstance(each, slice) else range(each, each + 1)
                 for each, size in zip(rest, self.shape[1:], strict=True)]  # fmt: skip
        there = [_clip_range(part, size) for part, size in zip(parts, layer.shape, strict=True)]
        values = np.full([len(part) for part in parts], self.fill_value, self.dtype)
        inside = tuple(slice(0, len(part)) for part in there)
        values[inside] = self._convert_values(
            layer[tuple(slice(part.start, part.stop, part.step) for part in there)].values
        )
        return values[tuple(slice(None) if isinstance(each, slice) else 0 for each in rest)]

    def _convert_values(self, values: NDArray[Any]) -> NDArray[Any]:
        """The same values in the stack's type.

        Raises:
            BadStack: that type cannot hold them.
        """
        is_long = values.dtype.kind in "iu" and values.dtype.itemsize == _LONG_BYTES and self.dtype.kind in "fc"
        if is_long and values.size and (values.max() > _MAX_EXACT_INTEGER or values.min() < -_MAX_EXACT_INTEGER):
            raise BadStack(
                f"{self.name} has whole numbers beyond 2**53, which {self.dtype.name}, the type of this stack, cannot"
                " hold exactly. Ask for images of one type and size."
            )
        return values.astype(self.dtype, copy=False)


def _clip_range(part: range, size: int) -> range:
    """Those indices that are less than a size; they go up."""
    return range(part.start, min(part.stop, size), part.step) if part.start < size else range(0)


def _expand_slices(key: tuple[int | slice, ...], shape: tuple[int, ...]) -> Iterator[range]:
    return (range(*part.indices(size)) for part, size in zip(key, shape, strict=True) if isinstance(part, slice))
