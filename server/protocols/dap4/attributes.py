"""Attributes, as the names, types and texts that the DMR holds.

Strategy: any value becomes a DAP4 type and a list of texts; what is neither text nor number is sent as its text, for
an attribute that cannot be described must not cost the user the dataset.

Rule 1: numbers are written as shortly as reads back the same.
Rule 2: "`_FillValue` has the variable's emitted type, or clients fail". One that the type cannot hold marks no
element, and is sent as ``FillValue``.
Rule 3: netCDF-C refuses the whole dataset for one name that netCDF does not allow. Characters that it forbids are
percent-encoded, a name that may not begin as it does gets an underscore before it, one of netCDF-C's own gets one
behind it, and a long one is cut.
Rule 4: netCDF-C (4.9.0 and 4.10.1 at least) converts each Float32 attribute twice, and garbles its last bits: it reads
-9999 as -9999.006. So a Float32 is sent as the Float64 of the same value, but for a `_FillValue`, by rule 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdap.server.protocols.dap4.text import as_text
from shotdap.server.protocols.dap4.types import STRING, Atomic, atomic
from shotdap.transforms import UniqueNames, with_underscores

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHECKSUM", "Attribute", "describe"]

CHECKSUM = "_DAP4_Checksum_CRC32"
FILL_VALUE = "_FillValue"
UNFIT_FILL_VALUE = "FillValue"
LONGEST_NAME = 240  # bytes of UTF-8; netCDF's NC_MAX_NAME is 256

# "String match to name in use": netCDF-C's reserved attributes, some of which a laboratory uses for its own ends.
RESERVED = frozenset({
    "CLASS", "DIMENSION_LABELS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST",
    "_Codecs", "_Encoding", "_Format", "_IsNetcdf4", "_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid",
    "_SuperblockVersion", "_nc3_strict",
})  # fmt: skip

# NC_check_name of netCDF-C: a letter, digit, underscore or non-ASCII character first; no slash, no control character
# and no space at the end. What Unicode or XML has no place for goes the same way.
FORBIDDEN = re.compile(r"[/\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]|\s\Z")
BEGINNING = re.compile(r"[A-Za-z0-9_]|[^\x00-\x7f]")

WIDE_FLOAT = np.dtype("f8")

Typed = tuple[str, tuple[str, ...]]  # the name of a type, and values


@dataclass(frozen=True)
class Attribute:
    """One ``<Attribute>``: its name, the name of its type, and its values as text."""

    name: str
    type: str
    values: tuple[str, ...]


def describe(attributes: Mapping[Any, object], owner: Atomic | None = None) -> list[Attribute]:
    """Turn attributes into what the DMR says of them.

    Args:
        attributes: any names, with text, numbers, and lists or one-dimensional arrays of these.
        owner: the type of the variable that has them.

    Returns:
        One for each, with distinct names that netCDF allows; a checksum of a former answer is left out.
    """
    described: dict[str, Attribute] = {}
    unique = UniqueNames(numbered=with_underscores)
    for key, value in attributes.items():
        if key != CHECKSUM:
            name, typed = _described(str(key), value, owner)
            name = unique.claim(_legal(name))
            described[name] = Attribute(name, *typed)
    return list(described.values())


def _described(key: str, value: object, owner: Atomic | None) -> tuple[str, Typed]:
    if key != FILL_VALUE or owner is None:
        return key, _typed(value)
    fill_value = _fill_value(value, owner)
    return (UNFIT_FILL_VALUE, _typed(value)) if fill_value is None else (key, fill_value)


def _legal(name: str) -> str:
    legal = FORBIDDEN.sub(lambda found: f"%{ord(found[0]):02X}", name)
    legal = legal if BEGINNING.match(legal) else f"_{legal}"
    legal = legal.encode(errors="replace")[:LONGEST_NAME].decode(errors="ignore").rstrip()
    return f"{legal}_" if legal in RESERVED else legal


def _fill_value(value: object, owner: Atomic) -> Typed | None:
    """Cast a fill value to its variable's type, if that can hold it."""
    given = _array(value)
    if given.size != 1 or (given.dtype.kind in "biuf") is (owner.wire is None):
        return None
    if owner.wire is None:
        return _typed(value)
    with np.errstate(all="ignore"):
        cast = given.astype(owner.wire)
    if owner.wire.kind == "f":  # 0.1 becomes the nearest Float32, but 1e300 would become infinite
        return _written(cast) if (np.isfinite(cast) == np.isfinite(given)).all() else None
    return _written(cast) if (cast == given).all() else None


def _typed(value: object) -> Typed:
    match value:
        case str() | bytes():
            return STRING.name, (as_text(value),)
        case list() | tuple() if all(isinstance(item, str | bytes) for item in value):
            return STRING.name, tuple(as_text(item) for item in value) or ("",)
        case _:
            return _numbers(value)


def _numbers(value: object) -> Typed:
    items = _array(value)
    narrow = items.dtype.kind == "f" and items.itemsize < WIDE_FLOAT.itemsize
    return _written(items.astype(WIDE_FLOAT) if narrow else items)


def _written(array: np.ndarray[Any, np.dtype[Any]]) -> Typed:
    items = array.ravel()
    try:
        kind = atomic(items.dtype)
    except TypeError:
        return STRING.name, tuple(map(as_text, items)) or ("",)
    texts = tuple(as_text(item) for item in (items if kind.wire is None else items.astype(kind.wire)))
    return (kind.name, texts) if texts else (STRING.name, ("",))


def _array(value: object) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        return np.asarray(value)
    except ValueError:  # a ragged list
        return np.asarray(str(value))
