"""The coordinator as a server starts it, without what only the coordinator needs: Dask, for one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shotdap.config import Settings, load
from shotdap.server.companions import companion, ignore_interrupt, parent_lives
from shotdap.server.exporting.site import jobs_of

__all__ = ["exporting"]

_TURN: Final = 0.5  # seconds between two looks


@contextmanager
def exporting(settings: Settings, site: str | None) -> Iterator[None]:
    """A process that runs exports for as long as the block lasts, where the settings have a folder for them.

    Args:
        settings: of the site.
        site: the settings' file, which the process loads anew.
    """
    if settings.exports.folder is None:
        yield
        return
    with companion(_coordinate, site, "shotdap exports"):
        yield


def _coordinate(site: str | None) -> None:
    """Wait until anybody orders anything; only then is a coordinator worth its memory."""
    ignore_interrupt()
    jobs = jobs_of(load(Path(site) if site else None))
    while jobs is not None and not jobs.is_there:
        if not parent_lives(_TURN):
            return
    importlib.import_module("shotdap.server.exporting.coordinator").coordinate_for_parent(site)
