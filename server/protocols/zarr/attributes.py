"""Attributes as JSON has them.

Rule 1: an array is a list, a number a number of the same value; JSON keeps no types.
Rule 2: the documents are strict JSON, or no browser could read one of them: what is not finite is the text ``"NaN"``,
``"Infinity"`` or ``"-Infinity"``, as in Zarr's own fill values.
Rule 3: a fill value has the type of its variable; one that the type cannot hold marks no element, and is kept as
``FillValue``. In version 2 it is the array's own. In version 3, which has one for every array, xarray looks for
``_FillValue`` among the attributes, and wants the bytes of a floating number.
Rule 4: version 2 has no names of dimensions; they are the attribute ``_ARRAY_DIMENSIONS``.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from shotdap.server.protocols.zarr.options import OLD, Version
from shotdap.server.protocols.zarr.types import TEXT, Array, Dtype

__all__ = ["DIMENSIONS", "FILL", "Json", "attributes", "fill_attribute", "fill_value"]

Json: TypeAlias = Any  # None, bool, int, float, str, and lists of these

FILL: Final = "_FillValue"
DIMENSIONS: Final = "_ARRAY_DIMENSIONS"
_UNFIT_FILL: Final = "FillValue"


def attributes(attrs: Mapping[Any, object], fill: Array | None = None) -> dict[str, Json]:
    """Attributes, without those that a document has in another place.

    Args:
        attrs: of a variable or a group.
        fill: the variable's fill value, if it has one.
    """
    names = {FILL: None if fill is not None else _UNFIT_FILL, DIMENSIONS: None}
    kept = ((names.get(str(name), str(name)), value) for name, value in attrs.items())
    return {name: as_json(value) for name, value in kept if name is not None}


def fill_value(attrs: Mapping[Any, object], dtype: Dtype) -> Array | None:
    """The fill value among the attributes of a variable, in the variable's type; `None` where that cannot be."""
    given = np.asarray(attrs.get(FILL))
    if dtype == TEXT or given.size != 1 or given.dtype.kind not in "biuf":
        return None
    with np.errstate(all="ignore"):
        cast: Array = given.reshape(()).astype(dtype)
    return cast if dtype.kind in "fc" or np.array_equal(cast, given.reshape(())) else None


def fill_attribute(fill: Array | None, version: Version) -> dict[str, Json]:
    """The attribute that makes a fill value one to xarray."""
    if fill is None or version == OLD:
        return {}
    if fill.dtype.kind == "f":
        return {FILL: base64.standard_b64encode(struct.pack("<d", float(fill))).decode()}
    return {FILL: fill.item()} if fill.dtype.kind in "biu" else {}


def as_json(value: object) -> Json:
    """A value as strict JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, bool | int | float) else _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
