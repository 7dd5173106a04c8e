"""DAP4's chunks: how a body is cut, so that an error can still be told in its middle.

Strategy: know the size of the data beforehand, cut them where a chunk is full, and hand out blocks which are views of
the arrays themselves; only what is small is copied, to spare the server a write for every header.

Rule 1: a chunk has a header of four bytes, big-endian whatever the data are: flags in the high byte, then a length of
24 bits.
Rule 2: "Never put LAST on the DMR chunk. An empty last chunk is fine."
Rule 3: a body that ends without a last or an error chunk crashes netCDF-C. So a chunk is begun when all of it is at
hand; if that fails, an error chunk comes instead. What is sent then is less than was promised, which tells the clients
that know no error chunks (libdap, pydap).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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


def chunked(description: Block, pieces: Iterable[Block], size: int, failure: bytes = b"") -> Iterator[Block]:
    """Cut a body into chunks, and these into blocks to be sent one after the other.

    Args:
        description: the DMR with its CRLF, at most `LARGEST_CHUNK` bytes.
        pieces: the serialised data, flat.
        size: the number of bytes in all pieces.
        failure: the error document that ends the body if a piece fails, where it is shorter than what is left.

    Returns:
        Blocks of at most 512 kB + 32 kB; the large ones are views of the pieces.

    Raises:
        Exception: what a piece raised, once the client has been told.
    """
    return _joined(_framed(description, pieces, size, failure))


def _framed(description: Block, pieces: Iterable[Block], size: int, failure: bytes) -> Iterator[Block]:
    yield header(LITTLE_ENDIAN, len(description))
    yield from _cut(description, BLOCK)
    left = size
    try:
        for blocks in _gathered(pieces, size):
            length = sum(map(len, blocks))
            yield header(LITTLE_ENDIAN | (LAST if length == left else 0), length)
            yield from blocks
            left -= length
    except Exception:
        yield error_chunk(failure if len(failure) < left else b"")
        raise


def _gathered(pieces: Iterable[Block], size: int) -> Iterator[Sequence[Block]]:
    """The blocks of each chunk."""
    blocks: list[Block] = []
    room = CHUNK
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            blocks.append(rest[: min(room, BLOCK)])
            rest = rest[len(blocks[-1]) :]
            room -= len(blocks[-1])
            if not room:
                yield blocks
                blocks, room = [], CHUNK
    if blocks or not size:
        yield blocks


def _cut(piece: Block, size: int) -> Iterator[memoryview]:
    view = memoryview(piece)
    return (view[start : start + size] for start in range(0, len(view), size))


def _joined(blocks: Iterable[Block]) -> Iterator[Block]:
    small = bytearray()
    try:
        for block in blocks:
            if small and (len(block) >= SMALL or len(small) > BLOCK):
                yield bytes(small)
                small.clear()
            if len(block) < SMALL:
                small += block
            else:
                yield block
    except Exception:
        yield bytes(small)  # the error chunk, above all
        raise
    if small:
        yield bytes(small)
