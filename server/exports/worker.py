"""What a Dask worker runs: some images of an export, one after the other.

A worker gets plain data, and needs of its own only this package and the site's settings: the file that the variable
``SHOTDAP_CONFIG`` names, or else the one that whoever ordered the export has. The catalog is opened once in each
process.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from shotdap.catalog import Catalog, retry_if_changed
from shotdap.config import Site, load_settings
from shotdap.config.settings import CONFIG_VARIABLE
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.image_values import open_extraction
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Workspace
from shotdap.server.http.errors import to_problem

__all__ = ["CannotWrite", "ExportTask", "run_task"]

_LOG = logging.getLogger("shotdap.exports")


class CannotWrite(OSError):
    """What is exported cannot be written; the message says why. No other image fares better."""


@dataclass(frozen=True)
class ExportTask:
    """Some images of an export, in what pickle carries anywhere."""

    order_json: str
    """As JSON."""
    target: str
    """The path of what is made, which is the same on every machine."""
    items: tuple[PlanItem, ...]
    memory_limit: int
    """Bytes that one image may take."""
    settings_file: Path | None = None
    """The settings' file, for a worker that has no ``SHOTDAP_CONFIG``."""


def run_task(task: ExportTask) -> list[ManifestRecord]:
    """Do a task: each image is written, or has a reason why it is not.

    Raises:
        BadSettings: this worker has no settings that lead to a catalog.
        CannotWrite: the place cannot be written to.
    """
    site = os.environ.get(CONFIG_VARIABLE)
    catalog = _open_catalog(Path(site) if site else task.settings_file)
    order, place = Order.from_json(task.order_json), Workspace(Path(task.target))
    return [_export_image(catalog, order, place, item, task.memory_limit) for item in task.items]


@cache
def _open_catalog(site: Path | None) -> Catalog:
    # Dask calls its workers daemons, which may have no children; a file that no inspection has seen is read in one.
    multiprocessing.current_process().daemon = False
    return Site(load_settings(site)).open_catalog()


def _export_image(catalog: Catalog, order: Order, place: Workspace, item: PlanItem, memory: int) -> ManifestRecord:
    provenance = f"/dap/{quote(order.extraction.build_path(item.path))}.prov"
    try:
        dataset = retry_if_changed(lambda: open_extraction(catalog, order, item.path, memory).compute())
    except Exception as error:  # noqa: BLE001 — whatever it is, the other images are exported
        return _build_failed_record(item, error)
    try:
        put = WRITERS[order.container].write_image(place, order, item, dataset)
    except OSError as error:
        raise CannotWrite(f"The export cannot be written: {error.strerror or error}.") from error
    except Exception as error:  # noqa: BLE001 — a format that cannot hold this image
        return _build_failed_record(item, error)
    return ManifestRecord(item.number, item.path, "done", "", put.size, put.sha256, item.name, provenance)


def _build_failed_record(item: PlanItem, error: Exception) -> ManifestRecord:
    trouble = to_problem(error)
    if not trouble.expected:
        _LOG.error("failed to export %s", item.path, exc_info=error)
    return ManifestRecord(item.number, item.path, "failed", trouble.message)
