"""Values, texts, attributes and groups in HDF5, the same for netCDF-4 and NeXus.

Rule 1: text attributes are fixed-length strings, as netCDF-C writes them: MATLAB and IDL read those.
Rule 2: texts are UTF-8 of any length.
Rule 3: a name with slashes is a path, and an attribute of the dataset whose name is a path belongs to that group, if it
exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np
import xarray as xr

from shotdap.server.encoders.netcdf.rules import Array, Attribute, is_text, normalize_numbers, normalize_text
from shotdap.server.protocols.variable_names import get_local_name, get_parent_path


def encode_values(variable: xr.Variable) -> Array:
    """Convert the values of a variable to numbers of HDF5, or to objects that are texts."""
    values = np.asarray(variable.values)
    if not is_text(values.dtype):
        return normalize_numbers(values)
    texts = np.empty(values.shape, dtype=object)
    texts.reshape(-1)[:] = [normalize_text(value) for value in values.reshape(-1).tolist()]
    return texts


def resolve_file_dtype(values: Array) -> Any:  # noqa: ANN401 — h5py has no types
    """Return the type of encoded values in the file."""
    return h5py.string_dtype() if values.dtype == object else values.dtype


def write_attributes(owner: Any, attrs: Mapping[str, Attribute]) -> None:  # noqa: ANN401 — of h5py or h5netcdf
    """Write attributes of a group or variable, texts by rule 1."""
    for name, value in attrs.items():
        if isinstance(value, str):
            encoded = value.encode()
            text_dtype = h5py.string_dtype("utf-8", len(encoded))
            owner.attrs[name] = np.array(encoded, text_dtype) if encoded else h5py.Empty("S1")
        else:
            owner.attrs[name] = np.array(value, h5py.string_dtype()) if isinstance(value, list) else value


def split_attributes_by_group(attrs: Mapping[Any, Any], groups: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the attributes of a dataset by the groups that they belong to; ``""`` is the root."""
    sorted_: dict[str, dict[str, Any]] = {path: {} for path in ("", *groups)}
    for key, value in attrs.items():
        group, name = get_parent_path(str(key)), get_local_name(str(key))
        if group in sorted_:
            sorted_[group][name] = value
        else:
            sorted_[""][str(key)] = value
    return sorted_
