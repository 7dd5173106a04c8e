"""The images of an export, in their order, and the file that keeps the list: it stays the same while one lasts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from shotdap.server.exports.atomic import write_atomically

__all__ = ["PlanItem", "read_items", "write_items"]


@dataclass(frozen=True)
class PlanItem:
    """An image of an export."""

    number: int
    """Where it stands, from 0."""
    path: str
    """Its public path."""
    name: str
    """What it is called in the export: the path of a file or of a group."""


def write_items(path: Path, items: Iterable[PlanItem]) -> None:
    """Keep the list of images, one a line."""
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(asdict(item))}\n" for item in items)


def read_items(path: Path) -> tuple[PlanItem, ...]:
    """The list that was kept."""
    with path.open(encoding="utf-8") as file:
        return tuple(PlanItem(**json.loads(line)) for line in file)
