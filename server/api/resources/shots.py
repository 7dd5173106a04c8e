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
from shotdap.catalog.index.records import promoted
from shotdap.catalog.query import Pattern, Span, Term
from shotdap.catalog.query import Query as Search
from shotdap.server.api.dependencies import Nothing, Paged, single
from shotdap.server.api.entry_document import image_line
from shotdap.server.api.facility_names import of_facility, spelled
from shotdap.server.api.problem_details import others
from shotdap.server.api.responses import api_url, document, linked, page_url, quoted
from shotdap.server.api.schemas import Shot, ShotLine, Shots

__all__ = ["router"]

_MOST: Final = 1000  # entries of one search
_GREATEST: Final = 10**18 - 1  # of a shot's number, in a query


class _Asked(Paged):
    facility: Annotated[
        str | None, Field(description="Only shots of this facility, as in public paths.", max_length=200)
    ] = None


@dataclass(frozen=True)
class _Place:
    """Where a page of shots begins."""

    most: int = _GREATEST
    """The greatest number that counts."""
    after: str | None = None
    """Where the search among these goes on."""

    def __str__(self) -> str:
        return urlsafe_b64encode(json.dumps([self.most, self.after]).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str | None) -> _Place:
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
        if type(most) is not int or abs(most) > _GREATEST or not isinstance(after, str | None):
            raise BadToken("This is no cursor of a page of shots.")
        return cls(most, after)


def router(catalog: Catalog) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(single)])

    @routes.get("/shots", response_model=Shots, operation_id="shots", summary="A page of shots", responses=others(404))
    def shots(request: Request, asked: Annotated[_Asked, Query()]) -> Response:
        """A page of shots, the greatest number first."""
        of = () if asked.facility is None else (of_facility(catalog, asked.facility),)
        page = _page(catalog, of, _Place.read(asked.cursor), asked.limit)
        following = (
            None
            if page.then is None
            else page_url(request, "shots", facility=asked.facility, cursor=str(page.then), limit=asked.limit)
        )
        lines = [_line(request, *each) for each in page.shots.items()]
        return document(request, Shots(lines, following), linked(following))

    @routes.get(
        "/shots/{facility}/{shot}",
        response_model=Shot,
        operation_id="shot",
        summary="A shot with its images",
        responses=others(404),
    )
    def shot(
        request: Request,
        facility: Annotated[str, Path(description="As in public paths.", examples=["omega"], min_length=1)],
        shot: Annotated[int, Path(examples=[103741], ge=-_GREATEST, le=_GREATEST)],
        _: Annotated[Nothing, Query()],
    ) -> Response:
        """A shot with its diagnostics and images; of more than 1,000 images the newest, and `images` leads to all."""
        terms = (_numbers(shot, shot), of_facility(catalog, facility))
        entries = catalog.search(Search(terms), limit=_MOST).entries
        if not entries:
            raise NotFound(f"There is no image of shot {shot} of {facility!r}.")
        counts = Counter(str(each.facts.get("diagnostic", "")) for each in entries)
        lines = [image_line(request, each) for each in sorted(entries, key=lambda each: each.path)]
        name = str(entries[0].facts["facility"])
        return document(request, Shot(name, shot, dict(counts), lines, _links(request, name, shot)))

    return routes


_Key: TypeAlias = tuple[str, int]
"""Facility and number."""


@dataclass(frozen=True)
class _Page:
    """Some shots with their images, and where the next page begins."""

    shots: Mapping[_Key, list[Entry]]
    then: _Place | None


def _page(catalog: Catalog, of: tuple[Term, ...], place: _Place, limit: int) -> _Page:
    found = catalog.search(Search((_numbers(None, place.most), *of)), after=place.after, limit=_MOST)
    numbers = [_number(each) for each in found.entries]
    if not numbers:
        return _Page({}, _Place(place.most, found.after) if found.after else None)
    last = numbers[-1]
    whole = [number for number in numbers if number != last] if found.after and last != numbers[0] else numbers
    shots: dict[_Key, list[Entry]] = {}
    for number, entry in zip(whole, found.entries, strict=False):
        if len(shots) >= limit and number < min(other for _, other in shots):
            return _Page(shots, _Place(number))
        shots.setdefault((str(entry.facts.get("facility", "")), number), []).append(entry)
    if found.after is None:
        return _Page(shots, None)
    return _Page(shots, _Place(last if len(whole) < len(numbers) else last - 1))


def _number(entry: Entry) -> int:
    return int(promoted(entry.facts)["shot"] or 0)


def _numbers(least: int | None, most: int) -> Term:
    return Term("shot", (Span(None if least is None else str(least), str(most)),))


def _line(request: Request, shot: _Key, entries: list[Entry]) -> ShotLine:
    dates = sorted(str(each.facts["date"]) for each in entries if each.facts.get("date"))
    return ShotLine(*shot, len(entries), dates[0] if dates else None, _links(request, *shot))


def _links(request: Request, facility: str, shot: int) -> dict[str, str]:
    if not facility:
        return {"images": page_url(request, "images", q=f"shot:{shot}")}
    own = f"{api_url(request)}/shots/{quoted(spelled(facility))}/{shot}"
    search = Search((_numbers(shot, shot), Term("facility", (Pattern(facility, quoted=True),))))
    return {"self": own, "package": f"{own}/package", "images": page_url(request, "images", q=str(search))}
