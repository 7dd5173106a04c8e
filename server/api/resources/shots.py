"""Shots: pages of shots, and each shot with its images."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from shotdap.catalog.query import Pattern, Term
from shotdap.catalog.query import Query as SearchQuery
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import ApiRequest, NoParams, PageParams, reject_repeated_params
from shotdap.server.api.entry_document import build_image_summary
from shotdap.server.api.facility_names import create_facility_term, format_facility_segment
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.responses import (
    build_link_header,
    build_resource_url,
    get_api_url,
    quote_path,
    respond_with_document,
)
from shotdap.server.api.schemas import Shot, Shots, ShotSummary
from shotdap.server.api.shot_listing import MAX_SHOT, ShotCursor, ShotPage, create_shot_term, find_shot, read_shot_page
from shotdap.server.http.request import HttpRequest
from shotdap.server.search_threads import SearchThreads


class _ShotParams(PageParams):
    facility: Annotated[
        str | None, Field(description="Only shots of this facility, as in public paths.", max_length=200)
    ] = None


def create_shots_router(catalogs: RequestCatalogs, search_threads: SearchThreads) -> APIRouter:
    """Create the routes."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(reject_repeated_params)])

    @routes.get(
        "/shots",
        response_model=Shots,
        operation_id="shots",
        summary="A page of shots",
        responses=describe_other_responses(404),
    )
    async def list_shots(client: Request, request: ApiRequest, params: Annotated[_ShotParams, Query()]) -> Response:
        """List a page of shots, the greatest number first."""
        start = ShotCursor.decode(params.cursor)

        catalog = catalogs.open(request)

        def read_page() -> ShotPage:
            terms = () if params.facility is None else (create_facility_term(catalog, params.facility),)
            return read_shot_page(catalog, terms, start, params.limit)

        page = await search_threads.run(client.receive, read_page)
        cursor = page.next_cursor
        parameters = {"facility": params.facility, "cursor": str(cursor), "limit": params.limit}
        next_url = None if cursor is None else build_resource_url(request, "shots", **parameters)
        summaries = []
        for (facility, shot), entries in page.shots.items():
            date = min((str(each.facts["date"]) for each in entries if each.facts.get("date")), default=None)
            links = _build_links(request, facility, shot)
            summaries.append(ShotSummary(facility, shot, len(entries), date, links))
        return respond_with_document(request, Shots(summaries, next_url), build_link_header(next_url))

    @routes.get(
        "/shots/{facility}/{shot}",
        response_model=Shot,
        operation_id="shot",
        summary="A shot with its images",
        responses=describe_other_responses(404),
    )
    async def get_shot(
        client: Request,
        request: ApiRequest,
        facility: Annotated[str, Path(description="As in public paths.", examples=["omega"], min_length=1)],
        shot: Annotated[int, Path(examples=[103741], ge=-MAX_SHOT, le=MAX_SHOT)],
        _: Annotated[NoParams, Query()],
    ) -> Response:
        """Return a shot with its diagnostics and images; of more than 1,000 images the newest, with a link to all."""
        catalog = catalogs.open(request)

        entries = await search_threads.run(client.receive, partial(find_shot, catalog, facility, shot))
        counts = Counter(str(each.facts.get("diagnostic", "")) for each in entries)
        summaries = [build_image_summary(request, each) for each in entries]
        name = str(entries[0].facts["facility"])
        links = _build_links(request, name, shot)
        return respond_with_document(request, Shot(name, shot, dict(counts), summaries, links))

    return routes


def _build_links(request: HttpRequest, facility: str, shot: int) -> dict[str, str]:
    if not facility:
        return {"images": build_resource_url(request, "images", q=f"shot:{shot}")}
    own = f"{get_api_url(request)}/shots/{quote_path(format_facility_segment(facility))}/{shot}"
    query = SearchQuery((create_shot_term(shot, shot), Term("facility", (Pattern(facility, is_quoted=True),))))
    return {"self": own, "package": f"{own}/package", "images": build_resource_url(request, "images", q=str(query))}
