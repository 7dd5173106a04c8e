"""What is known of an image once it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from shotdap.server.encoders import Encoded
from shotdap.server.exports.atomic import written

__all__ = ["NOTHING", "Written", "summed", "write_file"]

_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Written:
    """What an image takes, and what its bytes are known by."""

    bytes: int
    sha256: str


NOTHING: Final = Written(0, "")
"""Of what is not written."""


def write_file(path: Path, encoded: Encoded, drafts: Path) -> Written:
    """Write a file, all or nothing."""
    digest = sha256()
    with written(path, drafts) as draft, draft.open("wb") as file:
        for block in encoded.blocks:
            digest.update(block)
            file.write(block)
    return Written(encoded.size, digest.hexdigest())


def summed(paths: Iterable[Path]) -> Written:
    """All bytes of some files, one after the other."""
    digest, size = sha256(), 0
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    return Written(size, digest.hexdigest())
