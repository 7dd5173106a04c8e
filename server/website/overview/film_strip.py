"""Film strip: the images of one diagnostic along the shots of a facility, the newest last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shotdap.catalog import Catalog, Entry
from shotdap.catalog.query import Pattern, Query, Term, TextRange
from shotdap.server.api.facility_names import create_facility_term, format_facility_segment
from shotdap.server.api.shot_listing import MAX_SHOT, create_diagnostic_term, create_shot_term
from shotdap.server.website.image_cards import get_diagnostic, get_facility, get_shot, rank_entry
from shotdap.transforms import MARK, BadSelection, BadVariant, Step, parse_variant

SHOTS: Final = 9
"""The most shots of a strip."""

_MAX_ENTRIES: Final = 200  # of which the shots are taken
_MAX_LATER_ENTRIES: Final = 1000
_SHOT_RANGE: Final = re.compile(r"(?:(\d{1,18})|(\d{1,18})?\.\.(\d{1,18})?)?")
_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_FIRST_SPAN: Final = 16  # numbers of shots in which the next ones are sought; then four times as many, and so on
_SPAN_FACTOR: Final = 4


@dataclass(frozen=True)
class StripParams:
    """The shots that a reader chose; without a choice the newest ones are shown."""

    first: str | None = None
    last: str | None = None
    date: str = ""
    facility: str = ""
    """The segment of URLs for it; empty for that of the newest image."""

    @classmethod
    def parse(cls, shot: str, date: str, facility: str) -> StripParams:
        """Parse the parameters of a page.

        Raises:
            BadSelection: one of them is not valid.
        """
        match = _SHOT_RANGE.fullmatch(shot.strip())
        if match is None or (shot.strip() and not any(match.groups())):
            raise BadSelection(f"shot={shot[:60]!r}: it is a number, or a range such as 103734..103742.")
        if date and not _DATE.fullmatch(date):
            raise BadSelection(f"date={date[:60]!r}: it is a year, a month or a day, such as 2022-03.")
        return cls(match[1] or match[2], match[1] or match[3], date, facility)

    @property
    def is_chosen(self) -> bool:
        """True if the newest images need not be in the strip."""
        return bool(self.first or self.last or self.date)

    def list_terms(self) -> tuple[Term, ...]:
        """List the conditions on images, beside their diagnostic and facility."""
        shots = Term("shot", (TextRange(self.first, self.last),))
        dates = Term("date", (Pattern(self.date),))
        return (*((shots,) if self.first or self.last else ()), *((dates,) if self.date else ()))


@dataclass(frozen=True)
class Strip:
    """The images of a strip."""

    diagnostic: str
    """As the archive spells it; empty if no image was found."""
    facility: str
    images: Sequence[Entry]
    """One of each shot, the newest last."""
    earlier_last: int | None = None
    """The last shot of the strip before; `None` if there is none."""
    later_last: int | None = None
    """The last shot of the next strip; `None` if there is none."""

    @property
    def shots(self) -> tuple[int, int] | None:
        """The first and the last shot; `None` without one."""
        numbers = [number for each in self.images if (number := get_shot(each)) is not None]
        return (min(numbers), max(numbers)) if numbers else None

    @property
    def folder(self) -> str:
        """The public folder of all its images; empty if there is no common one."""
        folder = format_facility_segment(self.facility) if self.facility else ""
        return folder if folder and all(each.path.startswith(f"{folder}/") for each in self.images) else ""

    @property
    def stack_path(self) -> str:
        """The public path of the stack of all images of these shots; empty if a path cannot say it."""
        if self.shots is None or not self.folder:
            return ""
        first, last = self.shots
        step = Step("stack", {"diagnostic": self.diagnostic, "shot": f"{first}_{last}"})
        try:
            is_exact = parse_variant(f"{MARK}{step}") == (step,)
        except BadVariant:
            return ""
        return f"{self.folder}/{MARK}{step}" if is_exact else ""

    @property
    def query(self) -> str:
        """The query for all images of these shots."""
        terms = [create_diagnostic_term(self.diagnostic)]
        if self.facility:
            terms.append(Term("facility", (Pattern(self.facility, is_quoted=True),)))
        if self.shots is not None:
            terms.append(create_shot_term(*self.shots))
        return str(Query(tuple(terms)))


def read_strip(catalog: Catalog, diagnostic: str, params: StripParams) -> Strip:
    """Read the images of a diagnostic that a strip shows: of the newest shots that were chosen.

    Each search is a range of an index: of diagnostic and shot, or of facility, diagnostic and date.

    Raises:
        NotFound: there is no such facility.
    """
    terms: tuple[Term, ...] = (create_diagnostic_term(diagnostic),)
    if params.facility:
        terms = (*terms, create_facility_term(catalog, params.facility))
    newest = next(iter(catalog.search(Query((*terms, *params.list_terms())), limit=1).entries), None)
    if newest is None:
        return Strip("", "", ())
    facility = get_facility(newest)
    if facility:
        terms = (terms[0], Term("facility", (Pattern(facility, is_quoted=True),)))
    page = catalog.search(Query((*terms, *params.list_terms())), limit=_MAX_ENTRIES)
    shots: dict[int | str, list[Entry]] = {}
    for entry in page.entries:
        number = get_shot(entry)
        shots.setdefault(entry.path if number is None else number, []).append(entry)
    chosen = [min(entries, key=rank_entry) for entries in list(shots.values())[:SHOTS]]
    strip = Strip(get_diagnostic(newest), facility, chosen[::-1])
    if strip.shots is None:
        return strip
    first, last = strip.shots
    is_rest = page.after is not None or len(shots) > SHOTS or params.is_chosen
    has_earlier = is_rest and bool(catalog.search(Query((*terms, create_shot_term(None, first - 1))), limit=1).entries)
    later = _find_later(catalog, terms, last) if params.is_chosen else None
    return Strip(strip.diagnostic, facility, strip.images, first - 1 if has_earlier else None, later)


def _find_later(catalog: Catalog, terms: tuple[Term, ...], last: int) -> int | None:
    """Find the shot with which the next strip ends.

    A search has the greatest number first, so the range of numbers must be small at first.
    """
    span = _FIRST_SPAN
    while True:
        end = min(last + span, MAX_SHOT)
        page = catalog.search(Query((*terms, create_shot_term(last + 1, end))), limit=_MAX_LATER_ENTRIES)
        numbers = sorted({number for each in page.entries if (number := get_shot(each)) is not None})
        if len(numbers) >= SHOTS or page.after is not None or end == MAX_SHOT:
            return numbers[:SHOTS][-1] if numbers else None
        span *= _SPAN_FACTOR
