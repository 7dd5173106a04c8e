"""Status of the server, for administrators: one sentence first, then what it rests on."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import BadCatalog, Catalog, FrameStore, LostCatalog, Unsearchable
from shotdap.catalog.entry import FAILED_HEALTHS
from shotdap.catalog.query import Pattern, Query, Term
from shotdap.config import Settings
from shotdap.server.access.audit.failure_log import Failure, FailureLog
from shotdap.server.access.principal import OPEN_PRINCIPAL, get_principal
from shotdap.server.access.trusted_proxies import is_local_host
from shotdap.server.exports.jobs.job_store import JobStore, build_quotas, open_job_store
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.pages.formatting import convert_timestamp, format_count, format_date
from shotdap.server.readiness import Readiness
from shotdap.server.website.image_cards import get_diagnostic
from shotdap.server.website.page_response import PageResponder

STATUS_PATH: Final = "/status"

_RENEW_SECONDS: Final = 5
_FAULTS: Final = 6
_PAGE_SIZE: Final = 1000  # entries
_MAX_PAGES: Final = 3  # of the newest day
_DAY_LENGTH: Final = 10  # characters of an ISO date
_NEARLY_FULL: Final = 0.9
_LITTLE_FREE: Final = 0.05  # of the limit
_NO_STORE: Final = {"Cache-Control": "no-store"}
_CATALOG_ERRORS: Final = (BadCatalog, LostCatalog, SQLAlchemyError, Unsearchable)


@dataclass(frozen=True)
class StatusSources:
    """The parts of a server process that the page tells of, beside the catalog and its settings."""

    readiness: Readiness
    frames: FrameStore | None = None
    """The decoded frames that processes share; `None` if there are none."""


@dataclass(frozen=True)
class DiagnosticDay:
    """A diagnostic on the newest day with images."""

    name: str
    images: int
    last: str
    """The date of its newest image."""
    failing: int
    """How many of its images cannot be read."""


@dataclass(frozen=True)
class CatalogStatus:
    """Numbers of the catalog."""

    images: int = 0
    by_health: Mapping[str, int] = field(default_factory=dict)
    newest: str = ""
    """The date of the newest image; empty if there is none."""
    read_until: str = ""
    """How far the archive has been read, as an ISO date; empty if that is no date."""
    is_building: bool = False
    day: Sequence[DiagnosticDay] = ()
    is_whole_day: bool = True

    @property
    def failing(self) -> int:
        """The number of images that cannot be read."""
        return sum(self.by_health.get(health, 0) for health in FAILED_HEALTHS)


@dataclass(frozen=True)
class Room:
    """A folder that may take a number of bytes."""

    label: str
    used: int
    limit: int
    free: int
    """Bytes that are free on its disk."""
    is_cache: bool = False
    """Whether it makes room by itself, so that it may be full."""

    @property
    def is_nearly_full(self) -> bool:
        """True if it needs attention."""
        is_full = self.used > _NEARLY_FULL * self.limit and not self.is_cache
        return is_full or (self.free < _LITTLE_FREE * self.limit and self.used < _NEARLY_FULL * self.limit)


def create_status_routes(responder: PageResponder, settings: Settings, sources: StatusSources) -> list[Route]:
    """Create the route of the page.

    Args:
        responder: answers with pages.
        settings: of the site.
        sources: what it tells of beside the catalog.
    """
    jobs, log = open_job_store(settings), FailureLog.from_settings(settings)

    async def serve_status(request: Request) -> Response:
        problems = await sources.readiness.find_problems()

        def prepare(page: HttpRequest, catalog: Catalog) -> HttpResponse:
            client = request.client.host if request.client else ""
            # Of an open server, who sits at its machine is the administrator; `AccessMiddleware` knows those of others.
            if get_principal(page.state) == OPEN_PRINCIPAL and not is_local_host(client):
                raise HTTPException(HTTPStatus.FORBIDDEN, "This page is for administrators, and nobody signs in here.")
            rooms = [*_iter_rooms(settings, jobs, sources.frames)]
            with suppress(*_CATALOG_ERRORS):
                # A request names images; whoever may not see all of them sees no request of somebody else.
                faults = log.list_faults(_FAULTS) if log is not None and catalog.visibility.is_everything else ()
                return _render(page, problems, _read_catalog(catalog), rooms, faults)
            return _render(page, problems, None, rooms, ())

        return await responder.respond(request, prepare)

    return [Route(STATUS_PATH, serve_status, methods=["GET"])]


def _read_catalog(catalog: Catalog) -> CatalogStatus:
    """Read the numbers of a catalog.

    Raises:
        BadCatalog, LostCatalog, SQLAlchemyError: its database does not answer.
        Unsearchable: it is a directory tree, which counts nothing.
    """
    counts, build = catalog.count_facets(), catalog.read_build_state()
    newest = next((str(each.facts.get("date", "")) for each in catalog.search("", limit=1).entries), "")
    day, is_whole = _read_day(catalog, newest[:_DAY_LENGTH])
    is_known = build is not None and catalog.visibility.is_everything  # else the row may be of a hidden image
    read_until = build.watermark if build is not None and is_known else None
    return CatalogStatus(
        counts.total,
        counts.counts["health"],
        newest,
        read_until.isoformat(timespec="seconds") if isinstance(read_until, datetime) else "",
        build is not None and build.is_building,
        day,
        is_whole,
    )


def _read_day(catalog: Catalog, day: str) -> tuple[Sequence[DiagnosticDay], bool]:
    """Count the images of a day by their diagnostics; return whether these are all, too."""
    if not day:
        return (), True
    query = Query((Term("date", (Pattern(day, is_quoted=True),)),))
    images, failing = Counter[str](), Counter[str]()
    last: dict[str, str] = {}
    after: str | None = None
    for _ in range(_MAX_PAGES):
        page = catalog.search(query, after=after, limit=_PAGE_SIZE)
        for entry in page.entries:
            name = get_diagnostic(entry)
            images[name] += 1
            failing[name] += entry.health in FAILED_HEALTHS
            last.setdefault(name, str(entry.facts.get("date", "")))
        after = page.after
        if after is None:
            break
    rows = [DiagnosticDay(name, count, last[name], failing[name]) for name, count in images.items()]
    return sorted(rows, key=lambda row: (-row.images, row.name)), after is None


def _iter_rooms(settings: Settings, jobs: JobStore | None, frames: FrameStore | None) -> Iterator[Room]:
    """Yield the folders that fill; one that is away is left out, as readiness tells of it."""
    with suppress(OSError, SQLAlchemyError):
        if jobs is not None and jobs.folder.exists():
            used = sum(job.reserved_bytes for job in jobs.list_jobs())
            yield Room("Exports", used, build_quotas(settings).folder_bytes, _measure_free(jobs.folder))
    with suppress(OSError):
        if frames is not None:
            yield Room(
                "Decoded frames", frames.read_used_bytes(), frames.limit, _measure_free(frames.path), is_cache=True
            )


def _measure_free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _render(
    request: HttpRequest,
    problems: Mapping[str, str | None],
    catalog: CatalogStatus | None,
    rooms: Sequence[Room],
    faults: Sequence[Failure],
) -> HttpResponse:
    failing = [(name, problem) for name, problem in problems.items() if problem]
    now = datetime.now(UTC).astimezone()
    return render_page(
        "status.html",
        request,
        section="account",
        failing=failing,
        parts=list(problems),
        advice=_list_advice(catalog, rooms),
        catalog=catalog,
        rooms=rooms,
        faults=[(convert_timestamp(each.time), each) for each in faults],
        now=now.isoformat(timespec="seconds"),
        time=f"{now:%H:%M:%S}",
        renew_seconds=_RENEW_SECONDS,
    ).with_headers(_NO_STORE)


def _list_advice(catalog: CatalogStatus | None, rooms: Sequence[Room]) -> list[str]:
    """List what to look at though everything runs, each as a sentence."""
    advice = []
    if catalog is not None:
        failing = sum(each.failing for each in catalog.day)
        if failing:
            were = "image" if failing == 1 else "images"
            day = format_date(catalog.newest).partition(",")[0]
            advice.append(f"{format_count(failing)} {were} of {day} cannot be read.")
        if catalog.is_building:
            advice.append("The catalog is being built: some shots are not here yet.")
    advice += [f"{each.label}: there is little room left." for each in rooms if each.is_nearly_full]
    return advice
