"""DAP4's chunks: how a body is cut, so that an error can still be told in its middle.

Strategy: know the size of the data beforehand, cut them where a chunk is full, and hand out blocks which are views of
the arrays themselves; only what is small is copied, to spare the server a write for every header.

Rule 1: a chunk has a header of four bytes, big-endian whatever the data are: flags in the high byte, then a length of
24 bits.
Rule 2: "Never put LAST on the DMR chunk. An empty last chunk is fine."
Rule 3: a body that ends without a last or an error chunk crashes netCDF-C: whoever cannot go on sends
`error_chunk`, or resets the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LARGEST_CHUNK", "Block", "chunked", "chunked_size", "error_chunk"]

Block = bytes | memoryview

LAST, ERROR, LITTLE_ENDIAN = 1, 2, 4  # the specification's CHUNK_TYPE bits
LARGEST_CHUNK = 0xFFFFFF
HEADER_SIZE = 4
CHUNK = 15 << 20  # whole blocks, and below the largest
BLOCK = 512 << 10  # "yield blocks of 256 kB-1 MB": smaller ones cost 15 %, larger ones 20 %
SMALL = 32 << 10  # a write costs more than a copy of this size


def header(flags: int, length: int) -> bytes:
    """Give the four bytes before a chunk of this many bytes."""
    return bytes([flags]) + length.to_bytes(3, "big")


def error_chunk(document: bytes) -> bytes:
    """Wrap an error document as the chunk that ends a body early; it may follow any complete chunk.

    It bears no LAST flag: pydap and libdap would take the document for data.
    """
    document = document[:LARGEST_CHUNK]
    return header(ERROR | LITTLE_ENDIAN, len(document)) + document


def chunked_size(description: Block, size: int) -> int:
    """Say how long `chunked` will be for data of this size, in bytes."""
    chunks = max(1, -(-size // CHUNK))
    return HEADER_SIZE + len(description) + chunks * HEADER_SIZE + size


def chunked(description: Block, pieces: Iterable[Block], size: int) -> Iterator[Block]:
    """Cut a body into chunks, and these into blocks to be sent one after the other.

    Args:
        description: the DMR with its CRLF, at most `LARGEST_CHUNK` bytes.
        pieces: the serialised data, flat.
        size: the number of bytes in all pieces.

    Returns:
        Blocks of at most 512 kB + 32 kB; the large ones are views of the pieces.
    """
    return _joined(_framed(description, pieces, size))


def _framed(description: Block, pieces: Iterable[Block], size: int) -> Iterator[Block]:
    yield header(LITTLE_ENDIAN, len(description))
    yield from _cut(description, BLOCK)
    room, left = 0, size
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            if not room:
                room = min(CHUNK, left)
                yield _data_header(room, left)
            block, rest = rest[: min(room, BLOCK)], rest[min(room, BLOCK) :]
            room, left = room - len(block), left - len(block)
            yield block
    if not size:
        yield _data_header(0, 0)


def _data_header(length: int, left: int) -> bytes:
    return header(LITTLE_ENDIAN | (LAST if length == left else 0), length)


def _cut(piece: Block, size: int) -> Iterator[memoryview]:
    view = memoryview(piece)
    return (view[start : start + size] for start in range(0, len(view), size))


def _joined(blocks: Iterable[Block]) -> Iterator[Block]:
    small = bytearray()
    for block in blocks:
        if len(block) < SMALL:
            small += block
        else:
            if small:
                yield bytes(small)
                small.clear()
            yield block
        if len(small) > BLOCK:
            yield bytes(small)
            small.clear()
    if small:
        yield bytes(small)
