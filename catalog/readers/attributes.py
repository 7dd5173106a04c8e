"""A file's attributes, cleaned to what every protocol and JSON can carry.

What comes out is text, a NumPy number, a one-dimensional array of numbers or a list of texts. The cameras' software
writes booleans as the words "True" and "False": they become the flags 1 and 0, and the attribute `FLAGS` names them.
What no protocol can carry, such as a reference to another object of the file, is left out, and `OMITTED` says so. So is
an attribute of more than a MiB: no client takes it, and as text it would be fifteen times as much in every answer.
A slash stands between a group and its attribute; one in an attribute's own name, as in "km/s", becomes an underscore,
and `RENAMED` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from shotdap.transforms import UniqueNames, with_underscores

__all__ = ["FLAGS", "GREATEST", "OMITTED", "Attribute", "clean", "decoded", "noted", "typed"]

Attribute: TypeAlias = str | np.generic | np.ndarray[Any, Any] | list[str]

FLAGS = "flag_attributes"
RENAMED = "renamed_attributes"
OMITTED = "omitted"

GREATEST = 1 << 20
"""Bytes that an attribute may have: names and remarks have some, and what has more is an array."""

_FLAG_WORDS = {"True": np.int8(1), "False": np.int8(0)}


def clean(raw: Mapping[str, Any], *, paths: bool = False) -> dict[str, Attribute]:
    """Clean the attributes of one object of a file.

    Args:
        raw: values as a reader gives them: Python's or NumPy's numbers, text, bytes, arrays of these.
        paths: whether a name is a path already, its slashes those between groups.

    Returns:
        Those that can be carried, in their order, then `FLAGS`, `RENAMED` and `OMITTED` where there is anything to say.
    """
    cleaned: dict[str, Attribute] = {}
    flags, omitted = [], []
    names = {name: name for name in raw} if paths else _names(raw)
    for own, value in raw.items():
        name = names[own]
        size = _size(value)
        carried = None if size > GREATEST else _carried(value)
        if size > GREATEST:
            omitted.append(f"{name}: {size / 2**20:,.1f} MiB, and an attribute has {GREATEST >> 20} MiB at most")
        elif carried is None:
            omitted.append(f"{name}: {_kind(value)}")
        elif isinstance(carried, str) and carried in _FLAG_WORDS:
            flags.append(name)
            cleaned[name] = _FLAG_WORDS[carried]
        else:
            cleaned[name] = carried
    renamed = (f"{name}: {own}" for own, name in names.items() if name != own and name in cleaned)
    return cleaned | _listed(FLAGS, flags) | _listed(RENAMED, renamed) | _listed(OMITTED, omitted)


def _names(raw: Mapping[str, Any]) -> dict[str, str]:
    """For each name one without slashes, no two the same."""
    unique = UniqueNames(raw, with_underscores)
    return {own: unique.claim(own.replace("/", "_")) if "/" in own else own for own in raw}


def _listed(name: str, lines: Iterable[str]) -> dict[str, Attribute]:
    joined = ", ".join(lines)
    return {name: joined} if joined else {}


def _size(value: Any) -> int:  # noqa: ANN401 — whatever a file may hold
    """Return the bytes of a value as it is in a file, with those of its texts."""
    if isinstance(value, str | bytes):
        return len(value)
    array = np.asarray(value)
    if array.dtype.kind != "O":
        return array.nbytes
    return sum(len(each) if isinstance(each, str | bytes) else array.itemsize for each in array.reshape(-1))


def _carried(value: Any) -> Attribute | None:  # noqa: ANN401 — whatever a file may hold
    array = np.asarray(value)
    convert = _BY_KIND.get(array.dtype.kind)
    return convert(array) if convert is not None and array.size else None


def _number(array: np.ndarray[Any, Any]) -> Attribute:
    native = array.astype(array.dtype.newbyteorder("="))
    return native.reshape(-1) if native.size > 1 else native.reshape(-1)[0]


def _boolean(array: np.ndarray[Any, Any]) -> Attribute:
    return _number(array.astype(np.int8))


def _text(array: np.ndarray[Any, Any]) -> Attribute | None:
    values = array.reshape(-1).tolist()
    if not all(isinstance(value, str | bytes) for value in values):
        return None  # object references, nested arrays
    texts = [decoded(value) for value in values]
    return texts[0] if len(texts) == 1 else texts


def decoded(value: str | bytes) -> str:
    """Text from a file: UTF-8, or Latin-1 where it is not that, without the padding at its end."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")  # h5py keeps bytes that are no UTF-8 as halves of characters
    try:
        return value.decode().rstrip("\0")
    except UnicodeDecodeError:
        return value.decode("latin-1").rstrip("\0")


def noted(attributes: Mapping[str, Attribute], omitted: Iterable[str]) -> dict[str, Attribute]:
    """The same attributes, and what else was left out."""
    lines = [str(attributes[OMITTED])] if OMITTED in attributes else []
    return {**attributes, **_listed(OMITTED, [*lines, *omitted])}


def typed(value: Any) -> Any:  # noqa: ANN401 — whatever a file may hold
    """A number that a text stated, as 32 bits where it fits; a truth as the word that becomes a flag."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return np.int32(value) if -(2**31) <= value < 2**31 else np.int64(value) if abs(value) < 2**63 else str(value)
    return value


def _kind(value: Any) -> str:  # noqa: ANN401 — whatever a file may hold
    array = np.asarray(value)
    if not array.size:
        return "empty"
    return "references" if array.dtype.kind == "O" else f"values of type {array.dtype}"


_BY_KIND: Mapping[str, Callable[[np.ndarray[Any, Any]], Attribute | None]] = {
    "b": _boolean,
    "i": _number,
    "u": _number,
    "f": _number,
    "S": _text,
    "U": _text,
    "O": _text,
}
