"""Shots: pages of shots, and each shot with its images.

The catalog has no table of shots. A page comes from a search in descending order of shot numbers, whose entries are
grouped by facility and number. The last number of a search is left to the next page, as more of its images may follow.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from shotdap.catalog import BadToken, Catalog, Entry, NotFound
from shotdap.catalog.index.records import extract_column_facts
from shotdap.catalog.query import Pattern, Term, TextRange
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
from shotdap.server.http.request import HttpRequest
from shotdap.server.search_threads import SearchThreads

_MAX_ENTRIES: Final = 1000  # of one search
_MAX_SHOT: Final = 10**18 - 1  # the largest number of a shot in a query


class _ShotParams(PageParams):
    facility: Annotated[
        str | None, Field(description="Only shots of this facility, as in public paths.", max_length=200)
    ] = None


@dataclass(frozen=True)
class _ShotCursor:
    """Start of a page of shots."""

    max_shot: int = _MAX_SHOT
    """The largest number of a shot in the page."""
    after: str | None = None
    """Cursor of the search for these shots."""

    def __str__(self) -> str:
        return urlsafe_b64encode(json.dumps([self.max_shot, self.after]).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str | None) -> _ShotCursor:
        """Decode a cursor; without one, return the start of the first page.

        Raises:
            BadToken: it is none.
        """
        if text is None:
            return cls()
        try:
            max_shot, after = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        except (ValueError, TypeError, RecursionError) as error:
            raise BadToken("This is no cursor; each page of shots that another follows has one in next.") from error
        if type(max_shot) is not int or abs(max_shot) > _MAX_SHOT or not isinstance(after, str | None):
            raise BadToken("This is no cursor of a page of shots.")
        return cls(max_shot, after)


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
        start = _ShotCursor.decode(params.cursor)

        catalog = catalogs.open(request)

        def read_page() -> _ShotPage:
            terms = () if params.facility is None else (create_facility_term(catalog, params.facility),)
            return _read_shot_page(catalog, terms, start, params.limit)

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
        shot: Annotated[int, Path(examples=[103741], ge=-_MAX_SHOT, le=_MAX_SHOT)],
        _: Annotated[NoParams, Query()],
    ) -> Response:
        """Return a shot with its diagnostics and images; of more than 1,000 images the newest, with a link to all."""
        catalog = catalogs.open(request)

        def find_entries() -> Sequence[Entry]:
            terms = (_create_shot_term(shot, shot), create_facility_term(catalog, facility))
            return catalog.search(SearchQuery(terms), limit=_MAX_ENTRIES).entries

        entries = await search_threads.run(client.receive, find_entries)
        if not entries:
            raise NotFound(f"There is no image of shot {shot} of {facility!r}.")
        counts = Counter(str(each.facts.get("diagnostic", "")) for each in entries)
        summaries = [build_image_summary(request, each) for each in sorted(entries, key=lambda each: each.path)]
        name = str(entries[0].facts["facility"])
        links = _build_links(request, name, shot)
        return respond_with_document(request, Shot(name, shot, dict(counts), summaries, links))

    return routes


_ShotKey: TypeAlias = tuple[str, int]
"""Facility and number."""


@dataclass(frozen=True)
class _ShotPage:
    """Some shots with their images, and the start of the next page."""

    shots: Mapping[_ShotKey, list[Entry]]
    next_cursor: _ShotCursor | None


def _read_shot_page(catalog: Catalog, terms: tuple[Term, ...], cursor: _ShotCursor, limit: int) -> _ShotPage:
    query = SearchQuery((_create_shot_term(None, cursor.max_shot), *terms))
    page = catalog.search(query, after=cursor.after, limit=_MAX_ENTRIES)
    numbers = [int(extract_column_facts(entry.facts)["shot"] or 0) for entry in page.entries]
    if not numbers:
        return _ShotPage({}, _ShotCursor(cursor.max_shot, page.after) if page.after else None)
    last = numbers[-1]
    complete = [number for number in numbers if number != last] if page.after and last != numbers[0] else numbers
    shots: dict[_ShotKey, list[Entry]] = {}
    for number, entry in zip(complete, page.entries, strict=False):
        if len(shots) >= limit and number < min(other for _, other in shots):
            return _ShotPage(shots, _ShotCursor(number))
        shots.setdefault((str(entry.facts.get("facility", "")), number), []).append(entry)
    if page.after is None:
        return _ShotPage(shots, None)
    return _ShotPage(shots, _ShotCursor(last if len(complete) < len(numbers) else last - 1))


def _create_shot_term(min_shot: int | None, max_shot: int) -> Term:
    return Term("shot", (TextRange(None if min_shot is None else str(min_shot), str(max_shot)),))


def _build_links(request: HttpRequest, facility: str, shot: int) -> dict[str, str]:
    if not facility:
        return {"images": build_resource_url(request, "images", q=f"shot:{shot}")}
    own = f"{get_api_url(request)}/shots/{quote_path(format_facility_segment(facility))}/{shot}"
    query = SearchQuery((_create_shot_term(shot, shot), Term("facility", (Pattern(facility, is_quoted=True),))))
    return {"self": own, "package": f"{own}/package", "images": build_resource_url(request, "images", q=str(query))}
