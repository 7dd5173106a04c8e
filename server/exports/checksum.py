"""Sizes and SHA-256 sums of exported files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from shotdap.server.encoders import EncodedFile
from shotdap.server.exports.atomic import write_atomically

_BLOCK_SIZE: Final = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """The size and the hash of a file, or of several files together."""

    size: int
    sha256: str


NO_CHECKSUM: Final = Checksum(0, "")
"""The checksum of an export that has no result."""


def write_encoded(path: Path, encoded: EncodedFile, drafts_folder: Path) -> Checksum:
    """Write a file atomically."""
    digest = sha256()
    with write_atomically(path, drafts_folder) as draft, draft.open("wb") as file:
        for block in encoded.blocks:
            digest.update(block)
            file.write(block)
    return Checksum(encoded.size, digest.hexdigest())


def compute_checksum(paths: Iterable[Path]) -> Checksum:
    """Return the checksum of the bytes of all files, concatenated."""
    digest, size = sha256(), 0
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_SIZE):
                digest.update(block)
                size += len(block)
    return Checksum(size, digest.hexdigest())
