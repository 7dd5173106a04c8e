"""Where an export lies: what it makes, and beside it a folder with what it takes to go on.

``out.zarr`` has ``out.zarr.export/`` beside it: the order, the list of images, the manifest and, while it lasts, parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shotdap.server.exports.atomic import removed, written
from shotdap.server.exports.items import Item, read_items, write_items
from shotdap.server.exports.order import BadOrder, Order

__all__ = ["Place"]

_AGAIN: Final = ("icechunk",)
"""What takes a new version, rather than being there already."""


@dataclass(frozen=True)
class Place:
    """Where an export lies."""

    target: Path
    """The file or folder that it makes."""

    @property
    def work(self) -> Path:
        """The folder beside it."""
        return self.target.with_name(f"{self.target.name}.export")

    @property
    def order(self) -> Path:
        """What was ordered; where it is there, the list of images is, too."""
        return self.work / "order.json"

    @property
    def items(self) -> Path:
        """The list of images."""
        return self.work / "items.jsonl"

    @property
    def manifest(self) -> Path:
        """What became of each."""
        return self.work / "manifest.jsonl"

    @property
    def parts(self) -> Path:
        """Files and groups that are not in their container yet."""
        return self.work / "parts"

    @property
    def drafts(self) -> Path:
        """What is not whole yet."""
        return self.work / "drafts"

    @property
    def finished(self) -> Path:
        """A file that is there once everything is in its container."""
        return self.work / "finished"

    def begin(self, order: Order, items: tuple[Item, ...]) -> None:
        """Claim the place for an order, whose images are known."""
        self.drafts.mkdir(parents=True, exist_ok=True)
        write_items(self.items, items)
        with written(self.order) as temporary:
            temporary.write_text(order.as_json(), "utf-8")

    def resumed(self, order: Order) -> tuple[Item, ...] | None:
        """The list of images, where this very order has begun here before; `None` where it has not.

        Raises:
            BadOrder: something else lies here.
        """
        if self.finished.exists() and order.container in _AGAIN:
            removed(self.work)
        if not self.order.exists():
            self._check_free(order)
            return None
        if self.order.read_text("utf-8") != order.as_json():
            raise BadOrder(
                f"{self.target} holds another export: {self.order} says which. Export to somewhere else, or remove"
                f" {self.target} and {self.work}."
            )
        return read_items(self.items)

    def _check_free(self, order: Order) -> None:
        if order.container in _AGAIN:
            return
        is_there = any(self.target.iterdir()) if self.target.is_dir() else self.target.exists()
        if is_there:
            raise BadOrder(f"{self.target} is there already, and is no export that could be gone on with.")

    def finish(self) -> None:
        """Remove what is only needed while an export lasts."""
        self.finished.touch()
        removed(self.parts)
        removed(self.drafts)
