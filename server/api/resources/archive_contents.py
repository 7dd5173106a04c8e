"""What the archive holds, in numbers: facilities, diagnostics, facets; and what has changed in it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from shotdap.catalog import Catalog, Change, Diagnostic
from shotdap.server.api.dependencies import NoParams, reject_repeated_params
from shotdap.server.api.entry_document import build_image_summary
from shotdap.server.api.facility_names import format_facility_segment
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.responses import build_resource_url, respond_with_document
from shotdap.server.api.schemas import (
    ChangeFeed,
    DiagnosticCount,
    DiagnosticDescription,
    Diagnostics,
    FacetCounts,
    Facilities,
    Facility,
    ImageChange,
)

__all__ = ["create_archive_router"]

_MAX_TOKEN = 2**63 - 1  # of a token


class _FacetParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(description="A query: see docs/searching.md.", examples=["diagnostic:P510*"])] = ""


class _ChangesParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Annotated[
        int, Field(description="The token of an earlier answer; 0 for all there is.", ge=0, le=_MAX_TOKEN)
    ] = 0
    limit: Annotated[int, Field(description="How many at most.", ge=1, le=1000)] = 100


def create_archive_router(catalog: Catalog) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(reject_repeated_params)])

    @routes.get(
        "/facilities",
        response_model=Facilities,
        operation_id="facilities",
        summary="The facilities",
        responses=describe_other_responses(404),
    )
    def list_facilities(request: Request, _: Annotated[NoParams, Query()]) -> Response:
        """The facilities that there are images of, with their numbers; none is known of a mere folder (404)."""
        counts = catalog.count_facets().counts["facility"]
        return respond_with_document(request, Facilities([_build_facility(request, *each) for each in counts.items()]))

    @routes.get(
        "/diagnostics",
        response_model=Diagnostics,
        operation_id="diagnostics",
        summary="The diagnostics",
        responses=describe_other_responses(404),
    )
    def list_diagnostics(request: Request, _: Annotated[NoParams, Query()]) -> Response:
        """The diagnostics that there are images of, with their numbers; and how files are read."""
        counts = catalog.count_facets().counts["diagnostic"]
        named = [_build_diagnostic_count(request, *each) for each in counts.items()]
        return respond_with_document(
            request, Diagnostics(named, list(map(_build_diagnostic_description, catalog.diagnostics)))
        )

    @routes.get(
        "/facets",
        response_model=FacetCounts,
        operation_id="facets",
        summary="Count what a query finds",
        responses=describe_other_responses(404),
    )
    def get_facet_counts(request: Request, asked: Annotated[_FacetParams, Query()]) -> Response:
        """How many images a query finds, by facility, diagnostic, year and health."""
        found = catalog.count_facets(asked.q)
        counts = {str(name): dict(values) for name, values in found.counts.items()}
        return respond_with_document(request, FacetCounts(found.total, found.is_complete, counts))

    @routes.get(
        "/changes",
        response_model=ChangeFeed,
        operation_id="changes",
        summary="What has changed",
        responses=describe_other_responses(404),
    )
    def get_changes(request: Request, asked: Annotated[_ChangesParams, Query()]) -> Response:
        """What has changed in the catalog, the oldest first: for who keeps a copy, or waits for new shots."""
        found = catalog.list_changes(asked.since, limit=asked.limit)
        told = [_build_change(request, each) for each in found.changes]
        return respond_with_document(request, ChangeFeed(told, found.token, found.has_more))

    return routes


def _build_facility(request: Request, name: str, images: int) -> Facility:
    links = {
        "shots": build_resource_url(request, "shots", facility=format_facility_segment(name)),
        "images": build_resource_url(request, "images", q=f"facility:{_quote_term(name)}"),
    }
    return Facility(name, images, links if name else {})


def _build_diagnostic_count(request: Request, name: str, images: int) -> DiagnosticCount:
    links = {"images": build_resource_url(request, "images", q=f"diagnostic:{_quote_term(name)}")}
    return DiagnosticCount(name, images, links if name else {})


def _quote_term(text: str) -> str:
    """As a query has it where it is to be taken literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _build_diagnostic_description(diagnostic: Diagnostic) -> DiagnosticDescription:
    virtual = [recipe.name for recipe in diagnostic.recipes if not recipe.hidden]
    return DiagnosticDescription(
        diagnostic.name, diagnostic.title, diagnostic.instrument, [*diagnostic.variables], virtual
    )


def _build_change(request: Request, change: Change) -> ImageChange:
    return ImageChange(change.path, None if change.entry is None else build_image_summary(request, change.entry))
