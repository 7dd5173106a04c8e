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

from shotdap.server.encoders import Block, Encoded
from shotdap.server.encoders.blocks import BLOCK
from shotdap.server.encoders.netcdf.rules import (
    Array,
    Attribute,
    Dtype,
    attributes,
    carried,
    is_text,
    left_out,
    numbers,
    text,
)
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten

__all__ = ["encode"]

_MAGIC: Final = b"CDF\x02"
_DIMENSIONS: Final = 0x0A  # NC_DIMENSION, NC_VARIABLE and NC_ATTRIBUTE, the tags of the header's lists
_VARIABLES: Final = 0x0B
_ATTRIBUTES: Final = 0x0C
_LONGEST: Final = 2**32 - 4  # bytes of one variable, with its padding
_WORD: Final = 4
_EXACT: Final = 2**53  # the greatest integer up to which float64 has all


@dataclass(frozen=True)
class _Type:
    """One of the format's types."""

    number: int
    wire: Dtype
    fill: bytes
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
    values: Callable[[], Array]
    """Gives the values, of any number type that fits, when their turn has come."""

    @property
    def size(self) -> int:
        """Bytes of its values, without padding."""
        return math.prod(self.dimensions.values()) * self.type.wire.itemsize

    @property
    def room(self) -> int:
        """Bytes of its values, with padding."""
        return self.size + _padding(self.size)


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as a netCDF-3 file; see `Encode`."""
    variables = _laid_out(dataset)
    for variable in variables:
        if variable.room > _LONGEST:
            raise BadSelection(
                f"{variable.name} has {variable.size / 2**30:.1f} GiB; a netCDF-3 file holds less than 4 GiB of one"
                " variable. Ask for a part of it, or for netCDF-4."
            )
    written = {str(name) for name, variable in carried(dataset) if variable.size}
    header = _header(variables, attributes({**dataset.attrs, **left_out(dataset, written), **_renamed(dataset)}))
    size = len(header) + sum(variable.room for variable in variables)
    return Encoded(size, chain([header], chain.from_iterable(map(_body, variables))))


def _laid_out(dataset: xr.Dataset) -> list[_Variable]:
    names = _flat_names(map(str, (*dataset.variables, *dataset.dims)))
    unique = UniqueNames(names.values())
    return [
        _of_text(name, variable, names, unique) if is_text(variable.dtype) else _of_numbers(name, variable, names)
        for name, variable in carried(dataset)
        if variable.size
    ]


def _renamed(dataset: xr.Dataset) -> dict[str, str]:
    """The attribute that lists renamed dimensions, by rule 3."""
    names = _flat_names(map(str, (*dataset.variables, *dataset.dims)))
    own = {names[name]: name for name in map(str, dataset.dims) if name not in dataset.variables}
    return list_renamed(dataset.attrs, RENAMED_DIMENSIONS, own)


def _flat_names(names: Iterable[str]) -> dict[str, str]:
    """A name without groups for each of these, all different; a name that has none keeps itself."""
    names = list(dict.fromkeys(names))
    flat = {name: name for name in names if name == _flat(name)}
    unique = UniqueNames(flat)
    return flat | {name: unique.claim(_flat(name)) for name in names if name not in flat}


def _flat(name: str) -> str:
    return shorten(re.sub("[^A-Za-z0-9_]", "_", name) or "_", name)


def _of_numbers(name: str, variable: xr.Variable, names: Mapping[str, str]) -> _Variable:
    values = np.asarray(variable.values)
    kind = _kind(values)
    promoted = kind != _code(values.dtype)
    attrs = {str(key): value for key, value in variable.attrs.items() if not promoted or key != "_Unsigned"}
    if promoted:
        attrs["native_type"] = values.dtype.newbyteorder("=").name
    return _Variable(
        names[name],
        _TYPES[kind],
        {names[str(dimension)]: size for dimension, size in variable.sizes.items()},
        attributes(
            _original(name, names) | attrs, numbers(values[:0] if values.ndim else values).dtype, np.dtype(kind)
        ),
        lambda: values,
    )


def _of_text(name: str, variable: xr.Variable, names: Mapping[str, str], unique: UniqueNames) -> _Variable:
    texts = [text(value).encode() for value in np.asarray(variable.values).reshape(-1).tolist()]
    longest = max(1, *map(len, texts))
    dimensions = {names[str(dimension)]: size for dimension, size in variable.sizes.items()}
    return _Variable(
        names[name],
        _TYPES["S1"],
        dimensions | {unique.claim(shorten(f"{names[name]}_strlen")): longest},
        attributes({**_original(name, names), **variable.attrs, "_Encoding": "utf-8"}),
        lambda: np.array(texts, f"S{longest}").view("S1"),
    )


def _original(name: str, names: Mapping[str, str]) -> dict[str, str]:
    return {"original_name": name} if names[name] != name else {}


def _code(dtype: Dtype) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


def _kind(values: Array) -> str:
    """The type that holds these numbers, by rule 2."""
    code = _code(numbers(values[:0] if values.ndim else values).dtype)
    limits = np.iinfo(np.int32)
    if code in ("i8", "u8") and limits.min <= values.min() and values.max() <= limits.max:
        return "i4"
    return _PROMOTIONS.get(code, code)


def _padding(size: int) -> int:
    return -size % _WORD


def _header(variables: list[_Variable], attrs: Mapping[str, Attribute]) -> bytes:
    """The header: where the values begin is said in it, and depends on its length but not the other way round."""
    length = len(_header_with(variables, attrs, [0] * len(variables)))
    begins = accumulate((variable.room for variable in variables), initial=length)
    return _header_with(variables, attrs, list(begins)[: len(variables)])


def _header_with(variables: list[_Variable], attrs: Mapping[str, Attribute], begins: list[int]) -> bytes:
    sizes = {name: size for variable in variables for name, size in variable.dimensions.items()}
    numbered = {name: number for number, name in enumerate(sizes)}
    return b"".join(
        [
            _MAGIC,
            _words(0),  # there are no records
            _listed(_DIMENSIONS, [_named(name) + _words(size) for name, size in sizes.items()]),
            _attribute_list(attrs),
            _listed(
                _VARIABLES,
                [
                    _described(variable, numbered) + struct.pack(">Q", begin)
                    for variable, begin in zip(variables, begins, strict=True)
                ],
            ),
        ]
    )


def _described(variable: _Variable, numbered: Mapping[str, int]) -> bytes:
    dimensions = [numbered[name] for name in variable.dimensions]
    return b"".join(
        [
            _named(variable.name),
            _words(len(dimensions), *dimensions),
            _attribute_list(variable.attributes),
            _words(variable.type.number, variable.room),
        ]
    )


def _attribute_list(attrs: Mapping[str, Attribute]) -> bytes:
    return _listed(_ATTRIBUTES, [_named(name) + _attribute(value) for name, value in attrs.items()])


def _attribute(value: Attribute) -> bytes:
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and max(map(abs, value.tolist())) > _EXACT:
        value = list(map(str, value.tolist()))  # float64 would round them
    if isinstance(value, np.ndarray):
        kind = _TYPES[_kind(value)]
        return _words(kind.number, value.size) + _padded(value.astype(kind.wire).tobytes())
    characters = ("\n".join(value) if isinstance(value, list) else value).encode()
    return _words(_TYPES["S1"].number, len(characters)) + _padded(characters)


def _listed(tag: int, items: list[bytes]) -> bytes:
    return b"".join([_words(tag if items else 0, len(items)), *items])


def _named(name: str) -> bytes:
    characters = name.encode()
    return _words(len(characters)) + _padded(characters)


def _padded(characters: bytes) -> bytes:
    return characters + bytes(_padding(len(characters)))


def _words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _body(variable: _Variable) -> Iterator[Block]:
    """The values in blocks, each converted when its turn comes."""
    values = np.ascontiguousarray(variable.values()).reshape(-1)
    step = BLOCK // variable.type.wire.itemsize
    for start in range(0, values.size, step):
        yield values[start : start + step].astype(variable.type.wire, copy=False).view(np.uint8).data
    if padding := _padding(variable.size):
        yield (variable.type.fill * _WORD)[:padding]
