"""``shotdap export``: an export that runs now, with a bar that shows how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from shotdap.config import Settings
from shotdap.server.exports.cluster import cluster
from shotdap.server.exports.containers.icechunk import library
from shotdap.server.exports.items import Item
from shotdap.server.exports.order import Order
from shotdap.server.exports.plan import planned
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.run import export
from shotdap.server.exports.workspace import Place

__all__ = ["export_now"]


@dataclass(frozen=True)
class _Shown:
    console: Console

    @contextmanager
    def bar(self, total: int) -> Iterator[Callable[[Progress], None]]:
        """What shows how far an export is, for as long as the block lasts."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(show_speed=True),
            TimeRemainingColumn(),
            TextColumn("{task.fields[more]}"),
        )
        with Bar(*columns, console=self.console, transient=True) as shown:
            task = shown.add_task("Exporting", total=total, more="")

            def tell(progress: Progress) -> None:
                failed = f", {progress.failed:,} failed" if progress.failed else ""
                more = f"{progress.bytes / 2**20:,.0f} MiB{failed}"
                shown.update(task, completed=progress.done + progress.failed, more=more)

            yield tell


def export_now(order: Order, target: Path, settings: Settings, console: Console, site: str | None) -> bool:
    """Export images, or go on with that where an earlier run of the same order was stopped.

    Returns:
        Whether any image was exported.

    Raises:
        BadOrder: the order does not hold together, no image fits it, or something else lies at the target.
        BadSettings: there is no catalog, or the scheduler does not answer.
    """
    place = Place(target)
    items = _begun(order, place, settings)
    if place.finished.exists() and not order.has_folder:
        console.print(f"{target} is complete already. Remove it and {place.work} to export it anew.", markup=False)
        return True
    with cluster(settings.exports) as client, _Shown(console).bar(len(items)) as tell:
        memory = settings.exports.image_bytes
        progress = export(order, place, items, client, memory=memory, site=site, tell=tell)
    console.print(_sentence(progress, place), markup=False)
    return progress.done > 0


def _begun(order: Order, place: Place, settings: Settings) -> tuple[Item, ...]:
    """The images: of the earlier run, or of the catalog now."""
    order.check()
    if order.container == "icechunk":
        library()
    items = place.resumed(order)
    if items is None:
        items = planned(settings.open_catalog(), order, memory=settings.exports.image_bytes).items
        place.begin(order, items)
    return items


def _sentence(progress: Progress, place: Place) -> str:
    failed = f" {progress.failed:,} failed; the manifest says why." if progress.failed else ""
    size = f"{progress.bytes / 2**20:,.1f} MiB"
    images = "image" if progress.done == 1 else "images"
    return f"{progress.done:,} {images} exported to {place.target}, {size}.{failed}\nManifest: {place.manifest}"
