"""The DAP4 data response: a DMR, then the values of its variables, in chunks.

Strategy: serialise every variable first, which for values that already are little-endian and contiguous means to
look at them; take the checksums; write the DMR that names them; and send. When the first byte leaves, nothing is
left that could fail.

Rule 1: "Chunk 1 is the DMR followed by CRLF, which is counted; libdap fails without it."
Rule 2: values are little-endian, without counts and padding; a string is its length as Int64, then UTF-8.
Rule 3: a checksum is the CRC-32 of a variable's serialised bytes before chunking, string lengths included, and four
bytes behind them. Checksums are sent unless ``dap4.checksum=false``, and the DMR repeats each as an
attribute: this alone suits netCDF-C 4.9.0 and 4.10.1, libdap and pydap, with the key and without it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shotdap.server.protocols.dap4.chunks import LARGEST_CHUNK, Block, chunked, chunked_size
from shotdap.server.protocols.dap4.dmr import write
from shotdap.server.protocols.dap4.text import as_text
from shotdap.server.protocols.dap4.tree import Group, Variable, arrange
from shotdap.transforms.selection import BadSelection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr

    from shotdap.transforms.selection import Selection

__all__ = ["Body", "body"]

CRLF = b"\r\n"
CRC_SIZE = 4
LENGTH_SIZE = 8


@dataclass(frozen=True)
class Body:
    """A data response, complete in memory: iterate over it for blocks to send.

    Attributes:
        size: the number of bytes in all blocks, for ``Content-Length``.
    """

    description: bytes
    pieces: tuple[Block, ...]

    @property
    def size(self) -> int:
        """Count the bytes of all blocks."""
        return chunked_size(self.description, self._data_size)

    def __iter__(self) -> Iterator[Block]:
        return chunked(self.description, self.pieces, self._data_size)

    @property
    def _data_size(self) -> int:
        return sum(map(len, self.pieces))


def body(dataset: xr.Dataset, name: str, selection: Selection, *, checksum: bool | None = None) -> Body:
    """Serialise a narrowed dataset.

    Values that are not in memory yet are computed here, one variable after the other: load the dataset first where
    its variables share work. Values that are little-endian and contiguous are not copied, so they must not change
    before the last block is sent. A frame of 8 MB takes about 3 ms, nearly all of them its checksum's.

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
    root = arrange(dataset, name, selection)
    values = [serialised(variable) for variable in root.walk()]
    if checksum is False:
        return Body(_description(root), tuple(values))
    checksums = [zlib.crc32(piece) for piece in values]
    pieces = [part for piece, crc in zip(values, checksums, strict=True) for part in (piece, _crc(crc))]
    return Body(_description(root, checksums), tuple(pieces))


def serialised(variable: Variable) -> Block:
    """Give a variable's values as DAP4's bytes; a view of them where they are so already."""
    values = variable.array.values
    if variable.type.wire is None:
        return b"".join(map(_string, values.ravel().tolist()))
    return np.ascontiguousarray(values, dtype=variable.type.wire).reshape(-1).view(np.uint8).data


def _string(value: object) -> bytes:
    encoded = as_text(value).encode(errors="replace")
    return len(encoded).to_bytes(LENGTH_SIZE, "little") + encoded


def _crc(crc: int) -> bytes:
    return crc.to_bytes(CRC_SIZE, "little")


def _description(root: Group, checksums: Sequence[int] = ()) -> bytes:
    description = write(root, checksums).encode("ascii") + CRLF
    if len(description) > LARGEST_CHUNK:
        raise BadSelection("the description of so many variables exceeds a DAP4 chunk: ask for fewer at a time")
    return description
