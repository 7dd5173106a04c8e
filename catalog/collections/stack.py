"""Stack one camera's images of many shots along a dimension ``shot``, as lazy as they are.

Indexing a stack opens no file: it indexes the images of the selected shots, one after the other.

Rule 1: a stack describes all its images, not only the first. Variables of different dimensions or units are refused;
attributes that differ are named; values are converted only to types that can represent them exactly.
Rule 2: a coordinate of one dimension that differs, ``x(x)``, is stacked, too. Its dimension then gets another name,
``x(shot, x_index)``, because no client accepts a variable of two dimensions as the coordinate of one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

_SHOT_DIMENSION: Final = "shot"
LEFT_OUT_ATTRIBUTE: Final = "left_out"
"""The attribute of a dataset that names what was left out, with the reasons."""

RaggedPolicy: TypeAlias = Literal["refuse", "pad"]
"""The treatment of images of different sizes: refuse them, or pad the smaller ones with NaN."""

DifferingPolicy: TypeAlias = Literal["refuse", "omit"]
"""The treatment of variables that differ in meaning: refuse the images, or omit these variables."""

_PATH_COORDINATE: Final = "path"
_COORDINATES_ATTRIBUTE: Final = "coordinates"
_TYPES_ATTRIBUTE: Final = "image_types"
_MAX_EXACT_INTEGER: Final = 2**53  # the largest range in which float64 represents every integer
_LONG_BYTES: Final = 8  # the size of integers that may exceed it


class BadStack(ValueError):
    """These images cannot be stacked; the message gives the reason, and tells which can."""


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
        layers: the images, in the order of the stack.
        ragged: the treatment of images that differ in size.
        differing: the treatment of variables that differ in dimensions, units or the like.
        attributes: of the stack.

    Returns:
        A dataset with all variables that every image has, each with the dimension ``shot`` before its own, except for
        coordinates of one dimension that are equal in all images. Its coordinates ``shot`` and ``path`` identify the
        images. Padded numbers become floating, with NaN as padding; padded text is empty. Attributes are those that all
        images share; ``differing_attributes`` names the others, and ``left_out`` the variables that some image lacks.

    Raises:
        BadStack: there are no images, or they cannot be stacked.
    """
    if not layers:
        raise BadStack("No image matches, so there is nothing to stack.")
    paths = [layer.path for layer in layers]
    images, coordinates = _rename_conflicts([layer.dataset for layer in layers])
    common, reasons = _find_common_variables(images, paths, differing)
    if not common:
        raise BadStack("These images have no variable in common; ask for those of one diagnostic.")
    sizes = _compute_sizes(common, paths, ragged)
    shared: dict[str, xr.Variable] = {}
    for name, variables in common.items():
        longest = find_shared_coordinate(variables) if variables[0].dims == (name,) else None
        if longest is not None:
            shared[name] = coordinate = longest.to_base_variable()
            coordinate.attrs = merge_attributes([variable.attrs for variable in variables])
            set_image_paths(coordinate, tuple(paths[n] for n, each in enumerate(variables) if each is longest)[:1])
    # A dimension gets another name where a variable of its name is no shared coordinate.
    free = UniqueNames({name for image in images for name in image} | {*sizes, _SHOT_DIMENSION, _PATH_COORDINATE})
    dimensions = {
        dimension: free.claim(f"{dimension}_index")
        if dimension not in shared and any(dimension in image for image in images)
        else dimension
        for dimension in sizes
    }
    stacked = {
        name: _stack_variables(name, variables, paths, sizes, dimensions)
        for name, variables in common.items()
        if name not in shared
    }
    auxiliary = {name: variable for name, variable in stacked.items() if name in coordinates}
    auxiliary_dimensions = {_PATH_COORDINATE: (_SHOT_DIMENSION,), **{name: v.dims for name, v in auxiliary.items()}}
    for name in stacked.keys() - auxiliary.keys():
        named = [word for each in common[name] for word in str(each.attrs.get(_COORDINATES_ATTRIBUTE, "")).split()]
        added = [other for other, own in auxiliary_dimensions.items() if set(own) <= set(stacked[name].dims)]
        references = dict.fromkeys(each for each in [*named, *added] if each not in reasons)
        stacked[name].attrs[_COORDINATES_ATTRIBUTE] = " ".join(references)
    merged = merge_attributes([layer.dataset.attrs for layer in layers])
    left_out = [str(each[LEFT_OUT_ATTRIBUTE]) for each in (merged, attributes) if LEFT_OUT_ATTRIBUTE in each]
    left_out += [f"{name}: {reason}" for name, reason in reasons.items()]
    shots = np.asarray([layer.shot for layer in layers])
    if shots.dtype.kind == "i" and (abs(shots) < np.iinfo(np.int32).max).all():
        shots = shots.astype(np.int32)
    own_coordinates: dict[str, xr.Variable] = {}
    for name, values, description in (
        (_SHOT_DIMENSION, shots, "shot number"),
        (_PATH_COORDINATE, np.asarray(paths), "public path of the image"),
    ):
        values.flags.writeable = False  # every opening of the stack shares them
        variable = xr.Variable((_SHOT_DIMENSION,), values, {"long_name": description})
        own_coordinates[name] = set_image_paths(variable, ())
    return xr.Dataset(
        {name: variable for name, variable in stacked.items() if name not in auxiliary},
        coords=xr.Coordinates({**own_coordinates, **shared, **auxiliary}, indexes={}),
        attrs={**merged, **attributes, **({LEFT_OUT_ATTRIBUTE: "; ".join(left_out)} if left_out else {})},
    )


def _rename_conflicts(datasets: Sequence[xr.Dataset]) -> tuple[list[dict[str, xr.Variable]], frozenset[str]]:
    """Return the variables of each image, and the names of coordinates.

    Variables and dimensions with the name of one of the stack's own coordinates are renamed to ``file_<name>``.
    """
    names = {str(name) for dataset in datasets for name in (*dataset.variables, *dataset.dims)}
    free = UniqueNames(names)
    renamed: dict[str, str] = {
        name: free.claim(f"file_{name}") for name in (_SHOT_DIMENSION, _PATH_COORDINATE) if name in names
    }
    images: list[dict[str, xr.Variable]] = []
    for dataset in datasets:
        image: dict[str, xr.Variable] = {}
        for name, variable in dataset.variables.items():
            copy = variable.to_base_variable()
            copy.dims = [renamed.get(str(dimension), str(dimension)) for dimension in variable.dims]
            if name in renamed:
                copy.attrs = {**variable.attrs, "original_name": name}
            if renamed and _COORDINATES_ATTRIBUTE in variable.attrs:
                words = str(variable.attrs[_COORDINATES_ATTRIBUTE]).split()
                references = " ".join(renamed.get(word, word) for word in words)
                copy.attrs = {**copy.attrs, _COORDINATES_ATTRIBUTE: references}
            image[renamed.get(str(name), str(name))] = copy
        images.append(image)
    return images, frozenset(renamed.get(str(name), str(name)) for dataset in datasets for name in dataset.coords)


def _find_common_variables(
    images: Sequence[Mapping[str, xr.Variable]], paths: Sequence[str], differing: DifferingPolicy
) -> tuple[dict[str, list[xr.Variable]], dict[str, str]]:
    """Return the variables that every image has, and for each of the others the reason to leave it out.

    Raises:
        BadStack: some differ in meaning, and the policy is not to omit them.
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
    """Return the size of each dimension in the stack.

    Raises:
        BadStack: the images differ in size, and the policy is not to pad them.
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


def _stack_variables(
    name: str,
    variables: Sequence[xr.Variable],
    paths: Sequence[str],
    sizes: Mapping[str, int],
    dimensions: Mapping[str, str],
) -> xr.Variable:
    """Stack the variables of one name, with the attributes that all of them share."""
    own = [str(dimension) for dimension in variables[0].dims]
    array = _StackedArray(name, variables, tuple(sizes[dimension] for dimension in own))
    attributes = merge_attributes(
        [{name: value for name, value in each.attrs.items() if name != _COORDINATES_ATTRIBUTE} for each in variables]
    )
    types = dict.fromkeys(variable.dtype.name for variable in variables)
    if len(types) > 1 and array.dtype.kind not in "UO":
        attributes[_TYPES_ATTRIBUTE] = ", ".join(types)
    stacked = xr.Variable(
        (_SHOT_DIMENSION, *(dimensions[dimension] for dimension in own)), indexing.LazilyIndexedArray(array), attributes
    )
    stacked.encoding = {"preferred_chunks": {_SHOT_DIMENSION: 1}}  # xarray's key: each shot is read by itself
    cost = sum(map(bytes_read, variables)), max(map(working_memory, variables))  # images are computed one by one
    return set_image_paths(set_read_cost(stacked, *cost), tuple(paths))


class _StackedArray(BackendArray):
    """Variables stacked along a first dimension, each read when it is indexed."""

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
        index, *rest = key
        if not isinstance(index, slice):
            return self._read_layer(int(index), tuple(rest))
        values = [self._read_layer(number, tuple(rest)) for number in range(*index.indices(len(self.layers)))]
        if values:
            return np.stack(values)
        slices = [(part, size) for part, size in zip(rest, self.shape[1:], strict=True) if isinstance(part, slice)]
        return np.empty((0, *(len(range(*part.indices(size))) for part, size in slices)), self.dtype)

    def _read_layer(self, number: int, key: tuple[int | slice, ...]) -> NDArray[Any]:
        """Read a part of one image, padded where the image ends before the part does."""
        layer = self.layers[number]
        if layer.shape == self.shape[1:]:
            return self._convert_values(np.asarray(layer[key].values))
        parts = [
            range(*each.indices(size)) if isinstance(each, slice) else range(each, each + 1)
            for each, size in zip(key, self.shape[1:], strict=True)
        ]
        inside = [  # steps are positive
            range(part.start, min(part.stop, size), part.step) if part.start < size else range(0)
            for part, size in zip(parts, layer.shape, strict=True)
        ]
        values = np.full([len(part) for part in parts], self.fill_value, self.dtype)
        values[tuple(slice(0, len(part)) for part in inside)] = self._convert_values(
            layer[tuple(slice(part.start, part.stop, part.step) for part in inside)].values
        )
        return values[tuple(slice(None) if isinstance(each, slice) else 0 for each in key)]

    def _convert_values(self, values: NDArray[Any]) -> NDArray[Any]:
        """Convert values to the type of the stack.

        Raises:
            BadStack: the type cannot represent them.
        """
        is_long = values.dtype.kind in "iu" and values.dtype.itemsize == _LONG_BYTES and self.dtype.kind in "fc"
        if is_long and values.size and (values.max() > _MAX_EXACT_INTEGER or values.min() < -_MAX_EXACT_INTEGER):
            raise BadStack(
                f"{self.name} has whole numbers beyond 2**53, which {self.dtype.name}, the type of this stack, cannot"
                " hold exactly. Ask for images of one type and size."
            )
        return values.astype(self.dtype, copy=False)
