"""What became of each image of an export: a line of JSON each, written as it is known.

A process that is killed may leave the last line short; it counts as not written, and the image is done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from shotdap.server.exports.atomic import written

__all__ = ["Line", "Status", "add_lines", "read_lines", "write_lines"]

Status: TypeAlias = Literal["done", "failed"]


@dataclass(frozen=True)
class Line:
    """An image of an export, and what became of it."""

    number: int
    path: str
    """Its public path."""
    status: Status
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


def add_lines(path: Path, lines: Iterable[Line]) -> None:
    """Write lines behind those that there are."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(map(_text, lines)))


def read_lines(path: Path) -> dict[int, Line]:
    """The last line of each image, by its number; those that were not written whole are left out."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = (_line(text) for text in file if text.endswith("\n"))
        return {line.number: line for line in lines if line is not None}


def write_lines(path: Path, lines: Mapping[int, Line]) -> None:
    """Write a manifest anew, one line for each image, in their order."""
    with written(path) as temporary:
        temporary.write_text("".join(_text(lines[number]) for number in sorted(lines)), "utf-8")


def _text(line: Line) -> str:
    return f"{json.dumps(asdict(line), ensure_ascii=False)}\n"


def _line(text: str) -> Line | None:
    try:
        return Line(**json.loads(text))
    except (TypeError, ValueError):
        return None
