"""The DAP4 data response: a DMR, then the values of its variables, in chunks.

Strategy: serialize every variable first. Values that are little-endian and contiguous are used as they are; others are
converted piece by piece, and the checksum of each piece is computed while it is in the cache of the processor. Then
render the DMR with the checksums, and send. When the first byte is sent, nothing can fail any more.

Rule 1: "Chunk 1 is the DMR followed by CRLF, which is counted; libdap fails without it."
Rule 2: values are little-endian, without counts and padding; a string is its length as Int64, then UTF-8.
Rule 3: a checksum is the CRC-32 of the serialized bytes of a variable before chunking, string lengths included; its
four bytes follow them. Checksums are sent unless ``dap4.checksum=false``, and the DMR repeats each as an attribute:
only this works with netCDF-C 4.9.0 and 4.10.1, libdap and pydap, with the key and without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from isal.isal_zlib import crc32  # that of zlib takes eight times as long, or more

from shotdap.server.protocols.dap4.chunks import MAX_CHUNK_SIZE, compute_chunked_size, encode_chunks
from shotdap.server.protocols.dap4.dmr import render_tree
from shotdap.server.protocols.dap4.error import render_error
from shotdap.server.protocols.dap4.tree import Group, Variable, build_tree
from shotdap.server.protocols.dap4.xml_text import convert_to_text
from shotdap.transforms.selection import BadSelection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr

    from shotdap.server.http.blocks import Block
    from shotdap.transforms.selection import Selection

_CRLF = b"\r\n"
_CRC_SIZE = 4
_LENGTH_SIZE = 8
_FAILURE_DOCUMENT = render_error(
    500, "The server had to stop in the middle of its answer, by a fault of its own; its log says more."
)
_CONVERSION_SIZE = 256 << 10  # bytes converted at a time: twice as many fit the cache of a processor


@dataclass(frozen=True)
class EncodedBody:
    """A data response, complete in memory: iterate over it for the blocks to send."""

    dmr: bytes
    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        """The number of bytes in all blocks, for ``Content-Length``."""
        return compute_chunked_size(self.dmr, self._data_size)

    def __iter__(self) -> Iterator[Block]:
        return encode_chunks(self.dmr, self.blocks, self._data_size, _FAILURE_DOCUMENT)

    @property
    def _data_size(self) -> int:
        return sum(map(len, self.blocks))


def encode_body(dataset: xr.Dataset, name: str, selection: Selection, *, checksum: bool | None = None) -> EncodedBody:
    """Serialize a narrowed dataset.

    Values that are not in memory yet are computed here, one variable after the other: load the dataset first if its
    variables share work. Values that are little-endian and contiguous are not copied, so they must not change before
    the last block is sent. A frame of 8 MiB takes about 1 ms, or 3 ms if its bytes have to be swapped.

    Args:
        dataset: the result of `selection`.
        name: the name of the dataset.
        selection: the constraint that narrowed the dataset.
        checksum: the value of the request; `None` if it has none.

    Returns:
        The response, of known size.

    Raises:
        TypeError: a variable has a type that DAP4 does not have.
        BadSelection: the description of so many variables exceeds the largest chunk.
        Exception: any error in computing the values.
    """
    root = build_tree(dataset, name, selection)
    values = [_serialize_variable(variable) for variable in root.walk_variables()]
    if checksum is False:
        return EncodedBody(_encode_dmr(root), tuple(piece for piece, _ in values))
    pieces = tuple(part for piece, crc in values for part in (piece, crc.to_bytes(_CRC_SIZE, "little")))
    return EncodedBody(_encode_dmr(root, [crc for _, crc in values]), pieces)


def _serialize_variable(variable: Variable) -> tuple[Block, int]:
    """Return the values in DAP4's encoding, if possible as a view, and their CRC-32."""
    values, wire = variable.array.values, variable.type.wire_dtype
    if wire is None:
        texts = (convert_to_text(value).encode(errors="replace") for value in values.ravel().tolist())
        strings = b"".join(len(text).to_bytes(_LENGTH_SIZE, "little") + text for text in texts)
        return strings, crc32(strings)
    if values.dtype == wire and values.flags.c_contiguous:
        view = values.reshape(-1).view(np.uint8).data
        return view, crc32(view)
    # Without dimensions of length one, and flat if that takes no copy, an array has enough rows to split it.
    rows = values.reshape(-1) if values.flags.c_contiguous or not values.ndim else values.squeeze()
    converted = np.empty(rows.shape, wire)
    flat = converted.reshape(-1).view(np.uint8)
    row = wire.itemsize * int(np.prod(rows.shape[1:]))
    many, crc = max(1, _CONVERSION_SIZE // max(1, row)), 0
    for first in range(0, len(rows), many):
        converted[first : first + many] = rows[first : first + many]
        crc = crc32(flat[first * row : (first + many) * row].data, crc)
    return flat.data, crc


def _encode_dmr(root: Group, checksums: Sequence[int] = ()) -> bytes:
    description = render_tree(root, checksums).encode("ascii") + _CRLF
    if len(description) > MAX_CHUNK_SIZE:
        raise BadSelection("the description of so many variables exceeds a DAP4 chunk: ask for fewer at a time")
    return description
