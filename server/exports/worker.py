"""The work of a Dask worker: some images of a job, one after the other.

A worker gets plain data, and needs only this package and the site's settings: the file that the variable
``SHOTDAP_CONFIG`` names, or else the file of whoever ordered the export. Each process opens the catalog once.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import xarray as xr

from shotdap.catalog import EVERYTHING, Catalog, Visibility, retry_if_changed
from shotdap.config import Site, load_settings
from shotdap.config.settings import CONFIG_VARIABLE
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.export_plan import PlanItem
from shotdap.server.exports.image_data import check_memory, open_extraction
from shotdap.server.exports.manifest import ManifestRecord, MemberRecord, report_failure
from shotdap.server.exports.order import JobOrder, Order
from shotdap.server.exports.workspace import Workspace

_LOG = logging.getLogger("shotdap.exports")


class CannotWrite(OSError):
    """The export cannot be written, whatever the image; the message says why."""


@dataclass(frozen=True)
class ExportTask:
    """Some images of a job, in a form that pickle carries to any machine."""

    order_json: str
    target: str
    """The path of the export, which is the same on every machine."""
    items: tuple[PlanItem, ...]
    memory_limit: int
    """Bytes that one image may take."""
    settings_file: Path | None = None
    """The settings' file, for a worker without ``SHOTDAP_CONFIG``."""
    visibility: Visibility = EVERYTHING
    """The images that may be used, related ones too."""


def run_task(task: ExportTask) -> list[ManifestRecord]:
    """Export the images of a task; return the outcome of each.

    Raises:
        BadSettings: this worker has no settings that lead to a catalog.
        CannotWrite: the export cannot be written.
    """
    own_file = os.environ.get(CONFIG_VARIABLE)
    catalog = _open_catalog(Path(own_file) if own_file else task.settings_file).restrict(task.visibility)
    order, workspace = Order.from_json(task.order_json), Workspace(Path(task.target))
    return [_export_image(catalog, order, workspace, item, task.memory_limit) for item in task.items]


@cache
def _open_catalog(settings_file: Path | None) -> Catalog:
    # Dask marks its workers as daemons, which may not start processes; a file not yet inspected is read in one.
    multiprocessing.current_process().daemon = False
    return Site(load_settings(settings_file)).open_catalog()


def _export_image(
    catalog: Catalog, order: JobOrder, workspace: Workspace, item: PlanItem, memory_limit: int
) -> ManifestRecord:
    def compute_image() -> xr.Dataset:
        dataset = open_extraction(catalog, order.extraction, item.path)
        check_memory(dataset, memory_limit)
        return dataset.compute()

    try:
        dataset = retry_if_changed(compute_image)
        try:
            checksum = WRITERS[order.container].write_image(workspace, order, item, dataset)
        except OSError as error:
            raise CannotWrite(f"The export cannot be written: {error.strerror or error}.") from error
    except CannotWrite:
        raise
    except Exception as error:  # noqa: BLE001 — report any failure for this image only, and export the others
        problem = report_failure(_LOG, f"export {item.path}", error)
        return ManifestRecord(item.number, item.path, problems=(problem,))
    provenance = f"/dap/{quote(order.extraction.build_path(item.path))}.prov"
    members = (MemberRecord(item.name, checksum.size, checksum.sha256),)
    return ManifestRecord(item.number, item.path, members, provenance=provenance)
