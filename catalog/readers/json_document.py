"""JSON documents: images as nested lists or as base64, and what is known of a shot.

Arrays: an object with ``data``, as nested lists or, with ``dtype`` and ``shape``, in base64; and any other list of
lists, or long list, of numbers. An array's name is its path in the document: ``camera/frames``; an array that is the
whole document is ``image``. An object's ``dims`` name its dimensions, and its other members are the array's attributes.
Everything else becomes attributes of the dataset, named by their paths too: ``target/gas/pressure``.

Numbers: NaN, Infinity and -Infinity are read as Python, MATLAB and others write them. In an array, numbers written as
text are read as numbers and null as NaN, and the array's attribute ``note`` reports it; in attributes text stays text.
Integers become the first of int32, int64 and uint64 that holds them all; if none does, or null or a fraction is among
them, they become float64, and the ``note`` reports rounding. With a ``dtype`` that can hold them, they get that type; a
``dtype`` that cannot is refused.

A document can only be parsed as a whole, so opening has that cost; the arrays are cached like decoded frames.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
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
from shotdap.catalog.readers.lazy import Array, BasicIndex, BlockSource, create_lazy_variable
from shotdap.catalog.storage import FilePath
from shotdap.transforms import Memo

_MAX_SIZE = 128 << 20  # bytes; a parsed document of numbers takes up to twenty times its size
_MAX_EXACT_INTEGER = 2**53  # float64 represents all integers up to this one
_MAX_ATTRIBUTE_LENGTH = 32  # a longer list of numbers is an array, a shorter one an attribute
_ARRAY_KEYS = frozenset({"data", "dtype", "shape", "dims", "dimensions", "encoding", "attrs", "attributes"})
_TEXT_NOTE = "numbers written as text were read as numbers"
_NULL_NOTE = "null was read as NaN"
_ROUNDING_NOTE = "integers were rounded to float64"
_INTEGER_PATTERN = re.compile(r"\s*[+-]?[0-9]{1,20}\s*", re.ASCII)


def read(path: FilePath, memo: Memo) -> xr.Dataset:
    """Read a document; see `Reader`."""
    document = _Document.parse(path)
    own_names = {  # of dimensions; ignored unless the document names each
        array.name: array.dimensions if len(array.dimensions) == array.values.ndim else ("",) * array.values.ndim
        for array in document.arrays
    }
    if len(own_names) < len(document.arrays):
        raise Unreadable("The JSON document has two arrays that would have one name.")
    names = make_variable_names((*own_names, *filter(None, chain.from_iterable(own_names.values()))))
    arrays = {names[array.name]: array for array in document.arrays}
    dimensions = resolve_dimension_names(
        {names[name]: tuple(names[own] if own else "" for own in owns) for name, owns in own_names.items()},
        {name: array.values.shape for name, array in arrays.items()},
    )
    variables: dict[str, xr.Variable] = {}
    for name, array in arrays.items():
        memo((array.name, 0), partial(np.asarray, array.values))
        stored = _DocumentSource(path, array.name, array.values.shape, array.values.dtype)
        source = BlockSource(stored, array.name, max(array.values.shape[0], 1), memo)
        renamed = {} if name == array.name else {"original_name": array.name}
        unused = [f"dims: {', '.join(array.dimensions)}"] if array.dimensions and not any(own_names[array.name]) else []
        attributes = {**add_omissions(normalize_attributes(array.attributes, paths=True), unused), **renamed}
        variables[name] = create_lazy_variable(dimensions[name], source, attributes)
    return build_dataset(
        variables,
        normalize_attributes(document.attributes, paths=True),
        {names[name]: owns for name, owns in own_names.items()},
    )


@dataclass(frozen=True)
class _DocumentArray:
    """One array of the document."""

    name: str
    values: Array
    dimensions: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _DocumentSource:
    """An array's values, parsed again if they are no longer cached."""

    path: FilePath
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        array = next((array for array in _Document.parse(self.path).arrays if array.name == self.name), None)
        if array is None or (array.values.shape, array.values.dtype) != (self.shape, self.dtype):
            raise Unreadable("The JSON document has changed since it was opened.")
        return np.asarray(array.values[key])


@dataclass(frozen=True)
class _Document:
    """The arrays and attributes of a document."""

    arrays: list[_DocumentArray] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, path: FilePath) -> _Document:
        """Parse a document.

        Raises:
            Unreadable: the file is too large or no JSON, or its lists are ragged.
        """
        document = cls()
        try:
            document._collect_value(_parse_json(path), "")
        except RecursionError as error:
            raise Unreadable("The JSON document is nested too deeply.") from error
        return document

    def _collect_value(self, value: Any, path: str) -> None:  # noqa: ANN401 — any JSON value
        """Collect the arrays and attributes of a value and everything below it."""
        items: Any = None  # of an object or list that is no array
        if isinstance(value, dict):
            data = value.get("data")
            is_base64 = isinstance(data, str) and "dtype" in value
            is_list = isinstance(data, list) and bool(data) and not any(isinstance(item, dict) for item in data)
            if is_base64 or is_list:
                values, note = _parse_data(value, path or "image")
                dimensions: Any = value.get("dims", value.get("dimensions", ()))
                is_named = isinstance(dimensions, list) and all(isinstance(name, str) for name in dimensions)
                rest = dict(
                    _flatten_attributes({key: item for key, item in value.items() if key not in _ARRAY_KEYS}, "")
                )
                for key in ("attrs", "attributes"):
                    rest |= dict(_flatten_attributes(value.get(key, {}), ""))
                if not path:  # the document is one image, so its attributes describe the shot
                    self.attributes.update(rest)
                    rest = {}
                names = tuple(map(decode_text, dimensions)) if is_named else ()
                rest |= {"note": note} if note else {}
                self.arrays.append(_DocumentArray(path or "image", values, names, rest))
            else:
                items = value.items()
        elif not isinstance(value, list):
            self.attributes[path or "value"] = _convert_scalar(value)
        elif any(isinstance(item, dict) for item in value):
            items = enumerate(value)
        else:
            array = _convert_to_array(value, path)
            if array.ndim > 1 or len(value) > _MAX_ATTRIBUTE_LENGTH:
                values, note = _convert_numbers(array)
                self.arrays.append(_DocumentArray(path or "image", values, attributes={"note": note} if note else {}))
            else:
                self.attributes[path or "value"] = _convert_list(value)
        for key, item in items or ():
            self._collect_value(item, _join_path(path, key))


def _parse_json(path: FilePath) -> Any:  # noqa: ANN401 — any JSON value
    """Parse a JSON file.

    Bytes that are not UTF-8 become surrogates, which `decode_text` decodes as Latin-1. RFC 4627 allowed UTF-16 and
    UTF-32 too; the first bytes tell the encoding.
    """

    def build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            key = next(key for key, number in Counter(key for key, _ in pairs).items() if number > 1)
            raise Unreadable(f"The JSON document has {key[:40]!r} twice in one object; which one counts is not known.")
        return members

    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SIZE + 1)
        if len(content) > _MAX_SIZE:
            raise Unreadable(f"The JSON document is larger than {_MAX_SIZE >> 20} MiB.")
        content = content.removeprefix(b"\xef\xbb\xbf")
        encoding = json.detect_encoding(content)
        text = content.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
        return json.loads(text, object_pairs_hook=build_object)
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except RecursionError as error:
        raise Unreadable("The JSON document is nested too deeply.") from error
    except ValueError as error:  # no JSON, or not UTF-8
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else "it holds a number that is too long"
        if isinstance(error, json.JSONDecodeError):
            reason = f"{error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}, column {error.colno}"
        raise Unreadable(f"The file begins like JSON but is none: {reason}.") from error


def _parse_data(value: Mapping[str, Any], name: str) -> tuple[Array, str]:
    """Return the values of an array object, and a note on their conversion."""
    dtype: np.dtype[Any] | None = None
    if "dtype" in value:
        try:
            dtype = np.dtype(str(value["dtype"]))
        except (TypeError, ValueError) as error:
            text = str(value["dtype"])[:40]
            raise Unreadable(f"The JSON document's array {name} is of no known type: {text!r}.") from error
        if dtype.kind not in "iuf" or dtype.itemsize > 8:  # noqa: PLR2004 — bytes
            raise Unreadable(f"The JSON document's array {name} is of the type {dtype}, which is not read.")
    data: Any = value["data"]
    shape = value.get("shape")
    if isinstance(data, str) and dtype is not None:
        try:
            stored = np.frombuffer(base64.b64decode("".join(data.split()), validate=True), dtype)
        except ValueError as error:
            message = f"The JSON document's array {name} is no base64 of numbers of the type {dtype}."
            raise Unreadable(message) from error
        native = stored.astype(dtype.newbyteorder("="))
        return (native if shape is None else _reshape_values(native, shape, name)), ""
    values, note = _convert_numbers(_convert_to_array(list(data), name))
    if shape is not None and list(values.shape) != shape:
        values = _reshape_values(values, shape, name)
    if dtype is None:
        return values, note
    is_numeric = values.dtype.kind in "iuf"
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(dtype.newbyteorder("=")) if is_numeric else np.empty(0)
    if dtype.kind == "f" and is_numeric:
        fits = np.array_equal(np.isfinite(cast), np.isfinite(values))
    else:
        fits = np.array_equal(cast, values)
    if not fits:
        raise Unreadable(f"The JSON document's array {name} holds values that its type {dtype} cannot.")
    return cast, note


def _reshape_values(values: Array, shape: Any, name: str) -> Array:  # noqa: ANN401 — any JSON value
    is_shape = isinstance(shape, list) and bool(shape) and all(type(size) is int and size >= 0 for size in shape)
    if not is_shape or math.prod(shape) != values.size:
        raise Unreadable(f"The JSON document's array {name} has {values.size} values, which its shape does not fit.")
    return values.reshape(shape)


def _convert_to_array(value: list[Any], name: str) -> Array:
    """Convert nested lists to an array; integers beyond int64 stay objects, since NumPy would round them."""
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
    """Return the numbers of an array, and a note on their conversion; return texts unless all are numbers."""
    if array.dtype.kind == "f":
        return array, ""
    if array.dtype.kind == "b":
        return array.astype(np.int8), ""
    if array.dtype.kind == "i":
        is_short = not array.size or (array.min() >= -(2**31) and array.max() < 2**31)
        return (array.astype(np.int32) if is_short else array), ""
    objects = array.reshape(-1).tolist()
    items = [  # integers written as text are parsed exactly
        int(item) if isinstance(item, str) and _INTEGER_PATTERN.fullmatch(item) else item for item in objects
    ]
    dtype = None
    integers = [item for item in items if isinstance(item, int)]
    if items and len(integers) == len(items):
        least, most = min(integers), max(integers)
        types = map(np.dtype, ("i4", "i8", "u8"))
        dtype = next((each for each in types if np.iinfo(each).min <= least and most <= np.iinfo(each).max), None)
    try:
        numbers = items if dtype else [math.nan if item is None else float(item) for item in items]
        values = np.array(numbers, dtype).reshape(array.shape)
    except (OverflowError, TypeError, ValueError):
        texts = np.empty(len(items), object)
        texts[:] = ["" if item is None else decode_text(str(item)) for item in objects]
        return texts.reshape(array.shape), ""
    has_texts = array.dtype.kind == "U" or any(isinstance(item, str) for item in objects)
    is_rounded = values.dtype.kind == "f" and any(isinstance(item, int) and int(float(item)) != item for item in items)
    notes = {_TEXT_NOTE: has_texts, _NULL_NOTE: None in items, _ROUNDING_NOTE: is_rounded}
    return values, "; ".join(note for note, applies in notes.items() if applies)


def _join_path(path: str, key: str | int) -> str:
    """Return the path of a member; a slash in its key becomes ``_``, or it would look like another level."""
    own = decode_text(str(key)).replace("/", "_")
    return f"{path}/{own}" if path else own


def _flatten_attributes(value: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 — any JSON value
    """Yield the attributes in a value, by their paths."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten_attributes(item, _join_path(path, key))
    elif isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value):
            for number, item in enumerate(value):
                yield from _flatten_attributes(item, _join_path(path, number))
        else:
            yield path, _convert_list(value)
    else:
        yield path, _convert_scalar(value)


def _convert_list(value: list[Any]) -> Any:  # noqa: ANN401 — what `normalize_attributes` takes
    """Convert a short list to an attribute: numbers if all are numbers and none is rounded, else texts."""
    if all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):
        numbers, note = _convert_numbers(_convert_to_array(value, ""))
        if not note:
            return numbers
    return ["" if item is None else decode_text(str(item)) for item in value]


def _convert_scalar(value: Any) -> Any:  # noqa: ANN401 — any JSON value
    if isinstance(value, str):
        return decode_text(value)
    return np.empty(0) if value is None else normalize_scalar(value)
