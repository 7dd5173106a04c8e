"""Attributes of a file, normalized to values that every protocol and JSON can carry.

A normalized attribute is text, a NumPy number, a one-dimensional array of numbers or a list of texts. The cameras'
software writes booleans as the words "True" and "False": they become the flags 1 and 0, and the attribute
`_FLAG_ATTRIBUTES` lists them. Values that no protocol can carry, such as a reference to another object of the file, are
omitted, and `_OMITTED_ATTRIBUTES` lists them. So is an attribute of more than a MiB: no client accepts it, and as text
it would be fifteen times as large in every response. A slash separates a group from its attribute; a slash in an
attribute's own name, as in "km/s", becomes an underscore. A name too long for clients is shortened (see `renaming`).
`RENAMED_ATTRIBUTES` lists both kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed, shorten_name, shorten_path

Attribute: TypeAlias = str | np.generic | np.ndarray[Any, Any] | list[str]

_FLAG_ATTRIBUTES = "flag_attributes"
_OMITTED_ATTRIBUTES = "omitted"

MAX_ATTRIBUTE_SIZE = 1 << 20
"""Maximum size of an attribute in bytes: names and remarks are small, and anything larger is an array."""

_FLAG_WORDS = {"True": np.int8(1), "False": np.int8(0)}


def normalize_attributes(raw: Mapping[str, Any], *, paths: bool = False) -> dict[str, Attribute]:
    """Normalize the attributes of one object of a file.

    Args:
        raw: values as a reader returns them: Python's or NumPy's numbers, text, bytes, arrays of these.
        paths: whether each name is already a path, whose slashes separate groups.

    Returns:
        The attributes that can be carried, in their order, then `_FLAG_ATTRIBUTES`, `RENAMED_ATTRIBUTES` and
        `_OMITTED_ATTRIBUTES`, each only if its list is not empty.
    """
    attributes: dict[str, Attribute] = {}
    flags, omissions = [], []
    short_names = {own: shorten_path(own) if paths else shorten_name(own.replace("/", "_"), own) for own in raw}
    unique = UniqueNames(own for own, name in short_names.items() if own == name)
    names = {own: name if own == name else unique.claim(name) for own, name in short_names.items()}
    for own, value in raw.items():
        name = names[own]
        if isinstance(value, str | bytes):
            size = len(value)  # in the file, in bytes
        else:
            stored = np.asarray(value)
            size = stored.nbytes
            if stored.dtype.kind == "O":  # with its texts
                size = sum(
                    len(each) if isinstance(each, str | bytes) else stored.itemsize for each in stored.reshape(-1)
                )
        if size > MAX_ATTRIBUTE_SIZE:
            omissions.append(
                f"{name}: {size / 2**20:,.1f} MiB, and an attribute has {MAX_ATTRIBUTE_SIZE >> 20} MiB at most"
            )
            continue
        array = np.asarray(value)
        kind = array.dtype.kind
        attribute = _CONVERTERS[kind](array) if kind in _CONVERTERS and array.size else None
        if attribute is None:
            reason = "references" if kind == "O" else f"values of type {array.dtype}"
            omissions.append(f"{name}: {reason if array.size else 'empty'}")
        elif isinstance(attribute, str) and attribute in _FLAG_WORDS:
            flags.append(name)
            attributes[name] = _FLAG_WORDS[attribute]
        else:
            attributes[name] = attribute
    renamed = {name: own for own, name in names.items() if name in attributes}
    return (
        attributes
        | _make_list_attribute(_FLAG_ATTRIBUTES, flags)
        | list_renamed({}, RENAMED_ATTRIBUTES, renamed)
        | _make_list_attribute(_OMITTED_ATTRIBUTES, omissions)
    )


def _make_list_attribute(name: str, lines: Iterable[str]) -> dict[str, Attribute]:
    """Return an attribute that lists something; nothing where the list is empty."""
    joined = ", ".join(lines)
    return {name: joined} if joined else {}


def decode_unique_names(names: Iterable[str | bytes]) -> list[str]:
    """Return the names as text; a repeated name gets a number.

    HDF4 allows many arrays of one name, and names in different encodings may be the same text.
    """
    unique = UniqueNames()
    return [unique.claim(decode_text(name)) for name in names]


def _convert_numbers(array: np.ndarray[Any, Any]) -> Attribute:
    native = array.astype(array.dtype.newbyteorder("="))
    return native.reshape(-1) if native.size > 1 else native.reshape(-1)[0]


def _convert_texts(array: np.ndarray[Any, Any]) -> Attribute | None:
    values = array.reshape(-1).tolist()
    if not all(isinstance(value, str | bytes) for value in values):
        return None  # object references, nested arrays
    texts = [decode_text(value) for value in values]
    return texts[0] if len(texts) == 1 else texts


def decode_text(value: str | bytes) -> str:
    """Decode text of a file: as UTF-8, or as Latin-1 if it is not valid UTF-8; strip the padding at its end."""
    try:
        encoded = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")  # h5py's surrogates
    except UnicodeEncodeError:  # other surrogates, which JSON can escape and nothing can encode
        encoded = str(value).encode("utf-8", "replace")
    try:
        return encoded.decode().rstrip("\0")
    except UnicodeDecodeError:
        return encoded.decode("latin-1").rstrip("\0")


def join_attributes(attributes: Mapping[str, Attribute], others: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return the attributes of both; their lists of flags, new names and omissions are concatenated."""
    lists = {
        name: f"{attributes[name]}, {others[name]}"
        for name in (_FLAG_ATTRIBUTES, RENAMED_ATTRIBUTES, _OMITTED_ATTRIBUTES)
        if name in attributes and name in others
    }
    return {**attributes, **others, **lists}


def add_omissions(attributes: Mapping[str, Attribute], omissions: Iterable[str]) -> dict[str, Attribute]:
    """Return the attributes with more entries in the list of omissions."""
    return join_attributes(attributes, _make_list_attribute(_OMITTED_ATTRIBUTES, omissions))


def normalize_scalar(value: Any) -> Any:  # noqa: ANN401 — any value of a file
    """Return an integer in the first of int32, int64 and uint64 that holds it, else as text.

    A boolean becomes the word that `normalize_attributes` turns into a flag.
    """
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        types = (each for each in (np.int32, np.int64, np.uint64) if np.iinfo(each).min <= value <= np.iinfo(each).max)
        return next((each(value) for each in types), str(value))
    return value


_CONVERTERS: Mapping[str, Callable[[np.ndarray[Any, Any]], Attribute | None]] = {
    "b": lambda array: _convert_numbers(array.astype(np.int8)),
    "i": _convert_numbers,
    "u": _convert_numbers,
    "f": _convert_numbers,
    "S": _convert_texts,
    "U": _convert_texts,
    "O": _convert_texts,
}
