"""netCDF-3, with 64-bit offsets: a flat dataset, in a file that every program of the last thirty years opens.

Strategy: compute the layout, then send header and values. The specification is a page long and needs no library; so
the size is known before any value is converted, and the whole file is never in memory.

Rules ("NetCDF Classic Format Specification", CDF-2):

1. Everything is big-endian; names, values of attributes and values of variables are padded to four bytes each.
2. There are six types: bytes (signed), characters, int16, int32, float32 and float64. Other types become the narrowest
   that holds them, as in DAP2; the attribute ``native_type`` is the original type. A 64-bit integer becomes int32 if
   the values fit, else float64, which is exact to 2**53. A larger attribute becomes the text of its digits.
3. There are no groups: ``DATA/SHOT/image`` becomes ``DATA_SHOT_image``, and ``original_name`` is the original name;
   ``renamed_dimensions`` of the file lists the renamed dimensions that have no coordinate.
4. Text is an array of characters with one more dimension, ``<name>_strlen``; ``_Encoding`` is UTF-8.
5. A dimension of length zero would mean "unlimited": its variables are omitted, and ``left_out`` lists them.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders import Block, EncodedFile
from shotdap.server.encoders.netcdf.rules import (
    Array,
    Attribute,
    Dtype,
    is_text,
    iter_supported_variables,
    list_omitted_variables,
    normalize_attributes,
    normalize_numbers,
    normalize_text,
)
from shotdap.server.http.blocks import BLOCK_SIZE
from shotdap.server.protocols.variable_names import make_unique_names
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_name

_MAGIC: Final = b"CDF\x02"
_DIMENSION_TAG: Final = 0x0A  # NC_DIMENSION, NC_VARIABLE and NC_ATTRIBUTE: the tags of lists in the header
_VARIABLE_TAG: Final = 0x0B
_ATTRIBUTE_TAG: Final = 0x0C
_MAX_VARIABLE_SIZE: Final = 2**32 - 4  # bytes, with padding
_ALIGNMENT: Final = 4
_MAX_EXACT_INTEGER: Final = 2**53  # float64 has all integers up to this one


@dataclass(frozen=True)
class _Type:
    """A type of the format."""

    code: int
    wire_dtype: Dtype
    padding: bytes
    """The bytes of padding."""


_TYPES: Final[Mapping[str, _Type]] = {
    "i1": _Type(1, np.dtype("i1"), b"\x81"),
    "S1": _Type(2, np.dtype("S1"), b"\0"),
    "i2": _Type(3, np.dtype(">i2"), b"\x80\x01"),
    "i4": _Type(4, np.dtype(">i4"), b""),
    "f4": _Type(5, np.dtype(">f4"), b""),
    "f8": _Type(6, np.dtype(">f8"), b""),
}
_PROMOTIONS: Final = {"u1": "i2", "u2": "i4", "u4": "f8", "i8": "f8", "u8": "f8"}


@dataclass(frozen=True)
class _Variable:
    """A variable in the file."""

    name: str
    type: _Type
    dimensions: Mapping[str, int]
    attributes: Mapping[str, Attribute]
    load_values: Callable[[], Array]
    """Returns the values, of any numeric type that fits."""

    @property
    def size(self) -> int:
        """Bytes of the values, without padding."""
        return math.prod(self.dimensions.values()) * self.type.wire_dtype.itemsize

    @property
    def padded_size(self) -> int:
        """Bytes of the values, with padding."""
        return self.size + _compute_padding(self.size)


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode a dataset as a netCDF-3 file; see `Encoder`."""

    def make_flat(name: str) -> str:
        return shorten_name(re.sub("[^A-Za-z0-9_]", "_", name) or "_", name)

    names = make_unique_names(map(str, (*dataset.variables, *dataset.dims)), make_flat)
    unique = UniqueNames(names.values())
    sources = {name: variable for name, variable in iter_supported_variables(dataset) if variable.size}
    variables = [
        _build_text_variable(name, variable, names, unique)
        if is_text(variable.dtype)
        else _build_number_variable(name, variable, names)
        for name, variable in sources.items()
    ]
    for variable in variables:
        if variable.padded_size > _MAX_VARIABLE_SIZE:
            raise BadSelection(
                f"{variable.name} has {variable.size / 2**30:.1f} GiB; a netCDF-3 file holds less than 4 GiB of one"
                " variable. Ask for a part of it, or for netCDF-4."
            )
    own = {names[name]: name for name in map(str, dataset.dims) if name not in dataset.variables}
    notes = {**list_omitted_variables(dataset, sources), **list_renamed(dataset.attrs, RENAMED_DIMENSIONS, own)}
    attrs = normalize_attributes({**dataset.attrs, **notes})
    # The header contains the offsets of the values, which depend on its length, which does not depend on them.
    length = len(_encode_header(variables, attrs, [0] * len(variables)))
    offsets = list(accumulate((variable.padded_size for variable in variables), initial=length))
    header = _encode_header(variables, attrs, offsets[:-1])
    return EncodedFile(offsets[-1], chain([header], chain.from_iterable(map(_encode_values, variables))))


def _build_number_variable(name: str, variable: xr.Variable, names: Mapping[str, str]) -> _Variable:
    values = np.asarray(variable.values)
    kind = _infer_type(values)
    promoted = kind != _get_dtype_code(values.dtype)
    attrs = {str(key): value for key, value in variable.attrs.items() if not promoted or key != "_Unsigned"}
    if promoted:
        attrs["native_type"] = values.dtype.newbyteorder("=").name
    return _Variable(
        names[name],
        _TYPES[kind],
        {names[str(dimension)]: size for dimension, size in variable.sizes.items()},
        normalize_attributes(
            _describe_original_name(name, names) | attrs,
            normalize_numbers(values[:0] if values.ndim else values).dtype,
            np.dtype(kind),
        ),
        lambda: values,
    )


def _build_text_variable(name: str, variable: xr.Variable, names: Mapping[str, str], unique: UniqueNames) -> _Variable:
    texts = [normalize_text(value).encode() for value in np.asarray(variable.values).reshape(-1).tolist()]
    longest = max(1, *map(len, texts))
    dimensions = {names[str(dimension)]: size for dimension, size in variable.sizes.items()}
    return _Variable(
        names[name],
        _TYPES["S1"],
        dimensions | {unique.claim(shorten_name(f"{names[name]}_strlen")): longest},
        normalize_attributes({**_describe_original_name(name, names), **variable.attrs, "_Encoding": "utf-8"}),
        lambda: np.array(texts, f"S{longest}").view("S1"),
    )


def _describe_original_name(name: str, names: Mapping[str, str]) -> dict[str, str]:
    return {"original_name": name} if names[name] != name else {}


def _get_dtype_code(dtype: Dtype) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


def _infer_type(values: Array) -> str:
    """Return the type for numbers by rule 2."""
    code = _get_dtype_code(normalize_numbers(values[:0] if values.ndim else values).dtype)
    limits = np.iinfo(np.int32)
    if code in ("i8", "u8") and limits.min <= values.min() and values.max() <= limits.max:
        return "i4"
    return _PROMOTIONS.get(code, code)


def _compute_padding(size: int) -> int:
    return -size % _ALIGNMENT


def _encode_header(variables: list[_Variable], attrs: Mapping[str, Attribute], offsets: list[int]) -> bytes:
    sizes = {name: size for variable in variables for name, size in variable.dimensions.items()}
    numbers = {name: number for number, name in enumerate(sizes)}
    dimensions = [_encode_name(name) + _pack_integers(size) for name, size in sizes.items()]
    declarations = [
        _encode_name(variable.name)
        + _pack_integers(len(variable.dimensions), *(numbers[name] for name in variable.dimensions))
        + _encode_attributes(variable.attributes)
        + _pack_integers(variable.type.code, variable.padded_size)
        + struct.pack(">Q", offset)
        for variable, offset in zip(variables, offsets, strict=True)
    ]
    no_records = _pack_integers(0)
    lists = (
        _encode_list(_DIMENSION_TAG, dimensions),
        _encode_attributes(attrs),
        _encode_list(_VARIABLE_TAG, declarations),
    )
    return b"".join([_MAGIC, no_records, *lists])


def _encode_attributes(attrs: Mapping[str, Attribute]) -> bytes:
    items: list[bytes] = []
    for name, original in attrs.items():
        value = original
        integers = value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "iu" else []
        if max(map(abs, integers), default=0) > _MAX_EXACT_INTEGER:
            value = list(map(str, integers))  # float64 would round them
        if isinstance(value, np.ndarray):
            kind = _TYPES[_infer_type(value)]
            content = _pack_integers(kind.code, value.size) + _pad_bytes(value.astype(kind.wire_dtype).tobytes())
        else:
            characters = ("\n".join(value) if isinstance(value, list) else value).encode()
            content = _pack_integers(_TYPES["S1"].code, len(characters)) + _pad_bytes(characters)
        items.append(_encode_name(name) + content)
    return _encode_list(_ATTRIBUTE_TAG, items)


def _encode_list(tag: int, items: list[bytes]) -> bytes:
    return b"".join([_pack_integers(tag if items else 0, len(items)), *items])


def _encode_name(name: str) -> bytes:
    characters = name.encode()
    return _pack_integers(len(characters)) + _pad_bytes(characters)


def _pad_bytes(characters: bytes) -> bytes:
    return characters + bytes(_compute_padding(len(characters)))


def _pack_integers(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _encode_values(variable: _Variable) -> Iterator[Block]:
    """Yield the values in blocks, each converted when it is sent."""
    values = np.ascontiguousarray(variable.load_values()).reshape(-1)
    step = BLOCK_SIZE // variable.type.wire_dtype.itemsize
    for start in range(0, values.size, step):
        yield values[start : start + step].astype(variable.type.wire_dtype, copy=False).view(np.uint8).data
    if padding := _compute_padding(variable.size):
        yield (variable.type.padding * _ALIGNMENT)[:padding]
