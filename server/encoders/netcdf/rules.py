"""What both netCDF formats agree on: which names and attributes a file may have, and what text is.

Rule 1: "names: a letter, digit, underscore or a character beyond ASCII, then anything but a slash and control
characters, without a space at the end" (netCDF Users Guide); what is forbidden becomes an underscore,
and a name that is too long is shortened.
Rule 2: some names are the library's own; an attribute that has one gets an underscore behind it. The attribute
``renamed_attributes`` lists all that have another name in the file.
Rule 3: ``_FillValue`` and its kin have the type of their variable, or the file cannot be opened decoded; see
`fill_values`.
Rule 4: what is neither text nor number is kept as its text.
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
"""An attribute's value: text, texts, or a one-dimensional array of numbers with at least one element."""

OMITTED_ATTRIBUTE: Final = "left_out"
"""The attribute of a file that names the variables which its format cannot hold."""

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
    attrs: Mapping[Any, object], dtype: Dtype | None = None, written: Dtype | None = None
) -> dict[str, Attribute]:
    """The attributes as a netCDF file may have them, in their order.

    Args:
        attrs: any names, with text, numbers, and lists or arrays of these; what is empty is left out.
        dtype: the numbers' type of the variable that has them; `None` for text, and for a group.
        written: the type that they have in the file, where that is another.
    """
    if dtype is not None:
        attrs = fit_fill_values(attrs, dtype, written)
    kept: dict[str, Attribute] = {}
    own: dict[str, str] = {}
    unique = UniqueNames()
    for given, value in attrs.items():
        cleaned = _normalize_value(value)
        if cleaned is not None:
            fitting = UNFIT_FILL_ATTRIBUTE if given == FILL_ATTRIBUTE and dtype is None else str(given)
            name = unique.claim(_make_legal_name(fitting))
            kept[name] = _convert_numbers(cleaned, written or dtype) if fitting in _TYPED_ATTRIBUTES else cleaned
            own[name] = fitting
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, own)
    return {**kept, **{name: normalize_text(value) for name, value in renamed.items()}}


def _convert_numbers(value: Attribute, dtype: Dtype | None) -> Attribute:
    """The same numbers in another type; as they are where that changes an integer."""
    if dtype is None or not isinstance(value, np.ndarray):
        return value
    with np.errstate(all="ignore"):
        cast: Array = value.astype(dtype)
    return cast if dtype.kind == "f" or np.array_equal(cast, value) else value


def _make_legal_name(name: str) -> str:
    name = _FORBIDDEN_CHARACTERS.sub("_", name)
    name = name if _VALID_FIRST_CHARACTER.match(name) else f"_{name}"
    name = shorten_name(name)
    return f"{name}_" if name in _RESERVED_NAMES else name


def _normalize_value(value: object) -> Attribute | None:
    if isinstance(value, str | bytes):
        return normalize_text(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str | bytes) for item in value):
        return list(map(normalize_text, value)) or None
    array = _flatten_value(value)
    if not array.size:
        return None
    if is_text(array.dtype):
        texts = list(map(normalize_text, array.tolist()))
        return texts if len(texts) > 1 else texts[0]
    return normalize_numbers(array) if array.dtype.kind in "biuf" else normalize_text(value)


def _flatten_value(value: object) -> Array:
    try:
        return np.ravel(np.asarray(value))
    except ValueError:  # lists of different lengths
        return np.array([str(value)], dtype=object)


def is_text(dtype: Dtype) -> bool:
    """Whether an array of this type holds text."""
    return dtype.kind in "USOT"


def normalize_numbers(array: Array) -> Array:
    """The numbers in a type that netCDF has, and in this machine's byte order."""
    kind = _NEAREST_DTYPES.get(f"{array.dtype.kind}{array.dtype.itemsize}", array.dtype.newbyteorder("="))
    return array.astype(kind, copy=False)


def normalize_text(value: object) -> str:
    """One text, as UTF-8 can hold it and C can: bytes decoded, without NULs; nothing, or NaN, is empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or value != value:  # noqa: PLR0124 — how NaN, xarray's missing text, tells itself
        return ""
    return str(value).encode("utf-8", "backslashreplace").decode().replace("\0", "")


def iter_supported_variables(dataset: xr.Dataset) -> Iterator[tuple[str, xr.Variable]]:
    """The variables of types that netCDF has, by their names."""
    for name, variable in dataset.variables.items():
        if is_text(variable.dtype) or variable.dtype.kind in "biuf":
            yield str(name), variable


def list_omitted_variables(dataset: xr.Dataset, written: Iterable[str]) -> dict[str, str]:
    """The attribute that tells which variables are not in the file; nothing where all are."""
    written = set(written)
    missing = ", ".join(str(name) for name in dataset.variables if name not in written)
    return {OMITTED_ATTRIBUTE: missing} if missing else {}
