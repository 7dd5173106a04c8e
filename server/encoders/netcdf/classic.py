"""netCDF-3, with 64-bit offsets: a dataset laid flat, in a file that every program of the last thirty years opens.

Strategy: lay the file out, then let header and values follow one another. The format is a page long and needs no
library; so its size is known before anything is converted, and it goes out in blocks without ever being whole.

Rules ("NetCDF Classic Format Specification", CDF-2):

1. Everything is big-endian; names, values of attributes and values of variables are padded to four bytes each.
2. There are six types: bytes (signed), characters, int16, int32, float32 and float64. Others become the narrowest that
   holds them, as over DAP2; the attribute ``native_type`` says what they were. A 64-bit integer becomes int32 where
   the values fit, else float64, which is exact to 2**53. An attribute beyond that is the text of its digits.
3. There are no groups: ``DATA/SHOT/image`` becomes ``DATA_SHOT_image``, and ``original_name`` says what it was; the
   file's ``renamed_dimensions`` lists dimensions without a coordinate that could.
4. There is no text but characters along one more dimension, ``<name>_strlen``; ``_Encoding`` says that it is UTF-8.
5. A dimension of length zero would mean "unlimited": its variables are left out, and ``left_out`` names them.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders import Block, EncodedFile
from shotdap.server.encoders.blocks import BLOCK_SIZE
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
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_name

_MAGIC: Final = b"CDF\x02"
_DIMENSION_TAG: Final = 0x0A  # NC_DIMENSION, NC_VARIABLE and NC_ATTRIBUTE, the tags of the header's lists
_VARIABLE_TAG: Final = 0x0B
_ATTRIBUTE_TAG: Final = 0x0C
_MAX_VARIABLE_SIZE: Final = 2**32 - 4  # bytes of one variable, with its padding
_ALIGNMENT: Final = 4
_MAX_EXACT_INTEGER: Final = 2**53  # the greatest integer up to which float64 has all


@dataclass(frozen=True)
class _Type:
    """One of the format's types."""

    code: int
    wire_dtype: Dtype
    padding: bytes
    """What padding is made of."""


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
    """A variable as it stands in the file."""

    name: str
    type: _Type
    dimensions: Mapping[str, int]
    attributes: Mapping[str, Attribute]
    load_values: Callable[[], Array]
    """Gives the values, of any number type that fits, when their turn has come."""

    @property
    def size(self) -> int:
        """Bytes of its values, without padding."""
        return math.prod(self.dimensions.values()) * self.type.wire_dtype.itemsize

    @property
    def padded_size(self) -> int:
        """Bytes of its values, with padding."""
        return self.size + _compute_padding(self.size)


def encode(dataset: xr.Dataset) -> EncodedFile:
    """The dataset as a netCDF-3 file; see `Encoder`."""
    variables = _build_variables(dataset)
    for variable in variables:
        if variable.padded_size > _MAX_VARIABLE_SIZE:
            raise BadSelection(
                f"{variable.name} has {variable.size / 2**30:.1f} GiB; a netCDF-3 file holds less than 4 GiB of one"
                " variable. Ask for a part of it, or for netCDF-4."
            )
    written = {str(name) for name, variable in iter_supported_variables(dataset) if variable.size}
    header = _encode_header(
        variables,
        normalize_attributes(
            {**dataset.attrs, **list_omitted_variables(dataset, written), **_list_renamed_dimensions(dataset)}
        ),
    )
    size = len(header) + sum(variable.padded_size for variable in variables)
    return EncodedFile(size, chain([header], chain.from_iterable(map(_encode_values, variables))))


def _build_variables(dataset: xr.Dataset) -> list[_Variable]:
    names = _make_flat_names(map(str, (*dataset.variables, *dataset.dims)))
    unique = UniqueNames(names.values())
    return [
        _build_text_variable(name, variable, names, unique)
        if is_text(variable.dtype)
        else _build_number_variable(name, variable, names)
        for name, variable in iter_supported_variables(dataset)
        if variable.size
    ]


def _list_renamed_dimensions(dataset: xr.Dataset) -> dict[str, str]:
    """The attribute that lists renamed dimensions, by rule 3."""
    names = _make_flat_names(map(str, (*dataset.variables, *dataset.dims)))
    own = {names[name]: name for name in map(str, dataset.dims) if name not in dataset.variables}
    return list_renamed(dataset.attrs, RENAMED_DIMENSIONS, own)


def _make_flat_names(names: Iterable[str]) -> dict[str, str]:
    """A name without groups for each of these, all different; a name that has none keeps itself."""
    names = list(dict.fromkeys(names))
    flat = {name: name for name in names if name == _make_flat_name(name)}
    unique = UniqueNames(flat)
    return flat | {name: unique.claim(_make_flat_name(name)) for name in names if name not in flat}


def _make_flat_name(name: str) -> str:
    return shorten_name(re.sub("[^A-Za-z0-9_]", "_", name) or "_", name)


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
    """The type that holds these numbers, by rule 2."""
    code = _get_dtype_code(normalize_numbers(values[:0] if values.ndim else values).dtype)
    limits = np.iinfo(np.int32)
    if code in ("i8", "u8") and limits.min <= values.min() and values.max() <= limits.max:
        return "i4"
    return _PROMOTIONS.get(code, code)


def _compute_padding(size: int) -> int:
    return -size % _ALIGNMENT


def _encode_header(variables: list[_Variable], attrs: Mapping[str, Attribute]) -> bytes:
    """The header: where the values begin is said in it, and depends on its length but not the other way round."""
    length = len(_encode_header_with_offsets(variables, attrs, [0] * len(variables)))
    begins = accumulate((variable.padded_size for variable in variables), initial=length)
    return _encode_header_with_offsets(variables, attrs, list(begins)[: len(variables)])


def _encode_header_with_offsets(variables: list[_Variable], attrs: Mapping[str, Attribute], begins: list[int]) -> bytes:
    sizes = {name: size for variable in variables for name, size in variable.dimensions.items()}
    numbered = {name: number for number, name in enumerate(sizes)}
    return b"".join(
        [
            _MAGIC,
            _pack_integers(0),  # there are no records
            _encode_list(_DIMENSION_TAG, [_encode_name(name) + _pack_integers(size) for name, size in sizes.items()]),
            _encode_attributes(attrs),
            _encode_list(
                _VARIABLE_TAG,
                [
                    _encode_variable(variable, numbered) + struct.pack(">Q", begin)
                    for variable, begin in zip(variables, begins, strict=True)
                ],
            ),
        ]
    )


def _encode_variable(variable: _Variable, numbered: Mapping[str, int]) -> bytes:
    dimensions = [numbered[name] for name in variable.dimensions]
    return b"".join(
        [
            _encode_name(variable.name),
            _pack_integers(len(dimensions), *dimensions),
            _encode_attributes(variable.attributes),
            _pack_integers(variable.type.code, variable.padded_size),
        ]
    )


def _encode_attributes(attrs: Mapping[str, Attribute]) -> bytes:
    return _encode_list(
        _ATTRIBUTE_TAG, [_encode_name(name) + _encode_attribute(value) for name, value in attrs.items()]
    )


def _encode_attribute(value: Attribute) -> bytes:
    if (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "iu"
        and max(map(abs, value.tolist())) > _MAX_EXACT_INTEGER
    ):
        value = list(map(str, value.tolist()))  # float64 would round them
    if isinstance(value, np.ndarray):
        kind = _TYPES[_infer_type(value)]
        return _pack_integers(kind.code, value.size) + _pad_bytes(value.astype(kind.wire_dtype).tobytes())
    characters = ("\n".join(value) if isinstance(value, list) else value).encode()
    return _pack_integers(_TYPES["S1"].code, len(characters)) + _pad_bytes(characters)


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
    """The values in blocks, each converted when its turn comes."""
    values = np.ascontiguousarray(variable.load_values()).reshape(-1)
    step = BLOCK_SIZE // variable.type.wire_dtype.itemsize
    for start in range(0, values.size, step):
        yield values[start : start + step].astype(variable.type.wire_dtype, copy=False).view(np.uint8).data
    if padding := _compute_padding(variable.size):
        yield (variable.type.padding * _ALIGNMENT)[:padding]
