"""Contents of the archive in numbers: facilities, diagnostics, facets; and the feed of changes."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from shotdap.catalog import Catalog, Diagnostic
from shotdap.server.api.dependencies import ApiRequest, NoParams, reject_repeated_params
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
from shotdap.server.http.request import HttpRequest

_MAX_TOKEN: Final = 2**63 - 1


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
    """Create the routes."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(reject_repeated_params)])

    @routes.get(
        "/facilities",
        response_model=Facilities,
        operation_id="facilities",
        summary="The facilities",
        responses=describe_other_responses(404),
    )
    def list_facilities(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
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
    def list_diagnostics(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """The diagnostics that there are images of, with their numbers; and how files are read."""
        counts = catalog.count_facets().counts["diagnostic"]
        described = list(map(_build_diagnostic_description, catalog.diagnostics))
        counted = [_build_diagnostic_count(request, *each) for each in counts.items()]
        return respond_with_document(request, Diagnostics(counted, described))

    @routes.get(
        "/facets",
        response_model=FacetCounts,
        operation_id="facets",
        summary="Count what a query finds",
        responses=describe_other_responses(404),
    )
    def get_facet_counts(request: ApiRequest, params: Annotated[_FacetParams, Query()]) -> Response:
        """How many images a query finds, by facility, diagnostic, year and health."""
        facets = catalog.count_facets(params.q)
        counts = {str(name): dict(values) for name, values in facets.counts.items()}
        return respond_with_document(request, FacetCounts(facets.total, facets.is_complete, counts))

    @routes.get(
        "/changes",
        response_model=ChangeFeed,
        operation_id="changes",
        summary="What has changed",
        responses=describe_other_responses(404),
    )
    def get_changes(request: ApiRequest, params: Annotated[_ChangesParams, Query()]) -> Response:
        """What has changed in the catalog, the oldest first: for who keeps a copy, or waits for new shots."""
        page = catalog.list_changes(params.since, limit=params.limit)
        changes = [
            ImageChange(each.path, None if each.entry is None else build_image_summary(request, each.entry))
            for each in page.changes
        ]
        return respond_with_document(request, ChangeFeed(changes, page.token, page.has_more))

    return routes


def _build_facility(request: HttpRequest, name: str, images: int) -> Facility:
    links = {
        "shots": build_resource_url(request, "shots", facility=format_facility_segment(name)),
        "images": build_resource_url(request, "images", q=f"facility:{_quote_term(name)}"),
    }
    return Facility(name, images, links if name else {})


def _build_diagnostic_count(request: HttpRequest, name: str, images: int) -> DiagnosticCount:
    links = {"images": build_resource_url(request, "images", q=f"diagnostic:{_quote_term(name)}")}
    return DiagnosticCount(name, images, links if name else {})


def _quote_term(text: str) -> str:
    """Quote a text for a query, where it is taken literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _build_diagnostic_description(diagnostic: Diagnostic) -> DiagnosticDescription:
    virtual = [recipe.name for recipe in diagnostic.recipes if not recipe.hidden]
    return DiagnosticDescription(
        diagnostic.name, diagnostic.title, diagnostic.instrument, [*diagnostic.variables], virtual
    )
