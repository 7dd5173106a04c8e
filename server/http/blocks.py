"""Blocks: a body in pieces, as the server sends it; how they are joined and cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

Block: TypeAlias = bytes | memoryview
"""A part of a body; its ``len`` is its number of bytes."""

BLOCK_SIZE: Final = 256 << 10
"""Bytes of a block: a quarter of a megabyte is sent almost as fast as more, and others get a turn after each block."""


def split_bytes(body: memoryview) -> Iterator[Block]:
    """Split a body that is in memory into blocks, which are views."""
    return (body[start : start + BLOCK_SIZE] for start in range(0, len(body), BLOCK_SIZE))


def select_bytes(blocks: Iterable[Block], selection: range) -> Iterator[Block]:
    """Cut a range of bytes out of a body; the blocks are views."""
    start = 0
    for block in blocks:
        view = memoryview(block)[max(0, selection.start - start) : max(0, selection.stop - start)]
        if view:
            yield view
        start += len(block)


def join_small_blocks(blocks: Iterable[Block], copy_threshold: int, block_size: int) -> Iterator[Block]:
    """Join small blocks, to save a write to the socket for each; larger ones pass without a copy.

    Args:
        blocks: any number of blocks. If one of them fails, those before it are yielded first.
        copy_threshold: bytes; a smaller block is cheaper to copy than to send alone.
        block_size: the largest number of bytes in a joined block.
    """
    small = bytearray()
    try:
        for block in blocks:
            if small and (len(block) >= copy_threshold or len(small) + len(block) > block_size):
                yield bytes(small)
                small.clear()
            if len(block) < copy_threshold:
                small += block
            else:
                yield block
    except Exception:
        if small:
            yield bytes(small)
        raise
    if small:
        yield bytes(small)
