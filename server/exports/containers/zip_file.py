"""ZIP files: of a job, made of complete files on the disk; of a package, made while it is sent.

Both store images without compression: images are noise, and most formats have compressed what can be. A job's file has
the earliest date of the ZIP format everywhere, so that equal exports are equal files. A package is written by
zipstream-ng. Its directory comes last, so that no program takes an interrupted file for a ZIP file. Files of more than
4 GiB get the fields of ZIP64.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import ZipFile, ZipInfo

from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from shotdap.server.encoders import Block
from shotdap.server.exports.atomic import write_atomically
from shotdap.server.exports.workspace import Workspace

_FILE_MODE: Final = 0o644 << 16
_COPY_SIZE: Final = 1 << 20
_MIN_BLOCK_SIZE: Final = 256 << 10  # bytes; sending each header of 50 bytes alone would cost more than it sends


def write_zip(workspace: Workspace, files: Iterable[tuple[Path, str]]) -> None:
    """Write a job's ZIP file: files with their names, then the manifest. Copying takes no memory."""
    manifest = workspace.manifest_path
    draft_path = write_atomically(workspace.target, workspace.drafts_folder)
    with draft_path as draft, ZipFile(draft, "w", ZIP_STORED) as archive:
        for path, name in (*files, (manifest, manifest.name)):
            info = ZipInfo(name)
            info.external_attr, info.file_size = _FILE_MODE, path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, _COPY_SIZE)


@dataclass(frozen=True)
class ZipMember:
    """A file in a package."""

    name: str
    """Its path, with slashes between folders and none at the beginning."""
    size: int
    """Its exact length in bytes."""
    blocks: Iterable[Block]
    """Its bytes, which can be iterated once."""
    is_text: bool = False
    """Whether to compress it."""


def stream_zip(members: Iterable[ZipMember]) -> Generator[Block, None, None]:
    """Yield a package's ZIP file, in blocks of some size.

    The next member is requested when all blocks of the one before are taken, and no member is kept. So members that are
    made during the iteration are in memory one at a time.

    Raises:
        ValueError: a member does not have the size that it gave. The blocks so far are not a ZIP file.
    """
    joined = bytearray()
    source = _iter_zip_blocks(members)
    while (block := next(source, None)) is not None:
        if len(block) < _MIN_BLOCK_SIZE:
            joined += block
            block = None
        if joined and (block is not None or len(joined) >= _MIN_BLOCK_SIZE):
            yield bytes(joined)
            joined.clear()
        if block is not None:  # large: neither copied nor kept
            yield block
            del block
    if joined:
        yield bytes(joined)


def _iter_zip_blocks(members: Iterable[ZipMember]) -> Iterator[Block]:
    stream = ZipStream(compress_type=ZIP_STORED)
    for member in members:
        compression = ZIP_DEFLATED if member.is_text else ZIP_STORED
        stream.add(_verify_size(member), member.name, size=member.size, compress_type=compression)
        yield from stream.all_files()
        del member  # its bytes must be released before the next member is made
    yield from stream.finalize()


def _verify_size(member: ZipMember) -> Iterator[Block]:
    remaining = member.size
    for block in member.blocks:
        remaining -= len(block)
        yield block
    if remaining:
        raise ValueError(f"{member.name} has {member.size - remaining} bytes, not {member.size}.")
