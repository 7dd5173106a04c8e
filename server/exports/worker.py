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
from typing import Final
from urllib.parse import quote

from shotdap.catalog import Catalog, retry_changed
from shotdap.config import load
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.image_values import narrowed
from shotdap.server.exports.items import Item
from shotdap.server.exports.manifest import Line
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Place
from shotdap.server.http.errors import problem

__all__ = ["CannotWrite", "Task", "work"]

_LOG = logging.getLogger("shotdap.exports")
_CONFIG: Final = "SHOTDAP_CONFIG"


class CannotWrite(OSError):
    """What is exported cannot be written; the message says why. No other image fares better."""


@dataclass(frozen=True)
class Task:
    """Some images of an export, in what pickle carries anywhere."""

    order: str
    """As JSON."""
    target: str
    """The path of what is made, which is the same on every machine."""
    items: tuple[Item, ...]
    memory: int
    """Bytes that one image may take."""
    site: str | None = None
    """The settings' file, for a worker that has no ``SHOTDAP_CONFIG``."""


def work(task: Task) -> list[Line]:
    """Do a task: each image is written, or has a reason why it is not.

    Raises:
        BadSettings: this worker has no settings that lead to a catalog.
        CannotWrite: the place cannot be written to.
    """
    catalog = _catalog(os.environ.get(_CONFIG) or task.site)
    order, place = Order.from_json(task.order), Place(Path(task.target))
    return [_line(catalog, order, place, item, task.memory) for item in task.items]


@cache
def _catalog(site: str | None) -> Catalog:
    # Dask calls its workers daemons, which may have no children; a file that no inspection has seen is read in one.
    multiprocessing.current_process().daemon = False
    return load(Path(site) if site else None).open_catalog()


def _line(catalog: Catalog, order: Order, place: Place, item: Item, memory: int) -> Line:
    provenance = f"/dap/{quote(order.wanted.path(item.path))}.prov"
    try:
        dataset = retry_changed(lambda: narrowed(catalog, order, item.path, memory).compute())
    except Exception as error:  # noqa: BLE001 — whatever it is, the other images are exported
        return _failed(item, error)
    try:
        put = WRITERS[order.container].put(place, order, item, dataset)
    except OSError as error:
        raise CannotWrite(f"The export cannot be written: {error.strerror or error}.") from error
    except Exception as error:  # noqa: BLE001 — a format that cannot hold this image
        return _failed(item, error)
    return Line(item.number, item.path, "done", "", put.bytes, put.sha256, item.name, provenance)


def _failed(item: Item, error: Exception) -> Line:
    trouble = problem(error)
    if not trouble.expected:
        _LOG.error("failed to export %s", item.path, exc_info=error)
    return Line(item.number, item.path, "failed", trouble.message)
