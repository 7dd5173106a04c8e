"""Contents of the archive in numbers: facilities, diagnostics, facets; and the feed of changes."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from shotdap.catalog import FIRST_TOKEN
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import ApiRequest, NoParams, reject_repeated_params
from shotdap.server.api.entry_document import build_change_feed
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
)
from shotdap.server.search_threads import SearchThreads

_MAX_TOKEN_LENGTH: Final = 100


class _FacetParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(description="A query: see docs/searching.md.", examples=["diagnostic:P510*"])] = ""


class _ChangesParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Annotated[
        str, Field(description="The token of an earlier answer; 0 for all there is.", max_length=_MAX_TOKEN_LENGTH)
    ] = FIRST_TOKEN
    limit: Annotated[int, Field(description="How many at most.", ge=1, le=1000)] = 100


def create_archive_router(catalogs: RequestCatalogs, search_threads: SearchThreads) -> APIRouter:
    """Create the routes."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(reject_repeated_params)])

    @routes.get(
        "/facilities",
        response_model=Facilities,
        operation_id="facilities",
        summary="The facilities",
        responses=describe_other_responses(404),
    )
    async def list_facilities(client: Request, request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """List the facilities with the numbers of their images; a mere folder has none (404)."""
        counts = (await search_threads.run(client.receive, catalogs.open(request).count_facets)).counts["facility"]
        facilities = []
        for name, images in counts.items():
            links = {
                "shots": build_resource_url(request, "shots", facility=format_facility_segment(name)),
                "images": build_resource_url(request, "images", q=f"facility:{_quote_term(name)}"),
            }
            facilities.append(Facility(name, images, links if name else {}))
        return respond_with_document(request, Facilities(facilities))

    @routes.get(
        "/diagnostics",
        response_model=Diagnostics,
        operation_id="diagnostics",
        summary="The diagnostics",
        responses=describe_other_responses(404),
    )
    async def list_diagnostics(client: Request, request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """List the diagnostics with the numbers of their images, and the descriptions by which files are read."""
        catalog = catalogs.open(request)
        counts = (await search_threads.run(client.receive, catalog.count_facets)).counts["diagnostic"]
        diagnostics = []
        for name, images in counts.items():
            links = {"images": build_resource_url(request, "images", q=f"diagnostic:{_quote_term(name)}")}
            diagnostics.append(DiagnosticCount(name, images, links if name else {}))
        descriptions = [
            DiagnosticDescription(
                each.name,
                each.title,
                each.instrument,
                [*each.variables],
                [recipe.name for recipe in each.recipes if not recipe.hidden],
            )
            for each in catalog.diagnostics
        ]
        return respond_with_document(request, Diagnostics(diagnostics, descriptions))

    @routes.get(
        "/facets",
        response_model=FacetCounts,
        operation_id="facets",
        summary="Count what a query finds",
        responses=describe_other_responses(404),
    )
    async def get_facet_counts(
        client: Request, request: ApiRequest, params: Annotated[_FacetParams, Query()]
    ) -> Response:
        """Count the images that a query finds, by facility, diagnostic, year and health."""
        count = partial(catalogs.open(request).count_facets, params.q)
        facets = await search_threads.run(client.receive, count, f"facets {params.q}")
        counts = {str(name): dict(values) for name, values in facets.counts.items()}
        return respond_with_document(request, FacetCounts(facets.total, facets.is_complete, counts))

    @routes.get(
        "/changes",
        response_model=ChangeFeed,
        operation_id="changes",
        summary="What has changed",
        responses=describe_other_responses(404, 410),
    )
    async def get_changes(client: Request, request: ApiRequest, params: Annotated[_ChangesParams, Query()]) -> Response:
        """List changes of the catalog, the oldest first: for clients that keep a copy, or wait for new shots."""

        def respond() -> Response:
            page = catalogs.open(request).list_changes(params.since, limit=params.limit)
            return respond_with_document(request, build_change_feed(request, page))

        return await search_threads.run(client.receive, respond)

    return routes


def _quote_term(text: str) -> str:
    """Quote a text for a query, where it is taken literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
