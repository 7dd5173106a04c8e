"""The service itself: its version, its health, its transforms and its formats."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from shotdap import __version__
from shotdap.catalog import NotFound
from shotdap.server.api.dependencies import ApiRequest, NoParams, reject_repeated_params
from shotdap.server.api.problem_details import describe_other_responses, send_problem
from shotdap.server.api.responses import build_resource_url, respond_with_document
from shotdap.server.api.schemas import (
    FormatDocument,
    Formats,
    HealthStatus,
    Option,
    TransformDocument,
    Transforms,
    Version,
)
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.encoders.json_values import describe_attributes
from shotdap.server.readiness import Readiness
from shotdap.transforms import BadTransform, Transform, find_transform, known_transforms

_ENTRY_POINTS: Final = (
    "facilities",
    "shots",
    "diagnostics",
    "images",
    "facets",
    "changes",
    "transforms",
    "formats",
    "health",
)


def create_service_router(readiness: Readiness) -> APIRouter:
    """Create the routes."""
    routes = APIRouter(tags=["service"], dependencies=[Depends(reject_repeated_params)])

    @routes.get(
        "/version",
        response_model=Version,
        operation_id="version",
        summary="What answers",
        responses=describe_other_responses(),
    )
    def get_server_version(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """Return the version of the server, and links to begin with."""
        links = {
            "documentation": f"{request.base_url}/api/docs",
            "openapi": build_resource_url(request, "openapi.json"),
            **{name: build_resource_url(request, name) for name in _ENTRY_POINTS},
        }
        return respond_with_document(request, Version("shotdap", __version__, links))

    @routes.get(
        "/health",
        response_model=HealthStatus,
        operation_id="health",
        summary="Whether the server answers",
        responses=describe_other_responses(),
    )
    async def get_health(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """Check that this process answers requests; the catalog is checked by `/health/ready`."""
        return respond_with_document(request, HealthStatus("ok"))

    @routes.get(
        "/health/ready",
        response_model=HealthStatus,
        operation_id="ready",
        summary="Whether all parts answer",
        responses=describe_other_responses(),
    )
    async def check_readiness(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """Check that the catalog, and whatever else requests need, answers, too; 503 if it does not."""
        problems = await readiness.find_problems()
        stuck = [f"{name}: {problem}" for name, problem in problems.items() if problem]
        if stuck:
            return send_problem(503, " ".join(stuck))
        return respond_with_document(request, HealthStatus("ok"))

    @routes.get(
        "/transforms",
        response_model=Transforms,
        operation_id="transforms",
        summary="Every transform",
        responses=describe_other_responses(),
    )
    def list_transforms(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """List all transforms with their options, in JSON Schema."""
        return respond_with_document(
            request, Transforms([_describe_transform(each) for _, each in sorted(known_transforms().items())])
        )

    @routes.get(
        "/transforms/{name}",
        response_model=TransformDocument,
        operation_id="transform",
        summary="A transform",
        responses=describe_other_responses(404),
    )
    def get_transform(
        request: ApiRequest, name: Annotated[str, Path(examples=["median_filter"])], _: Annotated[NoParams, Query()]
    ) -> Response:
        """Describe one transform."""
        try:
            return respond_with_document(request, _describe_transform(find_transform(name)))
        except BadTransform as error:
            raise NotFound(str(error)) from error

    @routes.get(
        "/formats",
        response_model=Formats,
        operation_id="formats",
        summary="Every format",
        responses=describe_other_responses(),
    )
    def list_formats(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """List all formats of images."""
        formats = [
            FormatDocument(each.name, each.media_type, each.extension, each.content_kind, each.description)
            for each in FORMATS.values()
        ]
        return respond_with_document(request, Formats(formats))

    return routes


def _describe_transform(transform: Transform) -> TransformDocument:
    properties = transform.options_model.model_json_schema().get("properties", {})
    options = [Option(name, describe_attributes(schema)) for name, schema in properties.items()]
    return TransformDocument(transform.name, transform.summary, list(transform.inputs), options)
