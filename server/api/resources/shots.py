"""Shots: pages of them, and each with its images.

Strategy: the catalog has no table of shots. A page of a search by shot number, which goes from the greatest down, is
gathered by facility and number; the last number of a page, whose images may go on in the next, is left to that one.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from shotdap.catalog import BadToken, Catalog, Entry, NotFound
from shotdap.catalog.index.records import extract_column_facts
from shotdap.catalog.query import Pattern, Term, TextRange
from shotdap.catalog.query import Query as Search
from shotdap.server.api.dependencies import NoParams, PageParams, reject_repeated_params
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

__all__ = ["create_shots_router"]

_MAX_ENTRIES: Final = 1000  # entries of one search
_MAX_SHOT: Final = 10**18 - 1  # of a shot's number, in a query


class _ShotParams(PageParams):
    facility: Annotated[
        str | None, Field(description="Only shots of this facility, as in public paths.", max_length=200)
    ] = None


@dataclass(frozen=True)
class _ShotCursor:
    """Where a page of shots begins."""

    max_shot: int = _MAX_SHOT
    """The greatest number that counts."""
    after: str | None = None
    """Where the search among these goes on."""

    def __str__(self) -> str:
        return urlsafe_b64encode(json.dumps([self.max_shot, self.after]).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str | None) -> _ShotCursor:
        """The place that a cursor says.

        Raises:
            BadToken: it says none.
        """
        if text is None:
            return cls()
        try:
            most, after = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        except (ValueError, TypeError, RecursionError) as error:
            raise BadToken("This is no cursor; each page of shots that another follows has one in next.") from error
        if type(most) is not int or abs(most) > _MAX_SHOT or not isinstance(after, str | None):
            raise BadToken("This is no cursor of a page of shots.")
        return cls(most, after)


def create_shots_router(catalog: Catalog) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(reject_repeated_params)])

    @routes.get(
        "/shots",
        response_model=Shots,
        operation_id="shots",
        summary="A page of shots",
        responses=describe_other_responses(404),
    )
    def list_shots(request: Request, asked: Annotated[_ShotParams, Query()]) -> Response:
        """A page of shots, the greatest number first."""
        of = () if asked.facility is None else (create_facility_term(catalog, asked.facility),)
        page = _read_shot_page(catalog, of, _ShotCursor.decode(asked.cursor), asked.limit)
        following = (
            None
            if page.next_cursor is None
            else build_resource_url(
                request, "shots", facility=asked.facility, cursor=str(page.next_cursor), limit=asked.limit
            )
        )
        lines = [_build_shot_summary(request, *each) for each in page.shots.items()]
        return respond_with_document(request, Shots(lines, following), build_link_header(following))

    @routes.get(
        "/shots/{facility}/{shot}",
        response_model=Shot,
        operation_id="shot",
        summary="A shot with its images",
        responses=describe_other_responses(404),
    )
    def get_shot(
        request: Request,
        facility: Annotated[str, Path(description="As in public paths.", examples=["omega"], min_length=1)],
        shot: Annotated[int, Path(examples=[103741], ge=-_MAX_SHOT, le=_MAX_SHOT)],
        _: Annotated[NoParams, Query()],
    ) -> Response:
        """A shot with its diagnostics and images; of more than 1,000 images the newest, and `images` leads to all."""
        terms = (_create_shot_term(shot, shot), create_facility_term(catalog, facility))
        entries = catalog.search(Search(terms), limit=_MAX_ENTRIES).entries
        if not entries:
            raise NotFound(f"There is no image of shot {shot} of {facility!r}.")
        counts = Counter(str(each.facts.get("diagnostic", "")) for each in entries)
        lines = [build_image_summary(request, each) for each in sorted(entries, key=lambda each: each.path)]
        name = str(entries[0].facts["facility"])
        return respond_with_document(request, Shot(name, shot, dict(counts), lines, _build_links(request, name, shot)))

    return routes


_ShotKey: TypeAlias = tuple[str, int]
"""Facility and number."""


@dataclass(frozen=True)
class _ShotPage:
    """Some shots with their images, and where the next page begins."""

    shots: Mapping[_ShotKey, list[Entry]]
    next_cursor: _ShotCursor | None


def _read_shot_page(catalog: Catalog, of: tuple[Term, ...], place: _ShotCursor, limit: int) -> _ShotPage:
    found = catalog.search(
        Search((_create_shot_term(None, place.max_shot), *of)), after=place.after, limit=_MAX_ENTRIES
    )
    numbers = [_get_shot_number(each) for each in found.entries]
    if not numbers:
        return _ShotPage({}, _ShotCursor(place.max_shot, found.after) if found.after else None)
    last = numbers[-1]
    whole = [number for number in numbers if number != last] if found.after and last != numbers[0] else numbers
    shots: dict[_ShotKey, list[Entry]] = {}
    for number, entry in zip(whole, found.entries, strict=False):
        if len(shots) >= limit and number < min(other for _, other in shots):
            return _ShotPage(shots, _ShotCursor(number))
        shots.setdefault((str(entry.facts.get("facility", "")), number), []).append(entry)
    if found.after is None:
        return _ShotPage(shots, None)
    return _ShotPage(shots, _ShotCursor(last if len(whole) < len(numbers) else last - 1))


def _get_shot_number(entry: Entry) -> int:
    return int(extract_column_facts(entry.facts)["shot"] or 0)


def _create_shot_term(least: int | None, most: int) -> Term:
    return Term("shot", (TextRange(None if least is None else str(least), str(most)),))


def _build_shot_summary(request: Request, shot: _ShotKey, entries: list[Entry]) -> ShotSummary:
    dates = sorted(str(each.facts["date"]) for each in entries if each.facts.get("date"))
    return ShotSummary(*shot, len(entries), dates[0] if dates else None, _build_links(request, *shot))


def _build_links(request: Request, facility: str, shot: int) -> dict[str, str]:
    if not facility:
        return {"images": build_resource_url(request, "images", q=f"shot:{shot}")}
    own = f"{get_api_url(request)}/shots/{quote_path(format_facility_segment(facility))}/{shot}"
    search = Search((_create_shot_term(shot, shot), Term("facility", (Pattern(facility, is_quoted=True),))))
    return {"self": own, "package": f"{own}/package", "images": build_resource_url(request, "images", q=str(search))}
