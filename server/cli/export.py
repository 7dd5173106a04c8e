"""``shotdap export``: run a job on this machine, with a progress bar."""

from __future__ import annotations

from pathlib import Path

from shotdap.config import SettingsSource, Site
from shotdap.server.cli import output
from shotdap.server.exports.cluster import open_cluster
from shotdap.server.exports.containers.icechunk import import_icechunk
from shotdap.server.exports.export_plan import plan_export
from shotdap.server.exports.job_run import run_export
from shotdap.server.exports.order import JobOrder
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.workspace import Workspace

_MIB = 2**20


def export_now(order: JobOrder, target: Path, source: SettingsSource) -> bool:
    """Export images, or resume an earlier run of the same order.

    Returns:
        Whether any image was exported.

    Raises:
        BadOrder: the order contradicts itself, no image fits it, or the target exists and is another export.
        BadSettings: there is no catalog, or the scheduler does not answer.
    """
    settings, workspace = source.load(), Workspace(target)
    memory_limit = settings.exports.max_image_bytes
    order.validate()
    if order.container == "icechunk":
        import_icechunk()
    items = workspace.resume_export(order)
    if items is None:
        items = plan_export(Site(settings).open_catalog(), order, memory_limit=memory_limit).items
        workspace.begin_export(order, items)
    if workspace.finished_marker.exists() and not order.is_folder:
        output.print_line(f"{target} is complete already. Remove it and {workspace.state_folder} to export it anew.")
        return True
    with open_cluster(settings.exports, source) as client, output.show_count("Exporting", len(items)) as update:

        def show_progress(progress: Progress) -> None:
            failed = f", {progress.failed:,} failed" if progress.failed else ""
            update(progress.done + progress.failed, f"{progress.bytes / _MIB:,.0f} MiB{failed}")

        progress = run_export(
            order,
            workspace,
            items,
            client,
            memory_limit=memory_limit,
            settings_file=source.file,
            on_progress=show_progress,
        )
    images = "image" if progress.done == 1 else "images"
    failed = f" {progress.failed:,} failed; the manifest says why." if progress.failed else ""
    output.print_line(f"{progress.done:,} {images} exported to {target}, {progress.bytes / _MIB:,.1f} MiB.{failed}")
    output.print_line(f"Manifest: {workspace.manifest_path}")
    return progress.done > 0
