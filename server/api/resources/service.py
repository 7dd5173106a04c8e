"""The service itself: what it is, whether it is well, and what it knows to do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from shotdap import __version__
from shotdap.catalog import Catalog, NotFound
from shotdap.server.api.dependencies import Nothing, single
from shotdap.server.api.problem_details import others, problem_response
from shotdap.server.api.responses import document, host, page_url
from shotdap.server.api.schemas import Alive, FormatDocument, Formats, Option, TransformDocument, Transforms, Version
from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.encoders.json_values import attributes
from shotdap.server.http.errors import Problem
from shotdap.transforms import BadTransform, Transform, find_transform, known_transforms

__all__ = ["router"]

_BEGINNINGS = ("facilities", "shots", "diagnostics", "images", "facets", "changes", "transforms", "formats", "health")


def router(catalog: Catalog) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["service"], dependencies=[Depends(single)])

    @routes.get(
        "/version",
        response_model=Version,
        operation_id="version",
        summary="What answers",
        responses=others(),
    )
    def version(request: Request, _: Annotated[Nothing, Query()]) -> Response:
        """What answers, and where to begin."""
        links = {
            "documentation": f"{host(request)}/api/docs",
            "openapi": page_url(request, "openapi.json"),
            **{name: page_url(request, name) for name in _BEGINNINGS},
        }
        return document(request, Version("shotdap", __version__, links))

    @routes.get(
        "/health",
        response_model=Alive,
        operation_id="health",
        summary="Whether the server answers",
        responses=others(),
    )
    async def health(request: Request, _: Annotated[Nothing, Query()]) -> Response:
        """That this process answers requests. It asks nothing of the catalog: see `/health/ready`."""
        return document(request, Alive("ok"))

    @routes.get(
        "/health/ready",
        response_model=Alive,
        operation_id="ready",
        summary="Whether the catalog answers",
        responses=others(),
    )
    def ready(request: Request, _: Annotated[Nothing, Query()]) -> Response:
        """That the catalog answers too; 503 where it does not."""
        try:
            catalog.children("", limit=1)
        except Exception:  # noqa: BLE001 — whatever it is, requests are better sent elsewhere
            return problem_response(Problem(503, "The catalog does not answer now; ask again later.", expected=True))
        return document(request, Alive("ok"))

    @routes.get(
        "/transforms",
        response_model=Transforms,
        operation_id="transforms",
        summary="Every transform",
        responses=others(),
    )
    def transforms(request: Request, _: Annotated[Nothing, Query()]) -> Response:
        """Every transform with its options, in JSON Schema."""
        return document(request, Transforms([_transform(each) for _, each in sorted(known_transforms().items())]))

    @routes.get(
        "/transforms/{name}",
        response_model=TransformDocument,
        operation_id="transform",
        summary="A transform",
        responses=others(404),
    )
    def transform(
        request: Request, name: Annotated[str, Path(examples=["median_filter"])], _: Annotated[Nothing, Query()]
    ) -> Response:
        """One transform."""
        try:
            return document(request, _transform(find_transform(name)))
        except BadTransform as error:
            raise NotFound(str(error)) from error

    @routes.get(
        "/formats",
        response_model=Formats,
        operation_id="formats",
        summary="Every format",
        responses=others(),
    )
    def formats(request: Request, _: Annotated[Nothing, Query()]) -> Response:
        """Every format that images can be had in."""
        return document(request, Formats(list(map(_format, FORMATS.values()))))

    return routes


def _transform(transform: Transform) -> TransformDocument:
    properties = transform.options.model_json_schema().get("properties", {})
    options = [Option(name, attributes(schema)) for name, schema in properties.items()]
    return TransformDocument(transform.name, transform.summary, list(transform.inputs), options)


def _format(form: Format) -> FormatDocument:
    return FormatDocument(form.name, form.media_type, form.ending, form.holds, form.sentence)
