"""Blocks of a response body."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Block: TypeAlias = bytes | memoryview
"""A part of a body; its ``len`` is its number of bytes."""


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
        yield bytes(small)
        raise
    if small:
        yield bytes(small)
