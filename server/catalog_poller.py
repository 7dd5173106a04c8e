"""The catalog poller: updates the catalog while it is served, in one child process of each server.

An error costs one turn: the server continues with the catalog that it has, the log has the reason, and the next turn
may succeed.
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
from shotdap.server.child_process import is_parent_alive_after, run_child_process

_RETRY_FAILED_SECONDS: Final = 600.0  # between two inspections of files that could not be read


def poll_catalog(site: Site, report: Callable[[str], None], wait: Callable[[], bool], *, inspect: bool = True) -> None:
    """Update the catalog again and again.

    Args:
        site: the catalog and its archive.
        report: called with a sentence for each change, and for each reason why an update was not possible.
        wait: waits for the next turn; returns false to end.
        inspect: whether to inspect new files; those that could not be read are inspected again from time to time.
    """
    last_retry = -_RETRY_FAILED_SECONDS
    while True:
        retry_failed = time.monotonic() - last_retry >= _RETRY_FAILED_SECONDS
        last_retry = time.monotonic() if retry_failed else last_retry
        for message in _update_catalog(site, inspect=inspect, retry_failed=retry_failed):
            report(message)
        if not wait():
            return


def _update_catalog(site: Site, *, inspect: bool, retry_failed: bool) -> Iterator[str]:
    """Build and inspect the catalog once; yield messages."""
    try:
        build = site.build_catalog(patient=True)
        if build.added or build.changed or build.removed:
            yield describe_build(build)
        if inspect:
            inspection = site.inspect_catalog(doubtful=retry_failed)
            if inspection.ok or inspection.changed:
                yield describe_inspection(inspection)
    except Busy:
        return  # another build is running, and does the same
    except (BadArchive, BadCatalog, BadSettings, Superseded, Unreadable) as error:
        yield str(error)
    except SQLAlchemyError as error:
        yield f"The catalog's database does not answer: {type(error).__name__}."


@contextmanager
def run_poller(settings: Settings, source: SettingsSource) -> Iterator[None]:
    """Run a poller in a child process until the end of the block, if the settings ask for it.

    Args:
        settings: of the site.
        source: from which the process loads the settings.
    """
    if not settings.catalog.watch_seconds or settings.archive.folder is not None:
        yield
        return
    with run_child_process(_poll_until_parent_exits, source, "shotdap watch"):
        yield


def _poll_until_parent_exits(source: SettingsSource) -> None:
    settings = source.load()

    def report(message: str) -> None:
        print(message, file=sys.stderr, flush=True)  # noqa: T201 — like uvicorn, whatever its loggers are

    poll_catalog(Site(settings), report, lambda: is_parent_alive_after(settings.catalog.watch_seconds))


def describe_build(report: BuildReport) -> str:
    """Describe in a sentence what a build did."""
    removed = f", {report.removed:,} removed" if report.removed else ""
    return f"Catalog: {report.added:,} images added, {report.changed:,} changed{removed}."


def describe_inspection(report: InspectionReport) -> str:
    """Describe in a sentence what an inspection found."""
    return (
        f"Files looked into: {report.ok} good, {report.missing} missing, {report.unreadable} unreadable,"
        f" {report.changed} changed."
    )
