"""Exports of many images as jobs: ``/api/v1/exports``.

An order is checked against the catalog when it is posted: an order that is wrong, or too large, is refused then. A job
exists only for its owner, with a token that may see all that the job may, and for administrators. Where nobody signs
in, anyone who knows the name of a job may see it, and nobody can guess it; a list shows the jobs of one address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from shotdap.catalog import FileHandle, Missing, Unreadable
from shotdap.config import Settings
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.problem_details import describe_failure, send_problem
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.jobs.job_store import Job, JobState, JobStore, NoRoom, OverQuota, open_job_store
from shotdap.server.exports.jobs.own_exports import KeyTaken, OwnExports
from shotdap.server.exports.order import JobOrder, Order, QuerySource, parse_part_value
from shotdap.server.extraction import Extraction
from shotdap.server.http.conditional import Validator
from shotdap.server.http.file_response import format_attachment, respond_with_file
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import ENDLESS_STREAM_KEY
from shotdap.server.pictures.levels import Display

_NDJSON_MEDIA_TYPE: Final = "application/x-ndjson"
_POLL_SECONDS: Final = 0.5  # between two looks at a job whose events a client follows
_MEDIA_TYPES: Final = tuple(writer.media_type for writer in WRITERS.values() if writer.file_name)

_DisplayModel = checked(Display, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False), frozen=True)
_DISPLAY_ADAPTER: Final = TypeAdapter(_DisplayModel)


def _validate_display(value: object) -> object:
    """Validate a `Display` from JSON: its types strictly, but an array may stand for a tuple."""
    if isinstance(value, Display):
        return value
    try:
        return _DISPLAY_ADAPTER.validate_json(json.dumps(value))
    except ValidationError as error:
        sentences = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError("; ".join(sentences)) from None


_EXAMPLE_ORDER: Final[dict[str, Any]] = {
    "query": "diagnostic:P510 shot:103700..103800",
    "variables": ["background_subtracted"],
    "part": {"y": "100:400"},
    "format": "nc4",
}


class ExportRequest(BaseModel):
    """An order: which images, and what of each."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [_EXAMPLE_ORDER]})

    query: Annotated[str, Field(max_length=2000, description="Which images, in the query language.")]
    variables: Annotated[list[str], Field(max_length=64, description="Of each image; none for all.")] = []
    part: Annotated[
        dict[str, str | int], Field(max_length=16, description="Of dimensions: 100:400, 0:100:2, or one index.")
    ] = {}
    transforms: Annotated[
        list[str], Field(max_length=8, description="One after the other, with options: median_filter-size-5.")
    ] = []
    raw: Annotated[bool, Field(description="The files' own variables, as they are.")] = False
    format: Annotated[str, Field(description=f"Of each file in a ZIP file: {', '.join(FORMATS)}.")] = ""
    container: Annotated[
        Literal["zip", "zarr-zip", "nc4"],
        Field(description="A ZIP file of files, a Zarr store in a ZIP file, or one netCDF-4 file of groups."),
    ] = "zip"
    display: Annotated[
        _DisplayModel,  # type: ignore[valid-type]
        BeforeValidator(_validate_display),
        Field(description="How pictures are shown."),
    ] = _DisplayModel()

    def create_order(self) -> JobOrder:
        """Create the order.

        Raises:
            BadOrder: a part cannot be parsed.
        """
        parts = {name: parse_part_value(name, str(text)) for name, text in self.part.items()}
        extraction = Extraction(tuple(self.variables), parts, tuple(self.transforms), self.raw)
        return Order(QuerySource(self.query), extraction, self.format, self.container, Display(**vars(self.display)))


class ExportLinks(BaseModel):
    """URLs of an export."""

    self: str
    events: str
    manifest: str
    result: str | None = Field(description="The file; null until it is there.")


class Export(BaseModel):
    """The present state of an export."""

    id: str
    state: JobState
    message: str = Field(description="Why it failed, or what it waits for.")
    order: dict[str, Any]
    created: datetime
    ended: datetime | None
    expires: datetime | None = Field(description="When the result will be removed.")
    total: int = Field(description="Images.")
    done: int
    failed: int = Field(description="Images of which there is nothing; the manifest says why.")
    bytes: int = Field(description="What is written.")
    rate: float | None = Field(description="Images a second; null while nobody knows.")
    seconds_left: float | None
    size: int | None = Field(description="Bytes of the result.")
    sha256: str | None = Field(description="Of the result.")
    links: ExportLinks


class Exports(BaseModel):
    """The exports of a user, the newest first."""

    exports: list[Export]


@dataclass(frozen=True)
class _ExportService:
    """Creates, describes and sends the exports of a server."""

    catalogs: RequestCatalogs
    jobs: JobStore
    settings: Settings

    def describe_job(self, request: Request, job: Job) -> Export:
        """Describe a job for clients."""
        path = f"{request.scope.get('root_path', '')}/exports/{job.id}"
        is_done = job.state == "done"
        ended = None if job.ended is None else datetime.fromtimestamp(job.ended, UTC)
        links = ExportLinks(
            self=path,
            events=f"{path}/events",
            manifest=f"{path}/manifest",
            result=f"{path}/result" if is_done else None,
        )
        return Export(
            id=job.id,
            state=job.state,
            message=job.message,
            order=json.loads(job.order),
            created=datetime.fromtimestamp(job.created, UTC),
            ended=ended,
            expires=ended and ended + timedelta(hours=self.settings.exports.keep_hours),
            total=job.total,
            done=job.done,
            failed=job.failed,
            bytes=job.bytes,
            rate=job.progress.rate,
            seconds_left=None if job.is_finished else job.progress.seconds_left,
            size=job.size if is_done else None,
            sha256=job.sha256 if is_done else None,
            links=links,
        )

    def open(self, request: Request) -> OwnExports:
        """Return the exports of the principal of a request."""
        return OwnExports.from_scope(self.jobs, self.settings, request.scope)

    def create_job(self, request: Request, order: JobOrder, key: str | None) -> Job | Response:
        """Return the job of an order, old or new; or the response that explains why there is none."""
        try:
            return self.open(request).create_job(self.catalogs.open(HttpRequest.from_starlette(request)), order, key)
        except KeyTaken as error:
            return send_problem(409, str(error))
        except OverQuota as error:
            return send_problem(429, str(error))
        except NoRoom as error:
            return send_problem(507, str(error))

    def respond_with_result(self, job: Job, request: HttpRequest) -> Response:
        """Send the file of a job, or the reason why there is none."""
        if job.state != "done":
            reason = f" {job.message}" if job.message else ""
            return send_problem(409, f"This export is {job.state}; there is no result.{reason}")
        validator, order = Validator(job.sha256), Order.from_json(job.order)
        headers = {"ETag": validator.etag}
        if validator.is_not_modified(request):
            return Response(status_code=304, headers=headers)
        path = self.jobs.get_workspace(job).target
        try:
            file = FileHandle(path)
        except (Missing, Unreadable):
            return send_problem(500, "The result of this export cannot be read. Order it anew.")
        headers["Content-Disposition"] = format_attachment(path.name)
        return respond_with_file(request, file, WRITERS[order.container].media_type, headers)


_NOT_FOUND_MESSAGE: Final = "There is no such export, or not any more."
_ExportId = Annotated[str, Path(max_length=64, description="An export's name, which the answer to its order gave.")]


def _describe_failures(**sentences: str) -> dict[int | str, dict[str, Any]]:
    """Describe failures for the OpenAPI document."""
    return {
        status: describe_failure(status, text) for name, text in sentences.items() if (status := int(name.lstrip("_")))
    }


def create_exports_router(catalogs: RequestCatalogs, settings: Settings) -> APIRouter:  # noqa: C901 — a route each, and nothing else
    """Create the routes of exports; none if the settings have no folder for them."""
    routes = APIRouter(prefix="/exports", tags=["exports"])
    jobs = open_job_store(settings)
    if jobs is None:
        return routes
    service = _ExportService(catalogs, jobs, settings)

    @routes.post(
        "",
        status_code=202,
        response_model=Export,
        responses=_describe_failures(
            _400="The order does not hold together, or no image fits it.",
            _409="The Idempotency-Key was given with another order.",
            _413="It is more than one export may have.",
            _429="The user has as much as one may have.",
            _507="There is no room for it now.",
        ),
    )
    def order(
        request: Request,
        response: Response,
        posted: ExportRequest,
        idempotency_key: Annotated[
            str | None,
            Header(alias="Idempotency-Key", max_length=200, description="The same key gives the same export."),
        ] = None,
    ) -> Export | Response:
        """Order an export; it is run in the background."""
        job = service.create_job(request, posted.create_order(), idempotency_key)
        if isinstance(job, Response):
            return job
        document = service.describe_job(request, job)
        response.headers["Location"] = document.links.self
        return document

    @routes.get("")
    def exports(request: Request) -> Exports:
        """List the exports of a user, the newest first."""
        return Exports(exports=[service.describe_job(request, job) for job in service.open(request).list_jobs()])

    @routes.get("/{id}", responses=_describe_failures(_404=_NOT_FOUND_MESSAGE))
    def export(request: Request, id: _ExportId) -> Export:  # noqa: A002 — the parameter's own name
        """Describe the state of an export."""
        return service.describe_job(request, service.open(request).find_job(id))

    @routes.delete(
        "/{id}", status_code=204, response_class=Response, responses=_describe_failures(_404=_NOT_FOUND_MESSAGE)
    )
    def delete(request: Request, id: _ExportId) -> Response:  # noqa: A002
        """Cancel an export that waits or runs; remove one that is over, and its result."""
        own = service.open(request)
        own.end_job(own.find_job(id))
        return Response(status_code=204)

    def check_exists(request: Request, id: _ExportId) -> None:  # noqa: A002
        """Refuse a stream of events before it begins if the job does not exist."""
        service.open(request).find_job(id)

    @routes.get(
        "/{id}/events",
        response_class=EventSourceResponse,
        dependencies=[Depends(check_exists)],
        responses=_describe_failures(_404=_NOT_FOUND_MESSAGE),
    )
    async def events(request: Request, id: _ExportId) -> AsyncIterator[ServerSentEvent]:  # noqa: A002
        """Follow an export: an event ``progress`` whenever something changes, and ``end`` when it is over."""
        request.scope.setdefault("state", {})[ENDLESS_STREAM_KEY] = True
        last = None
        while (job := await run_in_threadpool(service.jobs.find_job, id)) is not None:
            if job != last:
                last = job
                yield ServerSentEvent(
                    event="end" if job.is_finished else "progress", data=service.describe_job(request, job)
                )
            if job.is_finished:
                return
            await asyncio.sleep(_POLL_SECONDS)

    @routes.get(
        "/{id}/manifest",
        response_class=Response,
        responses={
            200: {"content": {_NDJSON_MEDIA_TYPE: {}}, "description": "A line of JSON each."},
            **_describe_failures(_404=_NOT_FOUND_MESSAGE),
        },
    )
    def manifest(request: Request, id: _ExportId) -> Response:  # noqa: A002
        """Return the result for each image so far, as a line of JSON each."""
        path = service.jobs.get_workspace(service.open(request).find_job(id)).manifest_path
        text = path.read_bytes() if path.exists() else b""
        return Response(text[: text.rfind(b"\n") + 1], media_type=_NDJSON_MEDIA_TYPE)

    @routes.get(
        "/{id}/result",
        response_class=FileResponse,
        responses={
            200: {"content": {media_type: {} for media_type in _MEDIA_TYPES}, "description": "The file."},
            206: {"description": "A part of the file, as the header Range asks for."},
            304: {"description": "The client has it."},
            **_describe_failures(_404=_NOT_FOUND_MESSAGE, _409="It is not done.", _416="There is no such range."),
        },
    )
    def result(request: Request, id: _ExportId) -> Response:  # noqa: A002
        """Return the file of an export."""
        return service.respond_with_result(service.open(request).find_job(id), HttpRequest.from_starlette(request))

    return routes
