"""Attributes as JSON has them.

Rule 1: an array is a list, a number a number of the same value; JSON keeps no types.
Rule 2: the documents are strict JSON, or no browser could read one of them: what is not finite is the text ``"NaN"``,
``"Infinity"`` or ``"-Infinity"``, as in Zarr's own fill values.
Rule 3: a fill value has the type of its variable; see `fill_values`. In version 2 it is the array's own. In version 3,
which has one for every array, xarray looks for ``_FillValue`` among the attributes, and wants the bytes of a floating
number.
Rule 4: a ``missing_value`` that is not finite would be a text, by rule 2, by which xarray masks nothing and which it
cannot write again. NaN is left out, since it is missing anyway. Infinity changes places with the fill value; where both
infinities are missing, one has no place, and is kept as ``MissingValue``.
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
    """Return attributes, without those that a document has in another place."""
    left_out = (FILL_ATTRIBUTE, DIMENSIONS_ATTRIBUTE)
    return {str(name): convert_to_json(value) for name, value in attrs.items() if str(name) not in left_out}


def split_fill_value(attrs: Mapping[Any, object], dtype: Dtype) -> tuple[Array | None, Mapping[Any, object]]:
    """Return a variable's fill value, if it has one, and its other attributes, by rules 3 and 4."""
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
    """The attribute that makes a fill value one to xarray."""
    if fill is None or version == V2:
        return {}
    if fill.dtype.kind == "f":
        return {FILL_ATTRIBUTE: base64.standard_b64encode(struct.pack("<d", float(fill))).decode()}
    return {FILL_ATTRIBUTE: fill.item()} if fill.dtype.kind in "biu" else {}


def convert_to_json(value: object) -> Json:
    """A value as strict JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [convert_to_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, bool | int | float) else _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
