"""Blocks: a body in pieces, as the server sends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

Block: TypeAlias = bytes | memoryview

BLOCK_SIZE: Final = 512 << 10
"""Bytes of a block: half a megabyte is sent as fast as more, and other requests get a turn after each block."""


def split_into_blocks(body: memoryview) -> Iterator[Block]:
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
