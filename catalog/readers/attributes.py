"""A file's attributes, cleaned to what every protocol and JSON can carry.

What comes out is text, a NumPy number, a one-dimensional array of numbers or a list of texts. The cameras' software
writes booleans as the words "True" and "False": they become the flags 1 and 0, and the attribute `FLAG_ATTRIBUTES` names them.
What no protocol can carry, such as a reference to another object of the file, is left out, and `OMITTED_ATTRIBUTES` says so. So is
an attribute of more than a MiB: no client takes it, and as text it would be fifteen times as much in every answer.
A slash stands between a group and its attribute; one in an attribute's own name, as in "km/s", becomes an underscore,
a name too long for clients is cut (see `renaming`), and `RENAMED_ATTRIBUTES` lists both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed, shorten_name, shorten_path

__all__ = [
    "FLAG_ATTRIBUTES",
    "MAX_ATTRIBUTE_SIZE",
    "OMITTED_ATTRIBUTES",
    "Attribute",
    "add_omissions",
    "decode_text",
    "decode_unique_names",
    "join_attributes",
    "make_list_attribute",
    "normalize_attributes",
    "normalize_scalar",
]

Attribute: TypeAlias = str | np.generic | np.ndarray[Any, Any] | list[str]

FLAG_ATTRIBUTES = "flag_attributes"
OMITTED_ATTRIBUTES = "omitted"

MAX_ATTRIBUTE_SIZE = 1 << 20
"""Bytes that an attribute may have: names and remarks have some, and what has more is an array."""

_FLAG_WORDS = {"True": np.int8(1), "False": np.int8(0)}


def normalize_attributes(raw: Mapping[str, Any], *, paths: bool = False) -> dict[str, Attribute]:
    """Clean the attributes of one object of a file.

    Args:
        raw: values as a reader gives them: Python's or NumPy's numbers, text, bytes, arrays of these.
        paths: whether a name is a path already, its slashes those between groups.

    Returns:
        Those that can be carried, in their order, then `FLAG_ATTRIBUTES`, `RENAMED_ATTRIBUTES` and `OMITTED_ATTRIBUTES` where there is
        anything to say.
    """
    cleaned: dict[str, Attribute] = {}
    flags, omitted = [], []
    names = _normalize_names(raw, paths=paths)
    for own, value in raw.items():
        name = names[own]
        size = _compute_stored_size(value)
        carried = None if size > MAX_ATTRIBUTE_SIZE else _convert_value(value)
        if size > MAX_ATTRIBUTE_SIZE:
            omitted.append(
                f"{name}: {size / 2**20:,.1f} MiB, and an attribute has {MAX_ATTRIBUTE_SIZE >> 20} MiB at most"
            )
        elif carried is None:
            omitted.append(f"{name}: {_describe_unsupported_value(value)}")
        elif isinstance(carried, str) and carried in _FLAG_WORDS:
            flags.append(name)
            cleaned[name] = _FLAG_WORDS[carried]
        else:
            cleaned[name] = carried
    renamed = {name: own for own, name in names.items() if name in cleaned}
    return (
        cleaned
        | make_list_attribute(FLAG_ATTRIBUTES, flags)
        | list_renamed({}, RENAMED_ATTRIBUTES, renamed)
        | make_list_attribute(OMITTED_ATTRIBUTES, omitted)
    )


def _normalize_names(raw: Mapping[str, Any], *, paths: bool) -> dict[str, str]:
    """For each name one that is short enough, and without slashes where these lead to no group; no two the same."""
    fit = {own: shorten_path(own) if paths else shorten_name(own.replace("/", "_"), own) for own in raw}
    free = UniqueNames(own for own, name in fit.items() if own == name)
    return {own: name if own == name else free.claim(name) for own, name in fit.items()}


def make_list_attribute(name: str, lines: Iterable[str]) -> dict[str, Attribute]:
    """An attribute that lists something; nothing where the list is empty."""
    joined = ", ".join(lines)
    return {name: joined} if joined else {}


def decode_unique_names(names: Iterable[str | bytes]) -> list[str]:
    """Return the names as text, those that were there before with a number.

    HDF4 allows many arrays of one name, and names in different encodings may be the same text.
    """
    free = UniqueNames()
    return [free.claim(decode_text(name)) for name in names]


def _compute_stored_size(value: Any) -> int:  # noqa: ANN401 — whatever a file may hold
    """Return the bytes of a value as it is in a file, with those of its texts."""
    if isinstance(value, str | bytes):
        return len(value)
    array = np.asarray(value)
    if array.dtype.kind != "O":
        return array.nbytes
    return sum(len(each) if isinstance(each, str | bytes) else array.itemsize for each in array.reshape(-1))


def _convert_value(value: Any) -> Attribute | None:  # noqa: ANN401 — whatever a file may hold
    array = np.asarray(value)
    convert = _CONVERTERS.get(array.dtype.kind)
    return convert(array) if convert is not None and array.size else None


def _convert_numbers(array: np.ndarray[Any, Any]) -> Attribute:
    native = array.astype(array.dtype.newbyteorder("="))
    return native.reshape(-1) if native.size > 1 else native.reshape(-1)[0]


def _convert_booleans(array: np.ndarray[Any, Any]) -> Attribute:
    return _convert_numbers(array.astype(np.int8))


def _convert_texts(array: np.ndarray[Any, Any]) -> Attribute | None:
    values = array.reshape(-1).tolist()
    if not all(isinstance(value, str | bytes) for value in values):
        return None  # object references, nested arrays
    texts = [decode_text(value) for value in values]
    return texts[0] if len(texts) == 1 else texts


def decode_text(value: str | bytes) -> str:
    """Text from a file: UTF-8, or Latin-1 where it is not that, without the padding at its end."""
    encoded = value if isinstance(value, bytes) else _encode_text(value)
    try:
        return encoded.decode().rstrip("\0")
    except UnicodeDecodeError:
        return encoded.decode("latin-1").rstrip("\0")


def _encode_text(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")  # h5py keeps bytes that are no UTF-8 as halves of characters
    except UnicodeEncodeError:  # other halves, which JSON can spell and nothing can encode
        return value.encode("utf-8", "replace")


def join_attributes(attributes: Mapping[str, Attribute], others: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return all attributes; what both say of flags, new names and omissions follows one another."""
    lists = {
        name: f"{attributes[name]}, {others[name]}"
        for name in (FLAG_ATTRIBUTES, RENAMED_ATTRIBUTES, OMITTED_ATTRIBUTES)
        if name in attributes and name in others
    }
    return {**attributes, **others, **lists}


def add_omissions(attributes: Mapping[str, Attribute], omitted: Iterable[str]) -> dict[str, Attribute]:
    """The same attributes, and what else was left out."""
    return join_attributes(attributes, make_list_attribute(OMITTED_ATTRIBUTES, omitted))


def normalize_scalar(value: Any) -> Any:  # noqa: ANN401 — whatever a file may hold
    """Return a number that a text stated in the first of int32, int64 and uint64 that holds it, else as its text.

    A truth becomes the word that becomes a flag.
    """
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        types = (each for each in (np.int32, np.int64, np.uint64) if np.iinfo(each).min <= value <= np.iinfo(each).max)
        return next((each(value) for each in types), str(value))
    return value


def _describe_unsupported_value(value: Any) -> str:  # noqa: ANN401 — whatever a file may hold
    array = np.asarray(value)
    if not array.size:
        return "empty"
    return "references" if array.dtype.kind == "O" else f"values of type {array.dtype}"


_CONVERTERS: Mapping[str, Callable[[np.ndarray[Any, Any]], Attribute | None]] = {
    "b": _convert_booleans,
    "i": _convert_numbers,
    "u": _convert_numbers,
    "f": _convert_numbers,
    "S": _convert_texts,
    "U": _convert_texts,
    "O": _convert_texts,
}
