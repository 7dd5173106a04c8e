"""A ZIP file that is made while it is sent: members in, blocks out, nothing kept but the directory.

Written by zipstream-ng. Members are stored as they are, because images are noise; text is deflated. The directory comes
last, so that a file that breaks off is no ZIP file to any program. What is longer than 4 GiB gets the fields of ZIP64.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from shotdap.server.encoders import Block

__all__ = ["ZipMember", "stream_zip"]

_MIN_BLOCK_SIZE: Final = 256 << 10  # bytes of a block: a turn for each header of 50 bytes would cost more than it sends


@dataclass(frozen=True)
class ZipMember:
    """A file in a package."""

    name: str
    """With slashes between folders, and none in front."""
    size: int
    """Its length in bytes, exactly."""
    blocks: Iterable[Block]
    """Its bytes, to be taken once."""
    is_text: bool = False
    """Whether it is worth compressing."""


def stream_zip(members: Iterable[ZipMember]) -> Generator[Block, None, None]:
    """The members as a ZIP file, in blocks of some size.

    A member is asked for when all before it have been taken, and not kept afterwards: what `find_members` makes as it goes
    is in memory one at a time.

    Raises:
        ValueError: a member has not the size that it said. What has been given until then is no ZIP file.
    """
    return _merge_blocks(_iter_zip_blocks(members))


def _iter_zip_blocks(members: Iterable[ZipMember]) -> Iterator[Block]:
    stream = ZipStream(compress_type=ZIP_STORED)
    for member in members:
        kind = ZIP_DEFLATED if member.is_text else ZIP_STORED
        stream.add(_verify_size(member), member.name, size=member.size, compress_type=kind)
        yield from stream.all_files()
        del member  # it may hold bytes, which must go before the next is made
    yield from stream.finalize()


def _verify_size(member: ZipMember) -> Iterator[Block]:
    left = member.size
    for block in member.blocks:
        left -= len(block)
        yield block
    if left:
        raise ValueError(f"{member.name} has {member.size - left} bytes, not {member.size}.")


def _merge_blocks(blocks: Iterable[Block]) -> Generator[Block, None, None]:
    """The same bytes, small blocks joined; a large one is not copied, and not held on to."""
    waiting = bytearray()
    source = iter(blocks)
    while (block := next(source, None)) is not None:
        if len(block) < _MIN_BLOCK_SIZE:
            waiting += block
            block = None
        if waiting and (block is not None or len(waiting) >= _MIN_BLOCK_SIZE):
            yield bytes(waiting)
            waiting.clear()
        if block is not None:
            yield block
            del block
    if waiting:
        yield bytes(waiting)
