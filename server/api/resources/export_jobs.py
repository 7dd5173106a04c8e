"""Exports of many images as jobs: ``/api/v1/exports``.

An order is held against the catalog when it is posted: what cannot be right, or is too much, is refused then. Whoever
knows a job's name, which nobody guesses, may see it; a list shows a user's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from shotdap.catalog import Catalog
from shotdap.config import Settings
from shotdap.server.api.middleware import is_head_request
from shotdap.server.api.problem_details import describe_failure, respond_with_problem
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.export_plan import plan_export
from shotdap.server.exports.jobs.job_store import (
    Job,
    JobState,
    JobStore,
    NoRoom,
    OverQuota,
    Quotas,
    build_quotas,
    open_job_store,
)
from shotdap.server.exports.order import JobOrder, Order, QuerySource, parse_part_value
from shotdap.server.extraction import Extraction
from shotdap.server.http.errors import Problem
from shotdap.server.http.file_response import OpenFileResponse
from shotdap.server.http.response import ENDLESS_STREAM_KEY
from shotdap.server.pictures.levels import Display

__all__ = ["create_exports_router", "get_principal"]

_NDJSON_MEDIA_TYPE: Final = "application/x-ndjson"
_SECONDS_PER_HOUR: Final = 3600.0
_ALL_METHODS: Final = frozenset({"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_OPEN_TIMEOUT: Final = 1.0  # seconds that an order waits for its first image to be opened
_POLL_SECONDS: Final = 0.5  # seconds between two looks at a job whose events somebody follows
_MEDIA_TYPES: Final = tuple(writer.media_type for writer in WRITERS.values() if writer.file_name)

_DisplayModel = checked(Display, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False), frozen=True)
_DISPLAY_ADAPTER: Final = TypeAdapter(_DisplayModel)


def _validate_display(value: object) -> object:
    """A `Display` as JSON has it: strict as to types, but that an array is a tuple."""
    if isinstance(value, Display):
        return value
    try:
        return _DISPLAY_ADAPTER.validate_json(json.dumps(value))
    except ValidationError as error:
        said = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError("; ".join(said)) from None


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
        """The order.

        Raises:
            BadOrder: a part is none.
        """
        parts = {name: parse_part_value(name, str(text)) for name, text in self.part.items()}
        wanted = Extraction(tuple(self.variables), parts, tuple(self.transforms), self.raw)
        return Order(QuerySource(self.query), wanted, self.format, self.container, Display(**vars(self.display)))


class ExportLinks(BaseModel):
    """Where what belongs to an export is."""

    self: str
    events: str
    manifest: str
    result: str | None = Field(description="The file; null until it is there.")


class Export(BaseModel):
    """An export as it stands."""

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
    """What answers need."""

    catalog: Catalog
    jobs: JobStore
    bounds: Quotas
    settings: Settings

    def describe_job(self, request: Request, job: Job) -> Export:
        """A job as clients see it."""
        path = f"{request.scope.get('root_path', '')}/exports/{job.id}"
        keep, progress, is_done = (
            self.settings.exports.keep_hours * _SECONDS_PER_HOUR,
            job.progress,
            job.state == "done",
        )
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
            created=_convert_timestamp(job.created),
            ended=None if job.ended is None else _convert_timestamp(job.ended),
            expires=None if job.ended is None else _convert_timestamp(job.ended + keep),
            total=job.total,
            done=job.done,
            failed=job.failed,
            bytes=job.bytes,
            rate=progress.rate,
            seconds_left=None if job.is_finished else progress.seconds_left,
            size=job.size if is_done else None,
            sha256=job.sha256 if is_done else None,
            links=links,
        )

    def find_job(self, id_: str) -> Job:
        """A job.

        Raises:
            HTTPException: there is none.
        """
        found = self.jobs.find_job(id_)
        if found is None:
            hours = f"{self.settings.exports.keep_hours:g}"
            raise HTTPException(404, f"There is no export {id_!r}. What exports make is kept for {hours} hours.")
        return found


_NOT_FOUND_MESSAGE: Final = "There is no such export, or not any more."
_ExportId = Annotated[str, Path(max_length=64, description="An export's name, which the answer to its order gave.")]


def _describe_failures(**sentences: str) -> dict[int | str, dict[str, Any]]:
    """Failures, as the OpenAPI document has them."""
    return {
        status: describe_failure(status, text) for name, text in sentences.items() if (status := int(name.lstrip("_")))
    }


def get_principal(request: Request) -> str:
    """Whose request it is: the client's address, as long as nobody signs in."""
    return request.client.host if request.client else ""


def create_exports_router(catalog: Catalog, settings: Settings) -> APIRouter:  # noqa: C901 — a route each, and nothing else
    """The routes of exports; none, where the settings have no folder for them."""
    routes = APIRouter(prefix="/exports", tags=["exports"])
    jobs = open_job_store(settings)
    if jobs is None:
        return routes
    desk = _ExportService(catalog, jobs, build_quotas(settings), settings)

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
        found = _create_job(desk, posted.create_order(), get_principal(request), idempotency_key)
        if isinstance(found, Response):
            return found
        described = desk.describe_job(request, found)
        response.headers["Location"] = described.links.self
        return described

    @routes.get("")
    def exports(request: Request) -> Exports:
        """The exports of a user, the newest first."""
        return Exports(exports=[desk.describe_job(request, job) for job in desk.jobs.list_jobs(get_principal(request))])

    @routes.get("/{id}", responses=_describe_failures(_404=_NOT_FOUND_MESSAGE))
    def export(request: Request, id: _ExportId) -> Export:  # noqa: A002 — the parameter's own name
        """How far an export is."""
        return desk.describe_job(request, desk.find_job(id))

    @routes.delete(
        "/{id}", status_code=204, response_class=Response, responses=_describe_failures(_404=_NOT_FOUND_MESSAGE)
    )
    def delete(id: _ExportId) -> Response:  # noqa: A002
        """Cancel an export that waits or runs; remove one that is over, and its result."""
        job = desk.find_job(id)
        if not desk.jobs.cancel_job(job):
            desk.jobs.remove_job(job)
        return Response(status_code=204)

    def check_exists(id: _ExportId) -> None:  # noqa: A002
        """Refuse, before a stream begins, what it cannot be of."""
        desk.find_job(id)

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
        while (job := await run_in_threadpool(desk.jobs.find_job, id)) is not None:
            if job != last:
                last = job
                yield ServerSentEvent(
                    event="end" if job.is_finished else "progress", data=desk.describe_job(request, job)
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
    def manifest(id: _ExportId) -> Response:  # noqa: A002
        """What became of each image, as far as is known: a line of JSON each."""
        path = desk.jobs.get_workspace(desk.find_job(id)).manifest_path
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
        """What an export has made."""
        return _respond_result(desk, desk.find_job(id), request)

    for path, allowed in (("", ("GET", "POST")), ("/{id}", ("DELETE", "GET"))):
        methods = sorted(_ALL_METHODS - {*allowed})
        routes.add_api_route(path, partial(_refuse_method, allowed), methods=methods, include_in_schema=False)
    return routes


def _refuse_method(allowed: tuple[str, ...]) -> Response:
    """Refuse a method, and say which there are; by itself a router names those of the first of its routes."""
    raise HTTPException(405, headers={"Allow": ", ".join(allowed)})


def _create_job(desk: _ExportService, order: JobOrder, owner: str, key: str | None) -> Job | Response:
    """The job of an order, old or new; or the answer why there is none."""
    earlier = desk.jobs.find_by_key(owner, key) if key else None
    if earlier is not None:
        if earlier.order != order.to_json():
            return _respond_refusal(409, "This Idempotency-Key was given with another order; use a new one.")
        return earlier
    try:
        desk.jobs.check_quotas(owner, 0, desk.bounds)
        exports = desk.settings.exports
        plan = plan_export(
            desk.catalog,
            order,
            max_images=exports.images_per_job,
            memory_limit=exports.max_image_bytes,
            timeout=_OPEN_TIMEOUT,
        )
        desk.jobs.check_quotas(owner, plan.estimate, desk.bounds)
    except OverQuota as error:
        return _respond_refusal(429, str(error))
    except NoRoom as error:
        return _respond_refusal(507, str(error))
    return desk.jobs.add_job(order, plan.items, plan.estimate, owner, key)


def _respond_result(desk: _ExportService, job: Job, request: Request) -> Response:
    if job.state != "done":
        why = f" {job.message}" if job.message else ""
        return _respond_refusal(409, f"This export is {job.state}; there is no result.{why}")
    tag, order = f'"{job.sha256}"', Order.from_json(job.order)
    if tag in {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers={"ETag": tag})
    path = desk.jobs.get_workspace(job).target
    media_type, headers = WRITERS[order.container].media_type, {"ETag": tag}
    try:
        file = path.open("rb")
    except OSError as error:
        return _respond_refusal(500, f"The result of this export cannot be read: {error.strerror}. Order it anew.")
    answer = OpenFileResponse(file, media_type, path.name, headers)
    if is_head_request(request):
        file.close()
        return Response(headers=dict(answer.headers))
    return answer


def _respond_refusal(status: int, sentence: str) -> Response:
    return respond_with_problem(Problem(status, sentence, expected=True))


def _convert_timestamp(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
