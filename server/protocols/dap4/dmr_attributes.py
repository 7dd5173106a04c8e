"""Attributes, as the names, types and texts that the DMR holds.

Strategy: any value becomes a DAP4 type and a list of texts; what is neither text nor number is sent as its text, for
an attribute that cannot be described must not cost the user the dataset.

Rule 1: numbers are written as shortly as reads back the same.
Rule 2: "`_FillValue` has the variable's emitted type, or clients fail"; see `fill_values`.
Rule 3: netCDF-C refuses the whole dataset for one name that netCDF does not allow. Characters that it forbids are
percent-encoded, a name that may not begin as it does gets an underscore before it, one of netCDF-C's own gets one
behind it, and a long one is cut. The attribute ``renamed_attributes`` lists them.
Rule 4: netCDF-C (4.9.0 and 4.10.1 at least) converts each Float32 attribute twice, and garbles its last bits: it reads
-9999 as -9999.006, and infinity as NaN. So a Float32 is sent as the Float64 of the same value. A `_FillValue` cannot
be, by rule 2: only NaN and 0, which survive, are sent as one. Any other is ``FillValue``, and a ``missing_value``,
which xarray and netCDF4-python mask by just as well.
Rule 5: NaN and infinity are ``NaN``, ``Infinity`` and ``-Infinity``, which Java reads, and every client that was tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdap.server.protocols.dap4.types import STRING, AtomicType, get_atomic_type
from shotdap.server.protocols.dap4.xml_text import convert_to_text
from shotdap.server.protocols.fill_values import (
    FILL_ATTRIBUTE,
    UNFIT_FILL_ATTRIBUTE,
    add_missing_values,
    fit_fill_values,
)
from shotdap.server.protocols.float_text import format_float
from shotdap.transforms import UniqueNames, add_underscores
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed, shorten_name

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKSUM_ATTRIBUTE = "_DAP4_Checksum_CRC32"

# "String match to name in use": netCDF-C's reserved attributes, some of which a laboratory uses for its own ends.
RESERVED_NAMES = frozenset({
    "CLASS", "DIMENSION_LABELS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST",
    "_Codecs", "_Encoding", "_Format", "_IsNetcdf4", "_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid",
    "_SuperblockVersion", "_nc3_strict",
})  # fmt: skip

# NC_check_name of netCDF-C: a letter, digit, underscore or non-ASCII character first; no slash, no control character
# and no space at the end. What Unicode or XML has no place for goes the same way.
FORBIDDEN_CHARACTERS = re.compile(r"[/\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]|\s\Z")
VALID_FIRST_CHARACTER = re.compile(r"[A-Za-z0-9_]|[^\x00-\x7f]")

NARROW_FLOAT = np.dtype("f4")
WIDE_FLOAT = np.dtype("f8")

TypedValues = tuple[str, tuple[str, ...]]  # the name of a type, and values


@dataclass(frozen=True)
class Attribute:
    """One ``<Attribute>``: its name, the name of its type, and its values as text."""

    name: str
    type: str
    values: tuple[str, ...]


def encode_attributes(attributes: Mapping[Any, object], owner: AtomicType | None = None) -> list[Attribute]:
    """Turn attributes into what the DMR says of them.

    Args:
        attributes: any names, with text, numbers, and lists or one-dimensional arrays of these.
        owner: the type of the variable that has them.

    Returns:
        One for each, with distinct names that netCDF allows; a checksum of a former answer is left out.
    """
    described: dict[str, Attribute] = {}
    own: dict[str, str] = {}
    unique = UniqueNames(numbered=add_underscores)
    for key, value in (attributes if owner is None else _fit_fill_values(attributes, owner)).items():
        if key != CHECKSUM_ATTRIBUTE:
            typed = (
                _encode_array(np.asarray(value))
                if key == FILL_ATTRIBUTE and owner is not None
                else _encode_value(value)
            )
            name = unique.claim(_make_legal_name(str(key)))
            described[name] = Attribute(name, *typed)
            own[name] = str(key)
    for name, renamed in list_renamed(attributes, RENAMED_ATTRIBUTES, own).items():
        described[name] = Attribute(name, *_encode_value(renamed))
    return list(described.values())


def _fit_fill_values(attributes: Mapping[Any, object], owner: AtomicType) -> Mapping[Any, object]:
    """Return a variable's attributes, its fill values by rules 2 and 4."""
    if owner.wire_dtype is None:
        is_text = isinstance(attributes.get(FILL_ATTRIBUTE), str | bytes)
        return {
            UNFIT_FILL_ATTRIBUTE if key == FILL_ATTRIBUTE and not is_text else key: value
            for key, value in attributes.items()
        }
    fitted = fit_fill_values(attributes, owner.wire_dtype)
    fill = np.asarray(fitted.get(FILL_ATTRIBUTE, 0))
    if owner.wire_dtype != NARROW_FLOAT or fill == 0 or np.isnan(fill):
        return fitted
    renamed = {UNFIT_FILL_ATTRIBUTE if key == FILL_ATTRIBUTE else key: value for key, value in fitted.items()}
    return add_missing_values(renamed, fill.reshape(1))


def _make_legal_name(name: str) -> str:
    legal = FORBIDDEN_CHARACTERS.sub(lambda found: f"%{ord(found[0]):02X}", name)
    legal = legal if VALID_FIRST_CHARACTER.match(legal) else f"_{legal}"
    legal = shorten_name(legal.encode(errors="replace").decode(), name)
    return f"{legal}_" if legal in RESERVED_NAMES else legal


def _encode_value(value: object) -> TypedValues:
    match value:
        case str() | bytes():
            return STRING.name, (convert_to_text(value),)
        case list() | tuple() if all(isinstance(item, str | bytes) for item in value):
            return STRING.name, tuple(convert_to_text(item) for item in value) or ("",)
        case _:
            return _encode_numbers(value)


def _encode_numbers(value: object) -> TypedValues:
    items = _convert_to_array(value)
    narrow = items.dtype.kind == "f" and items.itemsize < WIDE_FLOAT.itemsize
    return _encode_array(items.astype(WIDE_FLOAT) if narrow else items)


def _encode_array(array: np.ndarray[Any, np.dtype[Any]]) -> TypedValues:
    items = array.ravel()
    try:
        kind = get_atomic_type(items.dtype)
    except TypeError:
        return STRING.name, tuple(map(convert_to_text, items)) or ("",)
    write = format_float if items.dtype.kind == "f" else convert_to_text
    texts = tuple(map(write, items if kind.wire_dtype is None else items.astype(kind.wire_dtype)))
    return (kind.name, texts) if texts else (STRING.name, ("",))


def _convert_to_array(value: object) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        return np.asarray(value)
    except ValueError:  # a ragged list
        return np.asarray(str(value))
