"""Parses raw responses, and sends requests that no well-behaved client sends."""

from __future__ import annotations

import re
import socket
import struct
from contextlib import suppress
from typing import Any, Final
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DMR",
    "exchange_bytes",
    "parse_dap2_error",
    "parse_dap2_values",
    "parse_dap4_chunks",
    "parse_dap4_error",
    "parse_status",
]

DMR: Final = "{http://xml.opendap.org/ns/DAP/4.0#}"
SECONDS: Final = 10
WIRE_TYPES: Final = {b"Int16": ">i4", b"Int32": ">i4", b"Float32": ">f4", b"Float64": ">f8"}
DECLARATION: Final = re.compile(rb"^ {4}(\w+) (\w+)((?:\[\w+ = \d+\])*);$", re.MULTILINE)
DAP2_ERROR: Final = re.compile(r'Error \{\n    code = (\d+);\n    message = "((?:[^"\\]|\\.)*)";\n\};\n', re.DOTALL)


def parse_dap2_values(body: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of numbers in a ``.dods`` response; assert that it ends after the last."""
    head, data = body.split(b"\nData:\n", 1)
    found = {}
    for kind, name, dimensions in DECLARATION.findall(head):
        shape = [int(size) for size in re.findall(rb"= (\d+)", dimensions)]
        dtype = np.dtype(WIRE_TYPES[kind])
        count = int(np.prod(shape))
        assert data[:8] == struct.pack(">II", count, count)
        found[name.decode()] = np.frombuffer(data, dtype, count, offset=8).reshape(shape)
        data = data[8 + count * dtype.itemsize :]
    assert not data
    return found


def parse_dap4_chunks(body: bytes) -> list[tuple[int, bytes]]:
    """Return the flags and the contents of each chunk of a ``.dap`` response; assert that it ends after the last."""
    chunks = []
    while body:
        flags, size = body[0], int.from_bytes(body[1:4], "big")
        chunks.append((flags, body[4 : 4 + size]))
        body = body[4 + size :]
    return chunks


def parse_dap2_error(body: str) -> tuple[int, str]:
    """Return the code and the sentence of a DAP2 error; assert that it is well formed."""
    match = DAP2_ERROR.fullmatch(body)
    assert match, body
    return int(match[1]), match[2]


def parse_dap4_error(body: str) -> tuple[int, str]:
    """Return the code and the sentence of a DAP4 error."""
    root = ET.fromstring(body)  # noqa: S314 — it comes from our own server
    assert root.tag == f"{DMR}Error", body
    return int(root.attrib["httpcode"]), root.findtext(f"{DMR}Message") or ""


def exchange_bytes(port: int, request: bytes) -> bytes:
    """Send raw bytes; return all that the server sends until it hangs up, or waits for more."""
    answer = bytearray()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection,
        suppress(ConnectionError, TimeoutError),  # a server that got enough garbage may hang up
    ):
        connection.sendall(request)
        while piece := connection.recv(65536):
            answer += piece
    return bytes(answer)


def parse_status(answer: bytes) -> int:
    """Return the status of a response; 0 if there is none."""
    match = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    return int(match[1]) if match else 0
