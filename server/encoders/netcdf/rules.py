"""Rules of both netCDF formats: names and attributes of a file, and texts.

Rule 1: "names: a letter, digit, underscore or a character beyond ASCII, then anything but a slash and control
characters, without a space at the end" (netCDF Users Guide); a forbidden character becomes an underscore, and a name
that is too long is shortened.
Rule 2: some names are reserved for the library; an attribute with such a name gets an underscore at the end. The
attribute ``renamed_attributes`` lists all attributes that have another name in the file.
Rule 3: ``_FillValue`` and similar attributes have the type of their variable, or the file cannot be opened decoded; see
`fill_values`.
Rule 4: a value that is neither text nor number is replaced by its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.server.protocols.fill_values import FILL_ATTRIBUTE, UNFIT_FILL_ATTRIBUTE, fit_fill_values
from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed, shorten_name

Array: TypeAlias = NDArray[Any]
Dtype: TypeAlias = np.dtype[Any]
Attribute: TypeAlias = str | list[str] | Array
"""Value of an attribute: text, texts, or a one-dimensional array of numbers with at least one element."""

OMITTED_ATTRIBUTE: Final = "left_out"
"""Attribute of a file that lists the variables which its format cannot hold."""

_FORBIDDEN_CHARACTERS: Final = re.compile(r"[/\x00-\x1f\x7f\ud800-\udfff]|\s\Z")
_VALID_FIRST_CHARACTER: Final = re.compile(r"[A-Za-z0-9_]|[^\x00-\x7f]")
_RESERVED_NAMES: Final = frozenset({
    "CLASS", "DIMENSION_LABELS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST",
    "_Codecs", "_Format", "_IsNetcdf4", "_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid",
    "_SuperblockVersion", "_nc3_strict",
})  # fmt: skip
_NEAREST_DTYPES: Final[Mapping[str, Dtype]] = {"b1": np.dtype("i1"), "f2": np.dtype("f4"), "f16": np.dtype("f8")}
_TYPED_ATTRIBUTES: Final = ("valid_min", "valid_max", "valid_range", "flag_values", "flag_masks")


def normalize_attributes(
    attrs: Mapping[Any, object], dtype: Dtype | None = None, file_dtype: Dtype | None = None
) -> dict[str, Attribute]:
    """Convert attributes to those that a netCDF file can have, in the same order.

    Args:
        attrs: any names, with text, numbers, and lists or arrays of these; empty values are omitted.
        dtype: the type of the variable, if it has numbers; `None` for text, and for a group.
        file_dtype: the type of the variable in the file, if it is another.
    """
    if dtype is not None:
        attrs = fit_fill_values(attrs, dtype, file_dtype)
    target = file_dtype or dtype
    normalized: dict[str, Attribute] = {}
    own: dict[str, str] = {}
    unique = UniqueNames()
    for key, raw in attrs.items():
        value = _normalize_value(raw)
        if value is None:
            continue
        original = UNFIT_FILL_ATTRIBUTE if key == FILL_ATTRIBUTE and dtype is None else str(key)
        legal = _FORBIDDEN_CHARACTERS.sub("_", original)
        legal = shorten_name(legal if _VALID_FIRST_CHARACTER.match(legal) else f"_{legal}")
        name = unique.claim(f"{legal}_" if legal in _RESERVED_NAMES else legal)
        if original in _TYPED_ATTRIBUTES and isinstance(value, np.ndarray) and target is not None:
            with np.errstate(all="ignore"):
                cast: Array = value.astype(target)
            if target.kind == "f" or np.array_equal(cast, value):  # no integer changes
                value = cast
        normalized[name], own[name] = value, original
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, own)
    return {**normalized, **{name: normalize_text(value) for name, value in renamed.items()}}


def _normalize_value(value: object) -> Attribute | None:
    """Return a value as text, texts or numbers of netCDF; `None` if it is empty."""
    if isinstance(value, str | bytes):
        return normalize_text(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str | bytes) for item in value):
        return list(map(normalize_text, value)) or None
    try:
        array = np.ravel(np.asarray(value))
    except ValueError:  # lists of different lengths
        return normalize_text(str(value))
    if not array.size:
        return None
    if is_text(array.dtype):
        texts = list(map(normalize_text, array.tolist()))
        return texts if len(texts) > 1 else texts[0]
    return normalize_numbers(array) if array.dtype.kind in "biuf" else normalize_text(value)


def is_text(dtype: Dtype) -> bool:
    """Check whether an array of this type contains text."""
    return dtype.kind in "USOT"


def normalize_numbers(array: Array) -> Array:
    """Convert numbers to a type of netCDF, in the byte order of this machine."""
    kind = _NEAREST_DTYPES.get(f"{array.dtype.kind}{array.dtype.itemsize}", array.dtype.newbyteorder("="))
    return array.astype(kind, copy=False)


def normalize_text(value: object) -> str:
    """Convert a value to text for UTF-8 and C: bytes decoded, NULs removed; `None` and NaN are empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or value != value:  # noqa: PLR0124 — the test for NaN, xarray's missing text
        return ""
    return str(value).encode("utf-8", "backslashreplace").decode().replace("\0", "")


def iter_supported_variables(dataset: xr.Dataset) -> Iterator[tuple[str, xr.Variable]]:
    """Yield the names and variables whose types netCDF has."""
    for name, variable in dataset.variables.items():
        if is_text(variable.dtype) or variable.dtype.kind in "biuf":
            yield str(name), variable


def list_omitted_variables(dataset: xr.Dataset, included: Iterable[str]) -> dict[str, str]:
    """Return the attribute that lists the variables which are not in the file; nothing if all are."""
    included = set(included)
    missing = ", ".join(str(name) for name in dataset.variables if name not in included)
    return {OMITTED_ATTRIBUTE: missing} if missing else {}
