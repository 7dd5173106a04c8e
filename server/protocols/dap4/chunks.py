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

Block = bytes | memoryview

LAST, ERROR, LITTLE_ENDIAN = 1, 2, 4  # the specification's CHUNK_TYPE bits
MAX_CHUNK_SIZE = 0xFFFFFF
HEADER_SIZE = 4
CHUNK_SIZE = 15 << 20  # whole blocks, and below the largest
BLOCK_SIZE = 512 << 10  # "yield blocks of 256 kB-1 MB": smaller ones cost 15 %, larger ones 20 %
COPY_THRESHOLD = 32 << 10  # a write costs more than a copy of this size


def encode_chunk_header(flags: int, length: int) -> bytes:
    """Give the four bytes before a chunk of this many bytes."""
    return bytes([flags]) + length.to_bytes(3, "big")


def encode_error_chunk(document: bytes) -> bytes:
    """Wrap an error document as the chunk that ends a body early; it may follow any complete chunk.

    It bears no LAST flag: pydap and libdap would take the document for data.
    """
    document = document[:MAX_CHUNK_SIZE]
    return encode_chunk_header(ERROR | LITTLE_ENDIAN, len(document)) + document


def compute_chunked_size(description: Block, size: int) -> int:
    """Say how long `encode_chunks` will be for data of this size, in bytes."""
    chunks = max(1, -(-size // CHUNK_SIZE))
    return HEADER_SIZE + len(description) + chunks * HEADER_SIZE + size


def encode_chunks(description: Block, pieces: Iterable[Block], size: int, failure: bytes = b"") -> Iterator[Block]:
    """Cut a body into chunks, and these into blocks to be sent one after the other.

    Args:
        description: the DMR with its CRLF, at most `MAX_CHUNK_SIZE` bytes.
        pieces: the serialised data, flat.
        size: the number of bytes in all pieces.
        failure: the error document that ends the body if a piece fails, where it is shorter than what is left.

    Returns:
        Blocks of at most 512 kB + 32 kB; the large ones are views of the pieces.

    Raises:
        Exception: what a piece raised, once the client has been told.
    """
    return _join_small_blocks(_emit_chunks(description, pieces, size, failure))


def _emit_chunks(description: Block, pieces: Iterable[Block], size: int, failure: bytes) -> Iterator[Block]:
    yield encode_chunk_header(LITTLE_ENDIAN, len(description))
    yield from _split_block(description, BLOCK_SIZE)
    left = size
    try:
        for blocks in _split_into_chunks(pieces, size):
            length = sum(map(len, blocks))
            yield encode_chunk_header(LITTLE_ENDIAN | (LAST if length == left else 0), length)
            yield from blocks
            left -= length
    except Exception:
        yield encode_error_chunk(failure if len(failure) < left else b"")
        raise


def _split_into_chunks(pieces: Iterable[Block], size: int) -> Iterator[Sequence[Block]]:
    """The blocks of each chunk."""
    blocks: list[Block] = []
    room = CHUNK_SIZE
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            blocks.append(rest[: min(room, BLOCK_SIZE)])
            rest = rest[len(blocks[-1]) :]
            room -= len(blocks[-1])
            if not room:
                yield blocks
                blocks, room = [], CHUNK_SIZE
    if blocks or not size:
        yield blocks


def _split_block(piece: Block, size: int) -> Iterator[memoryview]:
    view = memoryview(piece)
    return (view[start : start + size] for start in range(0, len(view), size))


def _join_small_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    small = bytearray()
    try:
        for block in blocks:
            if small and (len(block) >= COPY_THRESHOLD or len(small) > BLOCK_SIZE):
                yield bytes(small)
                small.clear()
            if len(block) < COPY_THRESHOLD:
                small += block
            else:
                yield block
    except Exception:
        yield bytes(small)  # the error chunk, above all
        raise
    if small:
        yield bytes(small)
