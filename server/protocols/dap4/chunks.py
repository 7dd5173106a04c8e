"""Chunks of DAP4: a body is split so that an error can be sent in the middle of it.

Strategy: the size of the data is known beforehand; a chunk ends when it is full, and its blocks are views of the arrays
themselves. Only small blocks are copied, to save the server a write for every header.

Rule 1: a chunk has a header of four bytes, always big-endian: flags in the high byte, then a length of 24 bits.
Rule 2: "Never put LAST on the DMR chunk. An empty last chunk is fine."
Rule 3: a body that ends without a last or an error chunk crashes netCDF-C. So a chunk begins when all of its data are
available; if that fails, an error chunk follows instead. The body is then shorter than its announced length, by which
clients without support for error chunks (libdap, pydap) recognize the failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shotdap.server.http.blocks import join_small_blocks, split_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shotdap.server.http.blocks import Block

_LAST, _ERROR, _LITTLE_ENDIAN = 1, 2, 4  # the specification's CHUNK_TYPE bits
MAX_CHUNK_SIZE = 0xFFFFFF
_HEADER_SIZE = 4
CHUNK_SIZE = 15 << 20  # a multiple of the block size, below the largest chunk
BLOCK_SIZE = 256 << 10  # "yield blocks of 256 kB-1 MB": smaller ones cost 15 %, larger ones 20 %
COPY_THRESHOLD = 32 << 10  # a write costs more than a copy of this size


def _encode_chunk_header(flags: int, length: int) -> bytes:
    return bytes([flags]) + length.to_bytes(3, "big")


def encode_error_chunk(document: bytes) -> bytes:
    """Encode an error document as the chunk that ends a body early; it can follow any complete chunk.

    It has no LAST flag: pydap and libdap would read the document as data.
    """
    document = document[:MAX_CHUNK_SIZE]
    return _encode_chunk_header(_ERROR | _LITTLE_ENDIAN, len(document)) + document


def compute_chunked_size(description: Block, size: int) -> int:
    """Return the number of bytes of `encode_chunks` for data of this size."""
    chunks = max(1, -(-size // CHUNK_SIZE))
    return _HEADER_SIZE + len(description) + chunks * _HEADER_SIZE + size


def encode_chunks(description: Block, pieces: Iterable[Block], size: int, failure: bytes = b"") -> Iterator[Block]:
    """Split a body into chunks, and these into blocks to send one after the other.

    Args:
        description: the DMR with its CRLF, at most `MAX_CHUNK_SIZE` bytes.
        pieces: the serialised data, flat.
        size: the number of bytes in all pieces.
        failure: the error document that ends the body if a piece fails and the document is shorter than the rest.

    Returns:
        Blocks of at most `BLOCK_SIZE` bytes; the large ones are views of the pieces.

    Raises:
        Exception: the error of a piece, after the error chunk.
    """
    return join_small_blocks(_emit_chunks(description, pieces, size, failure), COPY_THRESHOLD, BLOCK_SIZE)


def _emit_chunks(description: Block, pieces: Iterable[Block], size: int, failure: bytes) -> Iterator[Block]:
    yield _encode_chunk_header(_LITTLE_ENDIAN, len(description))
    yield from split_bytes(memoryview(description))
    remaining = size
    try:
        for blocks in _split_into_chunks(pieces, size):
            length = sum(map(len, blocks))
            yield _encode_chunk_header(_LITTLE_ENDIAN | (_LAST if length == remaining else 0), length)
            yield from blocks
            remaining -= length
    except Exception:
        yield encode_error_chunk(failure if len(failure) < remaining else b"")
        raise


def _split_into_chunks(pieces: Iterable[Block], size: int) -> Iterator[Sequence[Block]]:
    """Yield the blocks of each chunk."""
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
