"""What netCDF-4 and NeXus agree on: how values, texts and attributes stand in HDF5, and which group an attribute is of.

Rule 1: text attributes are fixed-length strings, as netCDF-C writes them: MATLAB and IDL read those.
Rule 2: texts are UTF-8 of any length.
Rule 3: a name with slashes is a path, and an attribute of the dataset is one of a group where its name says so, and
there is such a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np
import xarray as xr

from shotdap.server.encoders.netcdf.rules import Array, Attribute, is_text, normalize_numbers, normalize_text


def encode_values(variable: xr.Variable) -> Array:
    """The values as HDF5 holds them: numbers, or objects that are texts."""
    found = np.asarray(variable.values)
    if not is_text(found.dtype):
        return normalize_numbers(found)
    texts = np.empty(found.shape, dtype=object)
    texts.reshape(-1)[:] = [normalize_text(value) for value in found.reshape(-1).tolist()]
    return texts


def resolve_file_dtype(found: Array) -> Any:  # noqa: ANN401 — h5py has no types
    """The type that such values have in the file."""
    return h5py.string_dtype() if found.dtype == object else found.dtype


def encode_attribute_value(value: Attribute) -> Any:  # noqa: ANN401 — an array, or what stands for an empty one
    """An attribute's value, as h5py takes it."""
    if isinstance(value, str):
        encoded = value.encode()
        return np.array(encoded, h5py.string_dtype("utf-8", len(encoded))) if encoded else h5py.Empty("S1")
    return np.array(value, h5py.string_dtype()) if isinstance(value, list) else value


def split_attributes_by_group(attrs: Mapping[Any, Any], groups: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The dataset's attributes by the groups that they belong to; ``""`` is the root."""
    sorted_: dict[str, dict[str, Any]] = {path: {} for path in ("", *groups)}
    for key, value in attrs.items():
        group, name = get_parent_path(str(key)), get_local_name(str(key))
        if group in sorted_:
            sorted_[group][name] = value
        else:
            sorted_[""][str(key)] = value
    return sorted_


def get_parent_path(path: str) -> str:
    """The group that something is in, by its path."""
    return path.rpartition("/")[0]


def get_local_name(path: str) -> str:
    """The name that it has there."""
    return path.rpartition("/")[2]
