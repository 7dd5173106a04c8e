"""Shots of a catalog, which has no table of them.

A page of shots comes from a search in descending order of shot numbers, whose entries are grouped by facility and
number. The last number of a search is left to the next page, as more of its images may follow.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from shotdap.catalog import BadToken, Catalog, Entry, NotFound
from shotdap.catalog.index.records import extract_column_facts
from shotdap.catalog.query import Pattern, Query, Term, TextRange
from shotdap.server.api.facility_names import create_facility_term

MAX_SHOT: Final = 10**18 - 1
"""The largest number of a shot in a query."""

_MAX_ENTRIES: Final = 1000  # of one search
_NEIGHBOUR_IMAGES: Final = 16
_SPANS: Final = (100, 10_000, MAX_SHOT // 2)  # ranges of numbers in which the next shot is sought

ShotKey: TypeAlias = tuple[str, int]
"""Facility and number."""


@dataclass(frozen=True)
class ShotCursor:
    """Start of a page of shots."""

    max_shot: int = MAX_SHOT
    """The largest number of a shot in the page."""
    after: str | None = None
    """Cursor of the search for these shots."""

    def __str__(self) -> str:
        return urlsafe_b64encode(json.dumps([self.max_shot, self.after]).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str | None) -> ShotCursor:
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
        if type(max_shot) is not int or abs(max_shot) > MAX_SHOT or not isinstance(after, str | None):
            raise BadToken("This is no cursor of a page of shots.")
        return cls(max_shot, after)


@dataclass(frozen=True)
class ShotPage:
    """Some shots with their images, and the start of the next page."""

    shots: Mapping[ShotKey, Sequence[Entry]]
    next_cursor: ShotCursor | None


def read_shot_page(catalog: Catalog, terms: tuple[Term, ...], cursor: ShotCursor, limit: int) -> ShotPage:
    """Read a page of shots that match terms, the greatest number first; at most `limit` of them."""
    query = Query((create_shot_term(None, cursor.max_shot), *terms))
    page = catalog.search(query, after=cursor.after, limit=_MAX_ENTRIES)
    numbers = [int(extract_column_facts(entry.facts)["shot"] or 0) for entry in page.entries]
    if not numbers:
        return ShotPage({}, ShotCursor(cursor.max_shot, page.after) if page.after else None)
    last = numbers[-1]
    complete = [number for number in numbers if number != last] if page.after and last != numbers[0] else numbers
    shots: dict[ShotKey, list[Entry]] = {}
    for number, entry in zip(complete, page.entries, strict=False):
        if len(shots) >= limit and number < min(other for _, other in shots):
            return ShotPage(shots, ShotCursor(number))
        shots.setdefault((str(entry.facts.get("facility", "")), number), []).append(entry)
    if page.after is None:
        return ShotPage(shots, None)
    return ShotPage(shots, ShotCursor(last if len(complete) < len(numbers) else last - 1))


def find_shot(catalog: Catalog, facility: str, shot: int) -> Sequence[Entry]:
    """Return the images of a shot in the order of their paths; of more than 1,000 the newest.

    Args:
        catalog: has them.
        facility: its name, or the segment of URLs for it.
        shot: its number.

    Raises:
        NotFound: there is no such facility, or no image of the shot.
    """
    terms = (create_shot_term(shot, shot), create_facility_term(catalog, facility))
    entries = catalog.search(Query(terms), limit=_MAX_ENTRIES).entries
    if not entries:
        raise NotFound(f"There is no image of shot {shot} of {facility!r}.")
    return sorted(entries, key=lambda each: each.path)


def read_latest_shots(catalog: Catalog, terms: tuple[Term, ...], limit: int) -> Mapping[ShotKey, Sequence[Entry]]:
    """Read the shots with the newest images, the newest first; the oldest one read may miss some of its images.

    A shot whose images have no number is left out.
    """
    page = catalog.search(Query(terms), limit=_MAX_ENTRIES)
    shots: dict[ShotKey, list[Entry]] = {}
    for entry in page.entries:
        number = extract_column_facts(entry.facts)["shot"]
        if number is None:
            continue
        key = str(entry.facts.get("facility", "")), int(number)
        if key in shots or len(shots) <= limit:
            shots.setdefault(key, []).append(entry)
    return dict(list(shots.items())[:limit])


def find_neighbours(catalog: Catalog, facility: str, shot: int, *terms: Term) -> Sequence[Sequence[Entry]]:
    """Return images of the shot before, and of the next one, of the same facility; at least one of each that exists.

    Args:
        catalog: has them.
        facility: its name, as in the archive's rows.
        shot: the number of the shot.
        terms: further conditions on the images, such as their diagnostic.
    """
    own = Term("facility", (Pattern(facility, is_quoted=True),))
    before = catalog.search(Query((create_shot_term(None, shot - 1), own, *terms)), limit=_NEIGHBOUR_IMAGES).entries
    after: Sequence[Entry] = ()
    for last in (shot + span for span in _SPANS):  # a search has the greatest number first: so the range must be small
        page = catalog.search(Query((create_shot_term(shot + 1, last), own, *terms)), limit=_MAX_ENTRIES)
        while page.entries and page.after is not None:
            after, least = page.entries, int(page.entries[-1].facts["shot"])
            page = catalog.search(Query((create_shot_term(shot + 1, least - 1), own, *terms)), limit=_MAX_ENTRIES)
        after = page.entries or after
        if after:
            break
    return _keep_shot(before), _keep_shot(after[::-1])


def _keep_shot(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the entries of the same shot as the first."""
    return [each for each in entries if each.facts.get("shot") == entries[0].facts.get("shot")]


def create_diagnostic_term(name: str) -> Term:
    """Create the search term for the images of a diagnostic."""
    return Term("diagnostic", (Pattern(name, is_quoted=True),))


def create_shot_term(min_shot: int | None, max_shot: int) -> Term:
    """Create the search term for a range of shots, both ends included."""
    return Term("shot", (TextRange(None if min_shot is None else str(min_shot), str(max_shot)),))
