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
from shotdap.server.exports.cluster import open_cluster
from shotdap.server.exports.containers.icechunk import import_icechunk
from shotdap.server.exports.order import JobOrder
from shotdap.server.exports.plan import PlanItem, plan_export
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.run import run_export
from shotdap.server.exports.workspace import Workspace

__all__ = ["export_now"]


@dataclass(frozen=True)
class _ProgressDisplay:
    console: Console

    @contextmanager
    def show_progress(self, total: int) -> Iterator[Callable[[Progress], None]]:
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

            def update_bar(progress: Progress) -> None:
                failed = f", {progress.failed:,} failed" if progress.failed else ""
                more = f"{progress.bytes / 2**20:,.0f} MiB{failed}"
                shown.update(task, completed=progress.done + progress.failed, more=more)

            yield update_bar


def export_now(order: JobOrder, target: Path, settings: Settings, console: Console, site: str | None) -> bool:
    """Export images, or go on with that where an earlier run of the same order was stopped.

    Returns:
        Whether any image was exported.

    Raises:
        BadOrder: the order does not hold together, no image fits it, or something else lies at the target.
        BadSettings: there is no catalog, or the scheduler does not answer.
    """
    place = Workspace(target)
    items = _prepare_items(order, place, settings)
    if place.finished_marker.exists() and not order.is_folder:
        console.print(
            f"{target} is complete already. Remove it and {place.state_folder} to export it anew.", markup=False
        )
        return True
    with open_cluster(settings.exports) as client, _ProgressDisplay(console).show_progress(len(items)) as tell:
        progress = run_export(
            order,
            place,
            items,
            client,
            memory_limit=settings.exports.max_image_bytes,
            settings_file=site,
            on_progress=tell,
        )
    console.print(_format_summary(progress, place), markup=False)
    return progress.done > 0


def _prepare_items(order: JobOrder, place: Workspace, settings: Settings) -> tuple[PlanItem, ...]:
    """The images: of the earlier run, or of the catalog now."""
    order.validate()
    if order.container == "icechunk":
        import_icechunk()
    items = place.resume_export(order)
    if items is None:
        items = plan_export(settings.open_catalog(), order, memory_limit=settings.exports.max_image_bytes).items
        place.begin_export(order, items)
    return items


def _format_summary(progress: Progress, place: Workspace) -> str:
    failed = f" {progress.failed:,} failed; the manifest says why." if progress.failed else ""
    size = f"{progress.bytes / 2**20:,.1f} MiB"
    images = "image" if progress.done == 1 else "images"
    return f"{progress.done:,} {images} exported to {place.target}, {size}.{failed}\nManifest: {place.manifest_path}"
