"""What became of each image of an export: a line of JSON each, written as it is known.

A process that is killed may leave the last line short; it counts as not written, and the image is done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from shotdap.server.exports.atomic import write_atomically

__all__ = ["ManifestRecord", "RecordStatus", "add_records", "read_records", "write_records"]

RecordStatus: TypeAlias = Literal["done", "failed"]


@dataclass(frozen=True)
class ManifestRecord:
    """An image of an export, and what became of it."""

    number: int
    path: str
    """Its public path."""
    status: RecordStatus
    reason: str = ""
    """Why there is nothing of it, where there is nothing."""
    bytes: int = 0
    """What it takes in the export."""
    sha256: str = ""
    """Of its file; or of all files of its group in a Zarr store, by the order of their names."""
    name: str = ""
    """The path of its file or group."""
    provenance: str = ""
    """Where a server tells how its variables came to be, without the host."""


def add_records(path: Path, lines: Iterable[ManifestRecord]) -> None:
    """Write lines behind those that there are."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(map(_encode_record, lines)))


def read_records(path: Path) -> dict[int, ManifestRecord]:
    """The last line of each image, by its number; those that were not written whole are left out."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = (_decode_record(text) for text in file if text.endswith("\n"))
        return {line.number: line for line in lines if line is not None}


def write_records(path: Path, lines: Mapping[int, ManifestRecord]) -> None:
    """Write a manifest anew, one line for each image, in their order."""
    with write_atomically(path) as temporary:
        temporary.write_text("".join(_encode_record(lines[number]) for number in sorted(lines)), "utf-8")


def _encode_record(line: ManifestRecord) -> str:
    return f"{json.dumps(asdict(line), ensure_ascii=False)}\n"


def _decode_record(text: str) -> ManifestRecord | None:
    try:
        return ManifestRecord(**json.loads(text))
    except (TypeError, ValueError):
        return None
