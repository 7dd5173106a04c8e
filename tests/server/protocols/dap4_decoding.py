"""Helpers of the tests of DAP4: datasets, and two decoders, one written from the specification, and pydap's."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

import numpy as np
import xarray as xr

from shotdap.server.protocols import dap4
from shotdap.transforms.selection import Selection

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap imports, imports cgi
    from pydap.handlers.dap import UNPACKDAP4DATA

EVERYTHING: Final = Selection()
Array = np.ndarray[Any, np.dtype[Any]]


def encode(dataset: xr.Dataset, expression: str = "", *, checksum: bool | None = None, name: str = "shot") -> bytes:
    selection = dap4.parse_constraint(expression)
    answer = dap4.encode_body(selection.apply(dataset), name, selection, checksum=checksum)
    blocks = b"".join(answer)
    assert len(blocks) == answer.size
    return blocks


# An independent decoder ---------------------------------------------------------------------------------------------

_WIRE: Final = {
    "Int8": "<i1", "Int16": "<i2", "Int32": "<i4", "Int64": "<i8", "Float32": "<f4",
    "UInt8": "<u1", "UInt16": "<u2", "UInt32": "<u4", "UInt64": "<u8", "Float64": "<f8",
}  # fmt: skip
NAMESPACE: Final = "{http://xml.opendap.org/ns/DAP/4.0#}"


@dataclass
class Read:
    """One variable as it was read from a body."""

    type: str
    dims: list[str | int]
    maps: list[str]
    attributes: dict[str, list[str]]
    shape: tuple[int, ...]
    values: Array = field(default_factory=lambda: np.empty(0))


def split_chunks(body: bytes) -> list[tuple[int, bytes]]:
    """Return the chunks of a body: flags and content."""
    found = []
    while body:
        (head,) = struct.unpack_from(">I", body)
        flags, length = head >> 24, head & 0xFFFFFF
        assert len(body) >= 4 + length, "the body ends within a chunk"
        found.append((flags, body[4 : 4 + length]))
        body = body[4 + length :]
    return found


def describe(dmr: str) -> dict[str, Read]:
    """Return the variables of a DMR by fully qualified name, in the order of its text."""
    root = ET.fromstring(dmr)  # noqa: S314 - our own
    sizes: dict[str, int] = {}
    found: dict[str, Read] = {}
    _walk(root, "/", sizes, found)
    return found


def read_attributes(element: ET.Element) -> dict[str, list[str]]:
    return {found.get("name", ""): read_attribute_values(found) for found in element.findall(f"{NAMESPACE}Attribute")}


def read_attribute_values(element: ET.Element) -> list[str]:
    return [value.get("value", value.text or "") for value in element.findall(f"{NAMESPACE}Value")]


def _walk(group: ET.Element, path: str, sizes: dict[str, int], found: dict[str, Read]) -> None:
    ranks = []
    for element in group:
        tag, name = element.tag.removeprefix(NAMESPACE), element.get("name", "")
        ranks.append({"Dimension": 0, "Attribute": 2, "Group": 3}.get(tag, 1))
        if tag == "Dimension":
            sizes[path + name] = int(element.get("size", ""))
        elif tag == "Group":
            _walk(element, f"{path}{name}/", sizes, found)
        elif tag != "Attribute":
            dims = [dim.get("name") or int(dim.get("size", "")) for dim in element.findall(f"{NAMESPACE}Dim")]
            found[path + name] = Read(
                type=tag,
                dims=dims,
                maps=[each.get("name", "") for each in element.findall(f"{NAMESPACE}Map")],
                attributes=read_attributes(element),
                shape=tuple(sizes[dim] if isinstance(dim, str) else dim for dim in dims),
            )
    assert ranks == sorted(ranks), "Dimension, variables, Attribute, Group"


def decode(body: bytes, *, checksums: bool = True) -> dict[str, Read]:
    """Return the variables of a data response; every rule of the framing is asserted."""
    (first_flags, dmr), *rest = split_chunks(body)
    assert dmr.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert dmr.endswith(b"\r\n")
    assert first_flags == 4
    assert [flags for flags, _ in rest] == [4] * (len(rest) - 1) + [5]
    stream = io.BytesIO(b"".join(content for _, content in rest))
    found = describe(dmr.decode("ascii"))
    for variable in found.values():
        start = stream.tell()
        variable.values = _decode_values(stream, variable)
        serialised = stream.getvalue()[start : stream.tell()]
        if checksums:
            (crc,) = struct.unpack("<I", stream.read(4))
            assert crc == zlib.crc32(serialised)
            assert variable.attributes.pop("_DAP4_Checksum_CRC32") == [str(crc)]
    assert not stream.read(), "there are bytes left"
    return found


def _decode_values(stream: io.BytesIO, variable: Read) -> Array:
    count = int(np.prod(variable.shape))
    if variable.type == "String":
        texts = [stream.read(struct.unpack("<q", stream.read(8))[0]).decode() for _ in range(count)]
        return np.array(texts, dtype=object).reshape(variable.shape)
    wire = np.dtype(_WIRE[variable.type])
    content = stream.read(count * wire.itemsize)
    assert len(content) == count * wire.itemsize
    return np.frombuffer(content, wire).reshape(variable.shape)


def decode_with_pydap(body: bytes) -> Any:  # noqa: ANN401 - pydap has no types
    return UNPACKDAP4DATA(io.BufferedReader(io.BytesIO(body))).dataset


def make_image_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "image": (
                ("frame", "y", "x"),
                np.arange(24, dtype=">u2").reshape(2, 3, 4),
                {"units": "counts", "note": 'a & b\n"µ"', "range": np.array([0, 65535], "u2"), "_FillValue": 0},
            ),
            "mask": (("y", "x"), np.eye(3, 4, dtype=bool)),
            "names": ("frame", np.array(["early", "late"], object)),
            "gain": ((), np.float32(0.1), {"error": np.nan, "limits": np.array([-np.inf, np.inf])}),
            "telescope": ((), "P510"),
        },
        coords={
            "x": ("x", np.arange(4) * 0.5, {"units": "mm"}),
            "y": ("y", np.arange(3, dtype="i4")),
            "radius": (("y", "x"), np.ones((3, 4), "f4")),
            "t0": ((), 3.5),
        },
        attrs={"Conventions": "CF-1.11", "shot": 103741},
    )


def make_grouped_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "DATA/SHOT/image": (("DATA/SHOT/y", "DATA/SHOT/x"), np.arange(12, dtype="i4").reshape(3, 4)),
            "t": ("t", np.arange(2.0)),
            "DATA/energy": ("t", np.array([1, 2], "u1")),
            "DATA/SHOT/comment": ((), "fine"),
            "OTHER/x": ("x", np.array([7], "i2")),
        },
        coords={"DATA/SHOT/y": ("DATA/SHOT/y", np.arange(3.0))},
        attrs={"DATA/SHOT/number": np.int32(103741), "DATA/by": "omega", "LOG/empty/note": "x", "top": "t"},
    )


def make_empty_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "z": (("n", "x"), np.zeros((0, 3), "u2")),
            "texts": ("n", np.array([], "U4")),
            "a": ("x", np.array([1, 2, 3], "i8")),
        }
    )
