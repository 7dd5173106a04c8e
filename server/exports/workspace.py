"""Where an export lies: what it makes, and beside it a folder with what it takes to go on.

``out.zarr`` has ``out.zarr.export/`` beside it: the order, the list of images, the manifest and, while it lasts, parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shotdap.server.exports.atomic import remove_path, write_atomically
from shotdap.server.exports.items import PlanItem, read_items, write_items
from shotdap.server.exports.order import BadOrder, Order

__all__ = ["Workspace"]

_VERSIONED_CONTAINERS: Final = ("icechunk",)
"""What takes a new version, rather than being there already."""


@dataclass(frozen=True)
class Workspace:
    """Where an export lies."""

    target: Path
    """The file or folder that it makes."""

    @property
    def state_folder(self) -> Path:
        """The folder beside it."""
        return self.target.with_name(f"{self.target.name}.export")

    @property
    def order_path(self) -> Path:
        """What was ordered; where it is there, the list of images is, too."""
        return self.state_folder / "order.json"

    @property
    def items_path(self) -> Path:
        """The list of images."""
        return self.state_folder / "items.jsonl"

    @property
    def manifest_path(self) -> Path:
        """What became of each."""
        return self.state_folder / "manifest.jsonl"

    @property
    def staging_folder(self) -> Path:
        """Files and groups that are not in their container yet."""
        return self.state_folder / "parts"

    @property
    def drafts_folder(self) -> Path:
        """What is not whole yet."""
        return self.state_folder / "drafts"

    @property
    def finished_marker(self) -> Path:
        """A file that is there once everything is in its container."""
        return self.state_folder / "finished"

    def begin_export(self, order: Order, items: tuple[PlanItem, ...]) -> None:
        """Claim the place for an order, whose images are known."""
        self.drafts_folder.mkdir(parents=True, exist_ok=True)
        write_items(self.items_path, items)
        with write_atomically(self.order_path) as temporary:
            temporary.write_text(order.to_json(), "utf-8")

    def resume_export(self, order: Order) -> tuple[PlanItem, ...] | None:
        """The list of images, where this very order has begun here before; `None` where it has not.

        Raises:
            BadOrder: something else lies here.
        """
        if self.finished_marker.exists() and order.container in _VERSIONED_CONTAINERS:
            remove_path(self.state_folder)
        if not self.order_path.exists():
            self._check_target(order)
            return None
        if self.order_path.read_text("utf-8") != order.to_json():
            raise BadOrder(
                f"{self.target} holds another export: {self.order_path} says which. Export to somewhere else, or remove"
                f" {self.target} and {self.state_folder}."
            )
        return read_items(self.items_path)

    def _check_target(self, order: Order) -> None:
        if order.container in _VERSIONED_CONTAINERS:
            return
        is_there = any(self.target.iterdir()) if self.target.is_dir() else self.target.exists()
        if is_there:
            raise BadOrder(f"{self.target} is there already, and is no export that could be gone on with.")

    def finish_export(self) -> None:
        """Remove what is only needed while an export lasts."""
        self.finished_marker.touch()
        remove_path(self.staging_folder)
        remove_path(self.drafts_folder)
