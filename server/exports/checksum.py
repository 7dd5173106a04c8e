"""What is known of an image once it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from shotdap.server.encoders import EncodedFile
from shotdap.server.exports.atomic import write_atomically

__all__ = ["NO_CHECKSUM", "Checksum", "compute_checksum", "write_encoded"]

_BLOCK_SIZE: Final = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """What an image takes, and what its bytes are known by."""

    size: int
    sha256: str


NO_CHECKSUM: Final = Checksum(0, "")
"""Of what is not written."""


def write_encoded(path: Path, encoded: EncodedFile, drafts: Path) -> Checksum:
    """Write a file, all or nothing."""
    digest = sha256()
    with write_atomically(path, drafts) as draft, draft.open("wb") as file:
        for block in encoded.blocks:
            digest.update(block)
            file.write(block)
    return Checksum(encoded.size, digest.hexdigest())


def compute_checksum(paths: Iterable[Path]) -> Checksum:
    """All bytes of some files, one after the other."""
    digest, size = sha256(), 0
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_SIZE):
                digest.update(block)
                size += len(block)
    return Checksum(size, digest.hexdigest())
