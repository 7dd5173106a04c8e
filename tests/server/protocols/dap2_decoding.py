"""Helpers of the tests of DAP2: two decoders, one written from the specification, and pydap's."""

from __future__ import annotations

import io
import re
import struct
import warnings
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from shotdap.server.protocols import dap2

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap imports, imports cgi
    from pydap.handlers.dap import unpack_dap2_data
    from pydap.parsers.dds import dds_to_dataset

Array = np.ndarray[Any, np.dtype[Any]]


def encode(dataset: xr.Dataset, name: str = "d") -> bytes:
    blocks = [bytes(block) for block in dap2.encode_body(dataset, name)]
    assert sum(map(len, blocks)) == dap2.compute_body_size(dataset, name)
    return b"".join(blocks)


# An independent decoder ---------------------------------------------------------------------------------------------

_FORMATS = {"Int16": ">i4", "UInt16": ">u4", "Int32": ">i4", "UInt32": ">u4", "Float32": ">f4", "Float64": ">f8"}


def decode(body: bytes) -> dict[str, Any]:
    """Return the variables of a `.dods` response; escapes in strings are undone, as by netCDF-C."""
    text, data = body.split(b"\nData:\n", 1)
    stream, found = io.BytesIO(data), {}
    for kind, name, dims in re.findall(r"^    (\w+) (\w+)((?:\[\w+ = \d+\])*);$", text.decode("ascii"), re.MULTILINE):
        shape = tuple(map(int, re.findall(r"= (\d+)\]", dims)))
        found[name] = _decode_one(stream, kind, shape, scalar=not dims)
    assert not stream.read(), "there are bytes left"
    return found


def _decode_one(stream: io.BytesIO, kind: str, shape: tuple[int, ...], *, scalar: bool) -> Any:  # noqa: ANN401 - any value
    size = int(np.prod(shape))
    for _ in range(0 if scalar else 1 if kind == "String" else 2):
        assert _read_word(stream) == size
    if kind == "String":
        return np.array([_decode_string(stream) for _ in range(size)], dtype=object).reshape(shape)
    if kind == "Byte":
        size, item = (4, 1) if scalar else (size + -size % 4, 1)
        return np.frombuffer(stream.read(size), "u1")[: int(np.prod(shape))].reshape(shape)
    item = np.dtype(_FORMATS[kind]).itemsize
    return np.frombuffer(stream.read(size * item), _FORMATS[kind]).reshape(shape)


def _read_word(stream: io.BytesIO) -> int:
    return int(struct.unpack(">I", stream.read(4))[0])


def _decode_string(stream: io.BytesIO) -> str:
    length = _read_word(stream)
    characters, padding = stream.read(length), stream.read(-length % 4)
    assert not any(padding)
    assert not characters.replace(b"\\\\", b"").count(b"\\"), "a backslash by itself, which netCDF-C drops"
    return characters.replace(b"\\\\", b"\\").decode("utf-8")


def decode_by_pydap(body: bytes) -> dict[str, Any]:
    text, data = body.split(b"\nData:\n", 1)
    template = dds_to_dataset(text.decode("ascii"))
    return dict(zip(template.keys(), unpack_dap2_data(io.BytesIO(data), template), strict=True))


def fail(_: Array) -> Array:
    raise OSError("read")


def make_unreadable(shape: tuple[int, ...], dtype: str) -> Any:  # noqa: ANN401 - dask's arrays have no types
    return da.zeros(shape, dtype="i1").map_blocks(fail, dtype=dtype, meta=np.empty((0,) * len(shape), dtype))
