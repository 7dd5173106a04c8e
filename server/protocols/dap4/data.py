"""The DAP4 data response: a DMR, then the values of its variables, in chunks.

Strategy: serialise every variable first, which for values that already are little-endian and contiguous means to
look at them, and for others to convert them a piece at a time, each piece's checksum taken while the processor's cache
has it; write the DMR that names the checksums; and send. When the first byte leaves, nothing is left that could fail.

Rule 1: "Chunk 1 is the DMR followed by CRLF, which is counted; libdap fails without it."
Rule 2: values are little-endian, without counts and padding; a string is its length as Int64, then UTF-8.
Rule 3: a checksum is the CRC-32 of a variable's serialised bytes before chunking, string lengths included, and four
bytes behind them. Checksums are sent unless ``dap4.checksum=false``, and the DMR repeats each as an
attribute: this alone suits netCDF-C 4.9.0 and 4.10.1, libdap and pydap, with the key and without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from isal.isal_zlib import crc32  # zlib's own takes eight times as long, or more

from shotdap.server.protocols.dap4.chunks import MAX_CHUNK_SIZE, Block, compute_chunked_size, encode_chunks
from shotdap.server.protocols.dap4.dmr import render_tree
from shotdap.server.protocols.dap4.error import render_error
from shotdap.server.protocols.dap4.tree import Group, Variable, build_tree
from shotdap.server.protocols.dap4.xml_text import convert_to_text
from shotdap.transforms.selection import BadSelection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr

    from shotdap.transforms.selection import Selection

CRLF = b"\r\n"
CRC_SIZE = 4
LENGTH_SIZE = 8
FAILURE_DOCUMENT = render_error(
    500, "The server had to stop in the middle of its answer, by a fault of its own; its log says more."
)
CONVERSION_SIZE = 256 << 10  # bytes converted at a time: a processor's own cache holds them, twice


@dataclass(frozen=True)
class EncodedBody:
    """A data response, complete in memory: iterate over it for blocks to send.

    Attributes:
        size: the number of bytes in all blocks, for ``Content-Length``.
    """

    dmr: bytes
    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        """Count the bytes of all blocks."""
        return compute_chunked_size(self.dmr, self._data_size)

    def __iter__(self) -> Iterator[Block]:
        return encode_chunks(self.dmr, self.blocks, self._data_size, FAILURE_DOCUMENT)

    @property
    def _data_size(self) -> int:
        return sum(map(len, self.blocks))


def encode_body(dataset: xr.Dataset, name: str, selection: Selection, *, checksum: bool | None = None) -> EncodedBody:
    """Serialise a narrowed dataset.

    Values that are not in memory yet are computed here, one variable after the other: load the dataset first where
    its variables share work. Values that are little-endian and contiguous are not copied, so they must not change
    before the last block is sent. A frame of 8 MiB takes about 1 ms, or 3 ms where its bytes have to be swapped.

    Args:
        dataset: what `selection` left of a dataset.
        name: what the dataset is called.
        selection: says which variables were cut.
        checksum: what the request says of checksums; `None` where it says nothing.

    Returns:
        The response, of known size.

    Raises:
        TypeError: a variable has a type that DAP4 does not have.
        BadSelection: there are so many variables that their description exceeds the largest chunk.
        Exception: whatever computing the values raises.
    """
    root = build_tree(dataset, name, selection)
    values = [serialize_variable(variable) for variable in root.walk_variables()]
    if checksum is False:
        return EncodedBody(_encode_dmr(root), tuple(piece for piece, _ in values))
    pieces = tuple(part for piece, crc in values for part in (piece, _crc(crc)))
    return EncodedBody(_encode_dmr(root, [crc for _, crc in values]), pieces)


def serialize_variable(variable: Variable) -> tuple[Block, int]:
    """Give a variable's values as DAP4's bytes, a view of them where they are so already, and their CRC-32."""
    values = variable.array.values
    if variable.type.wire_dtype is None:
        strings = b"".join(map(_encode_string, values.ravel().tolist()))
        return strings, crc32(strings)
    if values.dtype == variable.type.wire_dtype and values.flags.c_contiguous:
        view = values.reshape(-1).view(np.uint8).data
        return view, crc32(view)
    return _convert_values(values, variable.type.wire_dtype)


def _convert_values(values: np.ndarray[Any, Any], wire: np.dtype[Any]) -> tuple[Block, int]:
    # Without its dimensions of length one, and flat where that takes no copy, an array has enough rows to be cut in.
    rows = values.reshape(-1) if values.flags.c_contiguous or not values.ndim else values.squeeze()
    converted = np.empty(rows.shape, wire)
    flat = converted.reshape(-1).view(np.uint8)
    row = wire.itemsize * int(np.prod(rows.shape[1:]))
    many, crc = max(1, CONVERSION_SIZE // max(1, row)), 0
    for first in range(0, len(rows), many):
        converted[first : first + many] = rows[first : first + many]
        crc = crc32(flat[first * row : (first + many) * row].data, crc)
    return flat.data, crc


def _encode_string(value: object) -> bytes:
    encoded = convert_to_text(value).encode(errors="replace")
    return len(encoded).to_bytes(LENGTH_SIZE, "little") + encoded


def _crc(crc: int) -> bytes:
    return crc.to_bytes(CRC_SIZE, "little")


def _encode_dmr(root: Group, checksums: Sequence[int] = ()) -> bytes:
    description = render_tree(root, checksums).encode("ascii") + CRLF
    if len(description) > MAX_CHUNK_SIZE:
        raise BadSelection("the description of so many variables exceeds a DAP4 chunk: ask for fewer at a time")
    return description
