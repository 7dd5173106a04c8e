"""What the archive holds, in numbers: facilities, diagnostics, facets; and what has changed in it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from shotdap.catalog import Catalog, Change, Diagnostic
from shotdap.server.api.dependencies import Nothing, single
from shotdap.server.api.entry_document import image_line
from shotdap.server.api.facility_names import spelled
from shotdap.server.api.problem_details import others
from shotdap.server.api.responses import document, page_url
from shotdap.server.api.schemas import Changed, ChangeFeed, Diagnostics, FacetCounts, Facilities, Facility, Kind, Named

__all__ = ["router"]

_MOST = 2**63 - 1  # of a token


class _Searched(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(description="A query: see docs/searching.md.", examples=["diagnostic:P510*"])] = ""


class _Since(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Annotated[int, Field(description="The token of an earlier answer; 0 for all there is.", ge=0, le=_MOST)] = 0
    limit: Annotated[int, Field(description="How many at most.", ge=1, le=1000)] = 100


def router(catalog: Catalog) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(single)])

    @routes.get(
        "/facilities",
        response_model=Facilities,
        operation_id="facilities",
        summary="The facilities",
        responses=others(404),
    )
    def facilities(request: Request, _: Annotated[Nothing, Query()]) -> Response:
        """The facilities that there are images of, with their numbers; none is known of a mere folder (404)."""
        counts = catalog.facets().counts["facility"]
        return document(request, Facilities([_facility(request, *each) for each in counts.items()]))

    @routes.get(
        "/diagnostics",
        response_model=Diagnostics,
        operation_id="diagnostics",
        summary="The diagnostics",
        responses=others(404),
    )
    def diagnostics(request: Request, _: Annotated[Nothing, Query()]) -> Response:
        """The diagnostics that there are images of, with their numbers; and how files are read."""
        counts = catalog.facets().counts["diagnostic"]
        named = [_named(request, *each) for each in counts.items()]
        return document(request, Diagnostics(named, list(map(_kind, catalog.diagnostics))))

    @routes.get(
        "/facets",
        response_model=FacetCounts,
        operation_id="facets",
        summary="Count what a query finds",
        responses=others(404),
    )
    def facets(request: Request, asked: Annotated[_Searched, Query()]) -> Response:
        """How many images a query finds, by facility, diagnostic, year and health."""
        found = catalog.facets(asked.q)
        counts = {str(name): dict(values) for name, values in found.counts.items()}
        return document(request, FacetCounts(found.total, found.complete, counts))

    @routes.get(
        "/changes",
        response_model=ChangeFeed,
        operation_id="changes",
        summary="What has changed",
        responses=others(404),
    )
    def changes(request: Request, asked: Annotated[_Since, Query()]) -> Response:
        """What has changed in the catalog, the oldest first: for who keeps a copy, or waits for new shots."""
        found = catalog.changes(asked.since, limit=asked.limit)
        told = [_changed(request, each) for each in found.changes]
        return document(request, ChangeFeed(told, found.token, found.more))

    return routes


def _facility(request: Request, name: str, images: int) -> Facility:
    links = {
        "shots": page_url(request, "shots", facility=spelled(name)),
        "images": page_url(request, "images", q=f"facility:{_quoted(name)}"),
    }
    return Facility(name, images, links if name else {})


def _named(request: Request, name: str, images: int) -> Named:
    links = {"images": page_url(request, "images", q=f"diagnostic:{_quoted(name)}")}
    return Named(name, images, links if name else {})


def _quoted(text: str) -> str:
    """As a query has it where it is to be taken literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _kind(diagnostic: Diagnostic) -> Kind:
    virtual = [recipe.name for recipe in diagnostic.recipes if not recipe.hidden]
    return Kind(diagnostic.name, diagnostic.title, diagnostic.instrument, [*diagnostic.variables], virtual)


def _changed(request: Request, change: Change) -> Changed:
    return Changed(change.path, None if change.entry is None else image_line(request, change.entry))
