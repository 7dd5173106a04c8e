"""Attributes in the JSON documents of Zarr.

Rule 1: an array becomes a list, a number stays a number; JSON has no other types.
Rule 2: the documents are strict JSON, or browsers could not read them: NaN and infinities are the texts ``"NaN"``,
``"Infinity"`` or ``"-Infinity"``, as in Zarr's own fill values.
Rule 3: a fill value has the type of its variable; see `fill_values`. In version 2 it is the fill value of the array. In
version 3, where every array has one, xarray reads the attribute ``_FillValue`` instead, as bytes for a floating number.
Rule 4: a ``missing_value`` that is not finite would be a text by rule 2, which masks nothing in xarray and which it
cannot write again. NaN is omitted, since it is missing anyway. Infinity is exchanged with the fill value; if both
infinities are missing, the second becomes ``MissingValue``.
Rule 5: version 2 has no names of dimensions; they are the attribute ``_ARRAY_DIMENSIONS``.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from shotdap.server.protocols.fill_values import (
    FILL_ATTRIBUTE,
    MISSING_ATTRIBUTE,
    UNFIT_FILL_ATTRIBUTE,
    extract_numbers,
    fit_fill_values,
)
from shotdap.server.protocols.zarr.options import V2, ZarrVersion
from shotdap.server.protocols.zarr.stored_dtypes import TEXT_DTYPE, Array, Dtype

Json: TypeAlias = Any  # None, bool, int, float, str, and lists of these

DIMENSIONS_ATTRIBUTE: Final = "_ARRAY_DIMENSIONS"
_UNFIT_MISSING_ATTRIBUTE: Final = "MissingValue"


def encode_attributes(attrs: Mapping[Any, object]) -> dict[str, Json]:
    """Encode attributes, except those that a document contains in another place."""
    omitted = (FILL_ATTRIBUTE, DIMENSIONS_ATTRIBUTE)
    return {str(name): _convert_to_json(value) for name, value in attrs.items() if str(name) not in omitted}


def split_fill_value(attrs: Mapping[Any, object], dtype: Dtype) -> tuple[Array | None, Mapping[Any, object]]:
    """Return the fill value of a variable, if it has one, and its other attributes, by rules 3 and 4."""
    if dtype == TEXT_DTYPE:
        return None, {UNFIT_FILL_ATTRIBUTE if name == FILL_ATTRIBUTE else name: value for name, value in attrs.items()}
    others = fit_fill_values(attrs, dtype)
    fill = np.asarray(others.pop(FILL_ATTRIBUTE)) if FILL_ATTRIBUTE in others else None
    missing = extract_numbers(others.get(MISSING_ATTRIBUTE))
    if missing.dtype.kind != "f" or np.isfinite(missing).all():
        return fill, others
    del others[MISSING_ATTRIBUTE]
    finite, infinite = missing[np.isfinite(missing)], np.unique(missing[np.isinf(missing)])
    if infinite.size and dtype.kind == "f":
        if fill is not None and np.isinf(fill):
            infinite = np.unique(np.append(infinite, fill))
        elif fill is not None and not np.isnan(fill):
            finite = np.append(finite, fill)
        fill, infinite = infinite[0].astype(dtype), infinite[1:]
    if finite.size:
        others[MISSING_ATTRIBUTE] = finite if finite.size > 1 else finite[0]
    if infinite.size:
        others[_UNFIT_MISSING_ATTRIBUTE] = infinite
    return fill, others


def build_fill_attribute(fill: Array | None, version: ZarrVersion) -> dict[str, Json]:
    """Return the attribute from which xarray takes the fill value."""
    if fill is None or version == V2:
        return {}
    if fill.dtype.kind == "f":
        return {FILL_ATTRIBUTE: base64.standard_b64encode(struct.pack("<d", float(fill))).decode()}
    return {FILL_ATTRIBUTE: fill.item()} if fill.dtype.kind in "biu" else {}


def _convert_to_json(value: object) -> Json:
    """Convert a value to strict JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_convert_to_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()
