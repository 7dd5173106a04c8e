"""The catalog kept up to date while it is served: one poller for each server, in a process of its own.

Whatever goes wrong costs one turn: the server goes on with the catalog that it has, the log says why, and the next turn
may go well.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from shotdap.catalog import BadArchive, BadCatalog, BuildReport, Busy, InspectionReport, Superseded, Unreadable
from shotdap.config import BadSettings, Settings, SettingsSource, Site
from shotdap.server.child_process import ignore_interrupt, is_parent_alive_after, run_child_process

__all__ = ["describe_build", "describe_inspection", "poll_catalog", "run_poller"]

_RETRY_FAILED_SECONDS: Final = 600.0  # between two looks at files that could not be read


def poll_catalog(site: Site, say: Callable[[str], None], wait: Callable[[], bool], *, inspect: bool = True) -> None:
    """Bring the catalog up to date, again and again.

    Args:
        site: the catalog and its archive.
        say: told in a sentence what has changed, or why nothing could be done.
        wait: waits for the next turn; true if there is to be one.
        inspect: look into new files; those that could not be read are tried again now and then.
    """
    tried = -_RETRY_FAILED_SECONDS
    while True:
        doubtful = time.monotonic() - tried >= _RETRY_FAILED_SECONDS
        tried = time.monotonic() if doubtful else tried
        for line in _poll_once(site, inspect=inspect, doubtful=doubtful):
            say(line)
        if not wait():
            return


def _poll_once(site: Site, *, inspect: bool, doubtful: bool) -> Iterator[str]:
    try:
        built = site.build_catalog(patient=True)
        if built.added or built.changed or built.removed:
            yield describe_build(built)
        if inspect:
            inspected = site.inspect_catalog(doubtful=doubtful)
            if inspected.ok or inspected.changed:
                yield describe_inspection(inspected)
    except Busy:
        return  # the other build does what this one would
    except (BadArchive, BadCatalog, BadSettings, Superseded, Unreadable) as error:
        yield str(error)
    except SQLAlchemyError as error:
        yield f"The catalog's database does not answer: {type(error).__name__}."


@contextmanager
def run_poller(settings: Settings, source: SettingsSource) -> Iterator[None]:
    """Run a process that polls for as long as the block lasts, where the settings ask for it.

    Args:
        settings: of the site.
        source: where the process loads the settings from.
    """
    if not settings.catalog.watch_seconds or settings.archive.folder is not None:
        yield
        return
    with run_child_process(_poll_until_parent_exits, source, "shotdap watch"):
        yield


def _poll_until_parent_exits(source: SettingsSource) -> None:
    """Poll until the parent ends, in whatever way."""
    ignore_interrupt()
    settings = source.load()
    poll_catalog(Site(settings), _log_line, lambda: is_parent_alive_after(settings.catalog.watch_seconds))


def _log_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 — where uvicorn's own lines go, whatever its loggers are


def describe_build(built: BuildReport) -> str:
    """What a build did."""
    removed = f", {built.removed:,} removed" if built.removed else ""
    return f"Catalog: {built.added:,} images added, {built.changed:,} changed{removed}."


def describe_inspection(inspected: InspectionReport) -> str:
    """What an inspection found."""
    return (
        f"Files looked into: {inspected.ok} good, {inspected.missing} missing, {inspected.unreadable} unreadable,"
        f" {inspected.changed} changed."
    )
