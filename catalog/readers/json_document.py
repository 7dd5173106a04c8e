"""JSON documents: images as nested lists or as base64, and what is known of a shot.

What becomes an array: an object with ``data``, as nested lists or, with ``dtype`` and ``shape``, in base64; and any
other list of lists, or long list, of numbers. Arrays are called by their place in the document: ``camera/frames``; one
that is the document itself is ``image``. An object's ``dims`` name its dimensions, and what else it has are the array's
attributes. Everything else becomes attributes of the dataset, called by its place too: ``target/gas/pressure``.

Numbers: NaN, Infinity and -Infinity are read as Python, MATLAB and others write them. In an array, numbers written as
text are read as numbers and null as NaN, and the array's attribute ``note`` says so; in attributes text stays text.
Integers become the first of int32, int64 and uint64 that holds them all; where none does, or null or a fraction is
among them, they become float64, and the ``note`` says where that rounds them. With a ``dtype`` that can hold them they
become that; one that cannot is refused.

A document can only be parsed as a whole, so opening costs that; the arrays are remembered like decoded frames.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import xarray as xr

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.names import make_variable_names
from shotdap.catalog.readers.attributes import add_omissions, decode_text, normalize_attributes, normalize_scalar
from shotdap.catalog.readers.dimensions import build_dataset, resolve_dimension_names
from shotdap.catalog.readers.lazy import Array, BasicIndex, BlockSource, Memo, create_lazy_variable
from shotdap.catalog.storage import FilePath

_MAX_SIZE = 128 << 20  # bytes; parsed, a document of numbers takes up to twenty times its size
_MAX_EXACT_INTEGER = 2**53  # the greatest integer up to which float64 has all
_MAX_ATTRIBUTE_LENGTH = 32  # a list of more numbers is an array, a shorter one an attribute
_ARRAY_KEYS = frozenset({"data", "dtype", "shape", "dims", "dimensions", "encoding", "attrs", "attributes"})
_TEXT_NOTE = "numbers written as text were read as numbers"
_NULL_NOTE = "null was read as NaN"
_ROUNDING_NOTE = "integers were rounded to float64"
_INTEGER_PATTERN = re.compile(r"\s*[+-]?[0-9]{1,20}\s*", re.ASCII)


def read(path: FilePath, memo: Memo) -> xr.Dataset:
    """Read a document; see `Reader`."""
    content = _Document.parse(path)
    own = {image.name: _get_dimension_names(image) for image in content.arrays}
    if len(own) < len(content.arrays):
        raise Unreadable("The JSON document has two arrays that would have one name.")
    names = make_variable_names((*own, *filter(None, chain.from_iterable(own.values()))))
    images = {names[image.name]: image for image in content.arrays}
    dimensions = resolve_dimension_names(
        {names[name]: tuple(names[each] if each else "" for each in dimensions) for name, dimensions in own.items()},
        {name: image.values.shape for name, image in images.items()},
    )
    variables: dict[str, xr.Variable] = {}
    for name, image in images.items():
        memo((image.name, 0), partial(_return_values, image.values))
        stored = _ArraySource(path, image.name, image.values.shape, image.values.dtype)
        source = BlockSource(stored, image.name, max(image.values.shape[0], 1), memo)
        renamed = {} if name == image.name else {"original_name": image.name}
        unfit = [f"dims: {', '.join(image.dimensions)}"] if image.dimensions and not any(own[image.name]) else []
        attributes = {**add_omissions(normalize_attributes(image.attributes, paths=True), unfit), **renamed}
        variables[name] = create_lazy_variable(dimensions[name], source, attributes)
    return build_dataset(
        variables,
        normalize_attributes(content.attributes, paths=True),
        {names[name]: each for name, each in own.items()},
    )


def _return_values(values: Array) -> Array:
    return values


def _get_dimension_names(image: _DocumentArray) -> tuple[str, ...]:
    """The names that the document gives, where there is one for each dimension; else none."""
    rank = image.values.ndim
    return image.dimensions if len(image.dimensions) == rank else ("",) * rank


@dataclass(frozen=True)
class _DocumentArray:
    """One array of the document."""

    name: str
    values: Array
    dimensions: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _ArraySource:
    """An array's values, parsed anew where they are no longer remembered."""

    path: FilePath
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        found = next((image for image in _Document.parse(self.path).arrays if image.name == self.name), None)
        if found is None or (found.values.shape, found.values.dtype) != (self.shape, self.dtype):
            raise Unreadable("The JSON document has changed since it was opened.")
        return np.asarray(found.values[key])


@dataclass(frozen=True)
class _Document:
    """What a document holds."""

    arrays: list[_DocumentArray] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, path: FilePath) -> _Document:
        """Parse a document.

        Raises:
            Unreadable: it is too large, no JSON, or its lists are ragged.
        """
        content = cls()
        try:
            content.collect_value(_parse_json(path), "")
        except RecursionError as error:
            raise Unreadable("The JSON document is nested too deeply.") from error
        return content

    def collect_value(self, value: Any, place: str) -> None:  # noqa: ANN401 — whatever JSON has
        """Take in a value and everything below it."""
        if isinstance(value, dict):
            if _is_array_object(value):
                self._collect_array(value, place)
            else:
                self._collect_items(value.items(), place)
        elif isinstance(value, list):
            self._collect_list(value, place)
        else:
            self.attributes[place or "value"] = _convert_scalar(value)

    def _collect_items(self, items: Any, place: str) -> None:  # noqa: ANN401 — pairs of a key or number, and a value
        for key, value in items:
            self.collect_value(value, _join_path(place, key))

    def _collect_list(self, value: list[Any], place: str) -> None:
        if any(isinstance(item, dict) for item in value):
            self._collect_items(enumerate(value), place)
            return
        array = _convert_to_array(value, place)
        if array.ndim > 1 or len(value) > _MAX_ATTRIBUTE_LENGTH:
            values, note = _convert_numbers(array)
            self.arrays.append(_DocumentArray(place or "image", values, attributes={"note": note} if note else {}))
        else:
            self.attributes[place or "value"] = _convert_list(value)

    def _collect_array(self, value: Mapping[str, Any], place: str) -> None:
        values, note = _parse_data(value, place or "image")
        dimensions = value.get("dims", value.get("dimensions", ()))
        named = isinstance(dimensions, list) and all(isinstance(name, str) for name in dimensions)
        rest = dict(_flatten_attributes({key: item for key, item in value.items() if key not in _ARRAY_KEYS}, ""))
        for key in ("attrs", "attributes"):
            rest |= dict(_flatten_attributes(value.get(key, {}), ""))
        if not place:  # the document is one image, so what it says is about the shot
            self.attributes.update(rest)
            rest = {}
        names = tuple(map(decode_text, dimensions)) if named else ()
        self.arrays.append(_DocumentArray(place or "image", values, names, rest | ({"note": note} if note else {})))


def _parse_json(path: FilePath) -> Any:  # noqa: ANN401 — whatever JSON has
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_SIZE + 1)
        if len(text) > _MAX_SIZE:
            raise Unreadable(f"The JSON document is larger than {_MAX_SIZE >> 20} MiB.")
        return json.loads(_decode_document(text.removeprefix(b"\xef\xbb\xbf")), object_pairs_hook=_build_object)
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except RecursionError as error:
        raise Unreadable("The JSON document is nested too deeply.") from error
    except ValueError as error:  # no JSON, or not UTF-8
        raise Unreadable(f"The file begins like JSON but is none: {_describe_json_error(error)}.") from error


def _decode_document(text: bytes) -> str:
    """Return a document's text; bytes that are no UTF-8 become halves of characters, which `decode_text` makes Latin-1.

    RFC 4627 allowed UTF-16 and UTF-32; which it is, the first bytes tell.
    """
    encoding = json.detect_encoding(text)
    return text.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")


def _describe_json_error(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}, column {error.colno}"
    return "it is not UTF-8 text" if isinstance(error, UnicodeError) else "it holds a number that is too long"


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Unreadable(
                    f"The JSON document has {key[:40]!r} twice in one object; which one counts is not known."
                )
            seen.add(key)
    return found


def _is_array_object(value: Mapping[str, Any]) -> bool:
    data = value.get("data")
    return (isinstance(data, str) and "dtype" in value) or (
        isinstance(data, list) and bool(data) and not any(isinstance(item, dict) for item in data)
    )


def _parse_data(value: Mapping[str, Any], name: str) -> tuple[Array, str]:
    """An image's values, and what had to be done to them."""
    dtype = _parse_dtype(value["dtype"], name) if "dtype" in value else None
    data: Any = value["data"]
    if isinstance(data, str) and dtype is not None:
        return _decode_base64(data, dtype, value.get("shape"), name), ""
    values, note = _convert_numbers(_convert_to_array(list(data), name))
    shape = value.get("shape")
    if shape is not None and list(values.shape) != shape:
        values = _reshape_values(values, shape, name)
    return (values if dtype is None else _cast_values(values, dtype, name)), note


def _parse_dtype(text: Any, name: str) -> np.dtype[Any]:  # noqa: ANN401 — whatever JSON has
    try:
        dtype = np.dtype(str(text))
    except (TypeError, ValueError) as error:
        raise Unreadable(f"The JSON document's array {name} is of no known type: {str(text)[:40]!r}.") from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:  # noqa: PLR2004 — bytes
        raise Unreadable(f"The JSON document's array {name} is of the type {dtype}, which is not read.")
    return dtype


def _decode_base64(text: str, dtype: np.dtype[Any], shape: Any, name: str) -> Array:  # noqa: ANN401 — whatever JSON has
    try:
        values = np.frombuffer(base64.b64decode("".join(text.split()), validate=True), dtype)
    except ValueError as error:
        raise Unreadable(f"The JSON document's array {name} is no base64 of numbers of the type {dtype}.") from error
    native = values.astype(dtype.newbyteorder("="))
    return native if shape is None else _reshape_values(native, shape, name)


def _reshape_values(values: Array, shape: Any, name: str) -> Array:  # noqa: ANN401 — whatever JSON has
    is_shape = isinstance(shape, list) and bool(shape) and all(type(size) is int and size >= 0 for size in shape)
    if not is_shape or math.prod(shape) != values.size:
        raise Unreadable(f"The JSON document's array {name} has {values.size} values, which its shape does not fit.")
    return values.reshape(shape)


def _cast_values(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    """The values in the type that the document states, if it can hold them."""
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(dtype.newbyteorder("=")) if values.dtype.kind in "iuf" else np.empty(0)
    if dtype.kind == "f" and values.dtype.kind in "iuf":
        fits = np.array_equal(np.isfinite(cast), np.isfinite(values))
    else:
        fits = np.array_equal(cast, values)
    if not fits:
        raise Unreadable(f"The JSON document's array {name} holds values that its type {dtype} cannot.")
    return cast


def _convert_to_array(value: list[Any], name: str) -> Array:
    """Nested lists as they are; integers that int64 cannot hold as objects, for NumPy would round them."""
    try:
        array = np.array(value)
        if array.dtype.kind == "u" or (array.dtype.kind == "f" and (np.abs(array) >= _MAX_EXACT_INTEGER).any()):
            return np.array(value, object)
    except OverflowError:
        return np.array(value, object)
    except ValueError as error:
        raise Unreadable(
            f"The JSON document's array {name or 'image'} is ragged: its lists have different lengths."
        ) from error
    return array


def _convert_numbers(array: Array) -> tuple[Array, str]:
    """The numbers of an array, and what had to be done to get at them; texts where not all of them are numbers."""
    if array.dtype.kind == "f":
        return array, ""
    if array.dtype.kind == "b":
        return array.astype(np.int8), ""
    if array.dtype.kind == "i":
        is_short = not array.size or (array.min() >= -(2**31) and array.max() < 2**31)
        return (array.astype(np.int32) if is_short else array), ""
    return _parse_numbers(array)


def _parse_numbers(array: Array) -> tuple[Array, str]:
    items = [_parse_integer(item) for item in array.reshape(-1).tolist()]
    try:
        values = _narrow_numbers(items).reshape(array.shape)
    except (OverflowError, TypeError, ValueError):
        texts = np.empty(len(items), object)
        texts[:] = ["" if item is None else decode_text(str(item)) for item in array.reshape(-1).tolist()]
        return texts.reshape(array.shape), ""
    has_texts = array.dtype.kind == "U" or any(isinstance(item, str) for item in array.reshape(-1).tolist())
    is_rounded = values.dtype.kind == "f" and any(isinstance(item, int) and int(float(item)) != item for item in items)
    notes = {_TEXT_NOTE: has_texts, _NULL_NOTE: None in items, _ROUNDING_NOTE: is_rounded}
    return values, "; ".join(note for note, is_so in notes.items() if is_so)


def _parse_integer(item: Any) -> Any:  # noqa: ANN401 — whatever JSON has
    """An integer that was written as text; anything else as it is."""
    return int(item) if isinstance(item, str) and _INTEGER_PATTERN.fullmatch(item) else item


def _narrow_numbers(items: list[Any]) -> Array:
    """Numbers in the narrowest type that holds integers, else in float64.

    Raises:
        OverflowError, TypeError, ValueError: not all of them are numbers.
    """
    if items and all(isinstance(item, int) for item in items):
        for dtype in map(np.dtype, ("i4", "i8", "u8")):
            if np.iinfo(dtype).min <= min(items) and max(items) <= np.iinfo(dtype).max:
                return np.array(items, dtype)
    return np.array([math.nan if item is None else float(item) for item in items])


def _join_path(place: str, key: str | int) -> str:
    """The place of a part; a slash in its own name would look like another level."""
    own = decode_text(str(key)).replace("/", "_")
    return f"{place}/{own}" if place else own


def _flatten_attributes(value: Any, place: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 — whatever JSON has
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten_attributes(item, _join_path(place, key))
    elif isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value):
            for number, item in enumerate(value):
                yield from _flatten_attributes(item, _join_path(place, number))
        else:
            yield place, _convert_list(value)
    else:
        yield place, _convert_scalar(value)


def _convert_list(value: list[Any]) -> Any:  # noqa: ANN401 — what `normalize_attributes` takes
    """A short list as an attribute: numbers where all are and none would be rounded, else texts."""
    if all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):
        numbers, note = _convert_numbers(_convert_to_array(value, ""))
        if not note:
            return numbers
    return ["" if item is None else decode_text(str(item)) for item in value]


def _convert_scalar(value: Any) -> Any:  # noqa: ANN401 — whatever JSON has
    if isinstance(value, str):
        return decode_text(value)
    return np.empty(0) if value is None else normalize_scalar(value)
