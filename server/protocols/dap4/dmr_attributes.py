"""Attributes as names, types and texts in the DMR.

Strategy: any value becomes a DAP4 type and a list of texts; a value that is neither text nor number is sent as its
text, because one such attribute must not make the dataset unreadable.

Rule 1: numbers have the fewest digits that read back the same.
Rule 2: "`_FillValue` has the variable's emitted type, or clients fail"; see `fill_values`.
Rule 3: netCDF-C refuses the whole dataset for one name that netCDF does not allow. Forbidden characters are
percent-encoded, a name with a forbidden first character gets an underscore before it, a name reserved by netCDF-C gets
one after it, and a long name is shortened. The attribute ``renamed_attributes`` lists them.
Rule 4: netCDF-C (4.9.0 and 4.10.1 at least) converts each Float32 attribute twice, and garbles its last bits: it reads
-9999 as -9999.006, and infinity as NaN. So a Float32 is sent as the Float64 of the same value. A `_FillValue` cannot
be, by rule 2: only NaN and 0, which survive, are sent as one. Any other becomes ``FillValue``, and a
``missing_value``, which xarray and netCDF4-python also use as a mask.
Rule 5: NaN and infinity are ``NaN``, ``Infinity`` and ``-Infinity``, which Java and every tested client read.
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

# "String match to name in use": attributes that netCDF-C reserves, some of which laboratories use, too.
_RESERVED_NAMES = frozenset({
    "CLASS", "DIMENSION_LABELS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST",
    "_Codecs", "_Encoding", "_Format", "_IsNetcdf4", "_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid",
    "_SuperblockVersion", "_nc3_strict",
})  # fmt: skip

# NC_check_name of netCDF-C: a letter, digit, underscore or non-ASCII character first; no slash, no control character
# and no space at the end. The same for characters that Unicode or XML does not allow.
_FORBIDDEN_CHARACTERS = re.compile(r"[/\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]|\s\Z")
_VALID_FIRST_CHARACTER = re.compile(r"[A-Za-z0-9_]|[^\x00-\x7f]")

_NARROW_FLOAT = np.dtype("f4")
_WIDE_FLOAT = np.dtype("f8")

_TypedValues = tuple[str, tuple[str, ...]]  # the name of a type, and values


@dataclass(frozen=True)
class Attribute:
    """One ``<Attribute>``: its name, the name of its type, and its values as text."""

    name: str
    type: str
    values: tuple[str, ...]


def encode_attributes(attributes: Mapping[Any, object], owner: AtomicType | None = None) -> list[Attribute]:
    """Encode attributes for the DMR.

    Args:
        attributes: any names, with text, numbers, and lists or one-dimensional arrays of these.
        owner: the type of their variable; `None` for attributes of a group.

    Returns:
        One for each, with distinct names that netCDF allows; the checksum of an earlier response is omitted.
    """
    encoded: dict[str, Attribute] = {}
    own: dict[str, str] = {}
    unique = UniqueNames(numbered=add_underscores)
    for key, value in (attributes if owner is None else _fit_fill_values(attributes, owner)).items():
        if key != CHECKSUM_ATTRIBUTE:
            is_fill = key == FILL_ATTRIBUTE and owner is not None
            legal = _FORBIDDEN_CHARACTERS.sub(lambda match: f"%{ord(match[0]):02X}", str(key))  # rule 3
            legal = legal if _VALID_FIRST_CHARACTER.match(legal) else f"_{legal}"
            legal = shorten_name(legal.encode(errors="replace").decode(), str(key))
            name = unique.claim(f"{legal}_" if legal in _RESERVED_NAMES else legal)
            encoded[name] = Attribute(name, *(_encode_array(np.asarray(value)) if is_fill else _encode_value(value)))
            own[name] = str(key)
    for name, renamed in list_renamed(attributes, RENAMED_ATTRIBUTES, own).items():
        encoded[name] = Attribute(name, *_encode_value(renamed))
    return list(encoded.values())


def _fit_fill_values(attributes: Mapping[Any, object], owner: AtomicType) -> Mapping[Any, object]:
    """Return the attributes of a variable, fill values by rules 2 and 4."""
    if owner.wire_dtype is None:
        is_text = isinstance(attributes.get(FILL_ATTRIBUTE), str | bytes)
        return {
            UNFIT_FILL_ATTRIBUTE if key == FILL_ATTRIBUTE and not is_text else key: value
            for key, value in attributes.items()
        }
    fitted = fit_fill_values(attributes, owner.wire_dtype)
    fill = np.asarray(fitted.get(FILL_ATTRIBUTE, 0))
    if owner.wire_dtype != _NARROW_FLOAT or fill == 0 or np.isnan(fill):
        return fitted
    renamed = {UNFIT_FILL_ATTRIBUTE if key == FILL_ATTRIBUTE else key: value for key, value in fitted.items()}
    return add_missing_values(renamed, fill.reshape(1))


def _encode_value(value: object) -> _TypedValues:
    match value:
        case str() | bytes():
            return STRING.name, (convert_to_text(value),)
        case list() | tuple() if all(isinstance(item, str | bytes) for item in value):
            return STRING.name, tuple(convert_to_text(item) for item in value) or ("",)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(str(value))
    is_narrow = array.dtype.kind == "f" and array.itemsize < _WIDE_FLOAT.itemsize
    return _encode_array(array.astype(_WIDE_FLOAT) if is_narrow else array)


def _encode_array(array: np.ndarray[Any, np.dtype[Any]]) -> _TypedValues:
    items = array.ravel()
    try:
        kind = get_atomic_type(items.dtype)
    except TypeError:
        return STRING.name, tuple(map(convert_to_text, items)) or ("",)
    format_item = format_float if items.dtype.kind == "f" else convert_to_text
    texts = tuple(map(format_item, items if kind.wire_dtype is None else items.astype(kind.wire_dtype)))
    return (kind.name, texts) if texts else (STRING.name, ("",))
