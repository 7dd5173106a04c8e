"""My exports: ordered by a form, followed while they run, and downloaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import BadQuery, Catalog, NotFound, Unreadable
from shotdap.config import Settings
from shotdap.server.exports import JobContainer
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.jobs.job_store import Job, NoRoom, OverQuota, open_job_store
from shotdap.server.exports.jobs.own_exports import OwnExports
from shotdap.server.exports.order import JobOrder, Order, QuerySource
from shotdap.server.extraction import Extraction
from shotdap.server.http.errors import TooLarge, to_problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.pages.formatting import RANGE_DASH, convert_timestamp
from shotdap.server.website.account.form_body import read_form
from shotdap.server.website.known_names import KnownNamesCache
from shotdap.server.website.page_response import PageResponder
from shotdap.server.website.search_text import parse_search_text
from shotdap.transforms import BadSelection, BadVariant

EXPORTS_PATH: Final = "/exports"

_NO_STORE: Final = {"Cache-Control": "no-store"}
_MAX_TITLE: Final = 80
_FIELD_NAME: Final = re.compile(r"\b(?:facility|diagnostic|shot|date):")
_REFUSALS: Final = (BadQuery, BadSelection, BadVariant, TooLarge, OverQuota, NoRoom)
"""What is wrong with an order, or stands against it: sentences for its user."""


@dataclass(frozen=True)
class _Form:
    """A form in which images are exported, as the page offers it."""

    label: str
    container: JobContainer
    format_name: str = ""


_FORMS: Mapping[str, _Form] = MappingProxyType(
    {
        "nc4": _Form("NetCDF-4 files in a ZIP", "zip", "nc4"),
        "h5": _Form("HDF5 files in a ZIP", "zip", "h5"),
        "tiff": _Form("TIFF files in a ZIP", "zip", "tiff"),
        "mat": _Form("MATLAB files in a ZIP", "zip", "mat"),
        "one": _Form("one NetCDF-4 file", "nc4"),
        "zarr": _Form("one Zarr store", "zarr-zip"),
    }
)
_READ_LINES: Mapping[JobContainer, str] = MappingProxyType(
    {
        "zip": 'import zipfile; zipfile.ZipFile("{name}").extractall("export")',
        "nc4": 'import xarray as xr; images = xr.open_datatree("{name}")',
        "zarr-zip": "import xarray as xr, zarr.storage; "
        'images = xr.open_datatree(zarr.storage.ZipStore("{name}"), engine="zarr")',
    }
)
"""Python that reads a result which was downloaded."""


@dataclass(frozen=True)
class _ExportRow:
    """An export in the list."""

    job: Job
    title: str
    order: str
    """The order in words."""
    kept_until: str
    """ISO date, or empty."""
    python: str

    @property
    def percent(self) -> int:
        """The share of its images that is done, or cannot be read."""
        return 100 * (self.job.done + self.job.failed) // max(1, self.job.total)

    @property
    def end_date(self) -> str:
        """Its end as an ISO date; its beginning while it is not over."""
        return convert_timestamp(self.job.ended or self.job.created)


@dataclass(frozen=True)
class _Preview:
    """The number, the size and the variables of the images of an order that is not placed yet."""

    images: int = 0
    estimate: int = 0
    """Bytes; 0 while unknown."""
    variables: Sequence[str] = ()
    """Those of the first image."""


def create_export_routes(responder: PageResponder, settings: Settings, names: KnownNamesCache) -> list[Route]:
    """Create the routes of the page.

    Args:
        responder: answers with pages.
        settings: of the site.
        names: what words of a query may mean.
    """
    pages = _ExportPages(responder, settings, names)
    return [
        Route(EXPORTS_PATH, pages.show, methods=["GET"]),
        Route(EXPORTS_PATH, pages.order, methods=["POST"]),
        Route(f"{EXPORTS_PATH}/again", pages.order_again, methods=["POST"]),
        Route(f"{EXPORTS_PATH}/remove", pages.remove, methods=["POST"]),
    ]


class _ExportPages:
    def __init__(self, responder: PageResponder, settings: Settings, names: KnownNamesCache) -> None:
        self._responder = responder
        self._settings = settings
        self._names = names
        self._jobs = open_job_store(settings)

    async def show(self, request: Request) -> Response:
        """Show the exports; with a query, what its order would be."""

        def show(page: HttpRequest, catalog: Catalog, own: OwnExports) -> HttpResponse:
            if not page.parameters.get("q", "").strip():
                return self._render(page, own, page.parameters)
            try:
                order = self._parse_order(page.parameters, catalog)
                preview = _preview_order(own, catalog, order)
            except _REFUSALS as error:
                return self._render(page, own, page.parameters, error=error)
            return self._render(page, own, page.parameters, preview=preview)

        return await self._respond(request, show, request.query_params.get("q", ""))

    async def order(self, request: Request) -> Response:
        """Order an export."""
        fields = await read_form(request)

        def order(page: HttpRequest, catalog: Catalog, own: OwnExports) -> HttpResponse:
            try:
                own.create_job(catalog, self._parse_order(fields, catalog))
            except _REFUSALS as error:
                return self._render(page, own, fields, error=error)
            return _redirect(page)

        return await self._respond(request, order)

    async def order_again(self, request: Request) -> Response:
        """Order an export that failed or was cancelled once more."""
        fields = await read_form(request)

        def order(page: HttpRequest, catalog: Catalog, own: OwnExports) -> HttpResponse:
            job = own.find_job(fields.get("id", ""))
            try:
                own.create_job(catalog, Order.from_json(job.order))
            except _REFUSALS as error:
                return self._render(page, own, {}, error=error)
            return _redirect(page)

        return await self._respond(request, order)

    async def remove(self, request: Request) -> Response:
        """Cancel an export, or remove one that is over."""
        fields = await read_form(request)

        def remove(page: HttpRequest, _catalog: Catalog, own: OwnExports) -> HttpResponse:
            own.end_job(own.find_job(fields.get("id", "")))
            return _redirect(page)

        return await self._respond(request, remove)

    async def _respond(
        self, request: Request, act: Callable[[HttpRequest, Catalog, OwnExports], HttpResponse], query: str = ""
    ) -> Response:
        def prepare(page: HttpRequest, catalog: Catalog) -> HttpResponse:
            if self._jobs is None:
                raise NotFound("This server makes no exports: it has no folder for them (exports.folder).")
            own = OwnExports.from_scope(self._jobs, self._settings, request.scope)
            return act(page, catalog, own).with_headers(_NO_STORE)

        return await self._responder.respond(request, prepare, query)

    def _parse_order(self, fields: Mapping[str, str], catalog: Catalog) -> JobOrder:
        """Parse the form of an order.

        Raises:
            BadQuery: the query has an error.
            BadSelection: there is no such form.
        """
        query = parse_search_text(fields.get("q", ""), self._names.get_names(catalog))
        form = _FORMS.get(fields.get("as") or "nc4")
        if form is None:
            raise BadSelection(f"as is one of {', '.join(_FORMS)}.")
        variable = fields.get("variable", "").strip()
        extraction = Extraction(variables=(variable,) if variable else ())
        return Order(QuerySource(str(query)), extraction, form.format_name, form.container)

    def _render(
        self,
        request: HttpRequest,
        own: OwnExports,
        fields: Mapping[str, str],
        *,
        preview: _Preview | None = None,
        error: Exception | None = None,
    ) -> HttpResponse:
        jobs = own.list_jobs()
        keep = timedelta(hours=self._settings.exports.keep_hours)
        problem = None if error is None else to_problem(error)
        running = next((job for job in jobs if job.state == "running"), None)
        return render_page(
            "exports.html",
            request,
            problem.status if problem else HTTPStatus.OK,
            section="exports",
            rows=[_describe_job(job, keep) for job in jobs],
            running=running and _describe_job(running, keep),
            is_active=any(not job.is_finished for job in jobs),
            used=sum(job.reserved_bytes for job in jobs),
            allowed=own.quotas.user_bytes,
            fields=fields,
            forms={name: form.label for name, form in _FORMS.items()},
            preview=preview,
            problem=problem,
        )


def _preview_order(own: OwnExports, catalog: Catalog, order: JobOrder) -> _Preview:
    """Count the images of an order, and list the variables of the first one.

    Raises:
        BadOrder, BadQuery, BadSelection, BadVariant, TooLarge, Unsearchable: see `OwnExports.plan_job`.
    """
    plan = own.plan_job(catalog, order)
    variables: Sequence[str] = ()
    with suppress(Unreadable):
        variables = [str(name) for name in catalog.open(plan.items[0].path, chunked=False).data_vars]
    return _Preview(len(plan.items), plan.estimate, variables)


def _describe_job(job: Job, keep: timedelta) -> _ExportRow:
    order = json.loads(job.order)
    kind = (order["container"], order["format"])
    labels = {(each.container, each.format_name): each.label for each in _FORMS.values()}
    form = labels.get(kind, " of ".join(filter(None, kind)))
    words = [order["query"], ", ".join(order["variables"]) or "all variables", *order["transforms"], form]
    until = "" if job.ended is None else convert_timestamp(job.ended + keep.total_seconds())
    name = WRITERS[order["container"]].file_name
    line = _READ_LINES.get(order["container"], "").format(name=name)
    return _ExportRow(job, _make_title(order["query"]), " · ".join(words), until, line)


def _make_title(query: str) -> str:
    """Make a short title of a query: ``P510 103700 - 103800``."""
    title = _FIELD_NAME.sub("", query).replace("..", f" {RANGE_DASH} ").replace('"', "")
    return title if len(title) <= _MAX_TITLE else f"{title[: _MAX_TITLE - 1]}…"


def _redirect(request: HttpRequest) -> HttpResponse:
    return HttpResponse.redirect(f"{request.root_path}{EXPORTS_PATH}", HTTPStatus.SEE_OTHER)
