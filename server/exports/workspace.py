"""The files of a job: its result, and a folder beside it with the state that another run needs to resume it.

``out.zarr`` has ``out.zarr.export/`` beside it: the order, the list of images, the manifest and, while the job runs,
staged files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shotdap.server.exports.atomic import remove_path, write_atomically
from shotdap.server.exports.export_plan import PlanItem, read_items, write_items
from shotdap.server.exports.order import BadOrder, JobOrder

_VERSIONED_CONTAINERS: Final = frozenset({"icechunk"})
"""Containers that may exist already: they get a new version."""


@dataclass(frozen=True)
class Workspace:
    """The files of a job."""

    target: Path
    """The file or folder that it makes."""

    @property
    def state_folder(self) -> Path:
        """The folder of the job's state, beside the target."""
        return self.target.with_name(f"{self.target.name}.export")

    @property
    def order_path(self) -> Path:
        """The order; if this file exists, the list of images does, too."""
        return self.state_folder / "order.json"

    @property
    def items_path(self) -> Path:
        """The list of images."""
        return self.state_folder / "items.jsonl"

    @property
    def manifest_path(self) -> Path:
        """The outcome of each image."""
        return self.state_folder / "manifest.jsonl"

    @property
    def staging_folder(self) -> Path:
        """Files and groups that are not in their container yet."""
        return self.state_folder / "parts"

    @property
    def drafts_folder(self) -> Path:
        """Incomplete files."""
        return self.state_folder / "drafts"

    @property
    def finished_marker(self) -> Path:
        """A file that exists once everything is in its container."""
        return self.state_folder / "finished"

    def begin_export(self, order: JobOrder, items: tuple[PlanItem, ...]) -> None:
        """Store an order and its images, so that this run and later ones can work on them."""
        self.drafts_folder.mkdir(parents=True, exist_ok=True)
        write_items(self.items_path, items)
        with write_atomically(self.order_path) as draft:
            draft.write_text(order.to_json(), "utf-8")

    def resume_export(self, order: JobOrder) -> tuple[PlanItem, ...] | None:
        """Return the list of images if an earlier run of the same order began here, `None` if nothing is here.

        Raises:
            BadOrder: something else is here.
        """
        is_versioned = order.container in _VERSIONED_CONTAINERS
        if is_versioned and self.finished_marker.exists():
            remove_path(self.state_folder)
        if not self.order_path.exists():
            if not is_versioned and (any(self.target.iterdir()) if self.target.is_dir() else self.target.exists()):
                raise BadOrder(f"{self.target} exists already, and is not an export that can be resumed.")
            return None
        if self.order_path.read_text("utf-8") != order.to_json():
            raise BadOrder(
                f"{self.target} holds another export: {self.order_path} says which. Export to somewhere else, or remove"
                f" {self.target} and {self.state_folder}."
            )
        return read_items(self.items_path)

    def finish_export(self) -> None:
        """Mark the job as finished, and remove the files that only a running job needs."""
        self.finished_marker.touch()
        remove_path(self.staging_folder)
        remove_path(self.drafts_folder)
