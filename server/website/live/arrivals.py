"""The images of the newest shot: those that have arrived, and those that are expected, with their usual delays.

An image arrives when its file is written. The catalog knows that moment from its inspection, so no file is opened here.
A file that was written days after its shot, such as one that was copied to another disk, tells no moment of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median, quantiles
from typing import Final

from shotdap.catalog import Catalog, Entry
from shotdap.catalog.index.search.visibility import read_laboratory_time
from shotdap.catalog.query import Pattern, Term
from shotdap.server.api.shot_listing import ShotKey, create_shot_term, find_shot, read_latest_shots
from shotdap.server.http.request import HttpRequest
from shotdap.server.pages.formatting import format_elapsed, parse_date
from shotdap.server.website.image_cards import (
    ImageCard,
    build_image_card,
    build_shot_url,
    get_diagnostic,
    rank_entry,
)

_RECENT_SHOTS: Final = 5
_SHOTS_WITH: Final = 3  # of the recent ones, from which on a diagnostic is expected
_EARLIER_SHOTS: Final = 20  # from which the usual delays are computed
_DELAYS_FOR_LATENESS: Final = 8
_LATE_PERCENTILE: Final = 95
_QUIET: Final = timedelta(minutes=15)  # after the last image, from which on nothing is arriving any more
_LONGEST_DELAY: Final = timedelta(days=1)
_CLOCK_DIFFERENCE: Final = timedelta(minutes=1)  # between the clocks of the archive and of the laboratory


@dataclass(frozen=True)
class Arrival:
    """A diagnostic of a shot that has arrived, or is expected."""

    diagnostic: str
    card: ImageCard | None = None
    """Of its image; `None` as long as it has not arrived."""
    moment: datetime | None = None
    """When its file was written, in the laboratory's time; `None` if that is not known."""
    delay: str = ""
    """The time since the shot at which it arrived; empty if it is not known."""
    usual_delay: str = ""
    """The median of earlier shots; empty if it is not known."""
    lateness: str = ""
    """How long after it usually arrives; empty if it is not late."""

    @property
    def timestamp(self) -> int | None:
        """The moment in seconds since 1970."""
        return None if self.moment is None else int(self.moment.timestamp())


@dataclass(frozen=True)
class ArrivingShot:
    """A shot with what has arrived of it, and what is expected."""

    facility: str
    number: int
    url: str
    date: str
    """As in the archive's rows; empty if they have none."""
    arrived: Sequence[Arrival]
    """The newest first; those whose moment is not known come last."""
    awaited: Sequence[Arrival]
    """In the order of their names."""
    now: datetime

    @property
    def shot_moment(self) -> datetime | None:
        """The moment of the shot; `None` if it is not known."""
        return _parse_shot_date(self.date)

    @property
    def age(self) -> timedelta | None:
        """The time since the shot, if it is a new one."""
        age = None if self.shot_moment is None else self.now - self.shot_moment
        return age if age is not None and timedelta() <= age < _LONGEST_DELAY else None

    @property
    def timestamp(self) -> int | None:
        """The moment of the shot in seconds since 1970, if it is a new one."""
        return None if self.shot_moment is None or self.age is None else int(self.shot_moment.timestamp())

    @cached_property
    def last_moment(self) -> datetime | None:
        """The moment at which the last image arrived."""
        return max((each.moment for each in self.arrived if each.moment), default=None)

    @property
    def is_arriving(self) -> bool:
        """True from the first image of a new shot until it is complete, or 15 minutes after its last image."""
        if self.age is None or self.last_moment is None or not self.awaited:
            return False
        return self.now - self.last_moment < _QUIET

    @property
    def count(self) -> int:
        """The number of diagnostics that have arrived or are expected."""
        return len(self.arrived) + len(self.awaited)

    def find(self, diagnostic: str) -> Arrival | None:
        """Return what is known of a diagnostic; `None` if it has not arrived, and is not expected."""
        return next((each for each in (*self.arrived, *self.awaited) if each.diagnostic == diagnostic), None)


def find_arriving_shot(
    request: HttpRequest, catalog: Catalog, shots: Mapping[ShotKey, Sequence[Entry]]
) -> ArrivingShot | None:
    """Return the newest of some shots if its images are arriving now.

    Args:
        request: with the path at which the application is mounted.
        catalog: as the reader sees it.
        shots: the latest ones, the newest first; only if the first one is of today, the catalog is searched.
    """
    now = read_laboratory_time()
    for (facility, number), entries in shots.items():
        dates = [_parse_shot_date(str(each.facts.get("date", ""))) for each in entries]
        if not any(date and now - date < _LONGEST_DELAY for date in dates):
            break
        shot = read_arriving_shot(request, catalog, facility, number)
        return shot if shot.is_arriving else None
    return None


def read_newest_shot(request: HttpRequest, catalog: Catalog, terms: tuple[Term, ...]) -> ArrivingShot | None:
    """Read the newest shot that matches terms, such as that for a facility; `None` if there is none."""
    for facility, shot in read_latest_shots(catalog, terms, 1):
        return read_arriving_shot(request, catalog, facility, shot)
    return None


def read_arriving_shot(request: HttpRequest, catalog: Catalog, facility: str, shot: int) -> ArrivingShot:
    """Read a shot with what has arrived of it, and what the shots before let expect.

    Args:
        request: with the path at which the application is mounted.
        catalog: as the reader sees it.
        facility: as in the archive's rows.
        shot: its number.

    Raises:
        NotFound: no image of it exists.
    """
    entries, now = find_shot(catalog, facility, shot), read_laboratory_time()
    own = Term("facility", (Pattern(facility, is_quoted=True),))
    earlier = read_latest_shots(catalog, (own, create_shot_term(None, shot - 1)), _EARLIER_SHOTS)
    by_diagnostic = _choose_entries(entries)
    delays = _collect_delays(earlier)
    fired = min((str(each.facts["date"]) for each in entries if each.facts.get("date")), default="")
    since = None if (moment := _parse_shot_date(fired)) is None else now - moment
    arrived, awaited = [], []
    for name in sorted(find_expected_diagnostics(earlier) | set(by_diagnostic)):
        entry, usual = by_diagnostic.get(name), delays.get(name, ())
        usual_delay = format_elapsed(median(usual)) if usual else ""
        if entry is None:
            awaited.append(Arrival(name, usual_delay=usual_delay, lateness=_describe_lateness(usual, since)))
            continue
        delay = compute_delay(entry)
        written = None if delay is None else _read_file_moment(entry)
        card = build_image_card(request, catalog, entry)
        arrived.append(Arrival(name, card, written, "" if delay is None else format_elapsed(delay.total_seconds())))
    arrived.sort(key=lambda each: each.moment.timestamp() if each.moment else 0.0, reverse=True)
    return ArrivingShot(facility, shot, build_shot_url(request, facility, shot), fired, arrived, awaited, now)


def find_expected_diagnostics(earlier: Mapping[ShotKey, Sequence[Entry]]) -> frozenset[str]:
    """Return the diagnostics that at least three of the last five shots had.

    Args:
        earlier: shots before the one that is arriving, the newest first.
    """
    recent = list(earlier.values())[:_RECENT_SHOTS]
    counts = Counter(name for entries in recent for name in {get_diagnostic(each) for each in entries})
    return frozenset(name for name, count in counts.items() if name and count >= _SHOTS_WITH)


def compute_delay(entry: Entry) -> timedelta | None:
    """Compute the time between a shot and the writing of a file; `None` if it is not known, or was a copy of later."""
    written, fired = _read_file_moment(entry), _parse_shot_date(str(entry.facts.get("date", "")))
    if written is None or fired is None:
        return None
    delay = written - fired
    return max(delay, timedelta()) if -_CLOCK_DIFFERENCE <= delay < _LONGEST_DELAY else None


def _parse_shot_date(text: str) -> datetime | None:
    """Parse a date of the archive, which is in the laboratory's time whatever zone it names."""
    moment = parse_date(text)
    return None if moment is None else moment.replace(tzinfo=None)


def _read_file_moment(entry: Entry) -> datetime | None:
    """Return the time stamp of the file of an entry in the laboratory's time; `None` before its first inspection."""
    inspection = entry.last_good_inspection
    return None if inspection is None else datetime.fromtimestamp(inspection.modified / 1e9)  # noqa: DTZ006 — as dates are


def _choose_entries(entries: Sequence[Entry]) -> Mapping[str, Entry]:
    """Choose the entry of each diagnostic of a shot that is shown."""
    return {
        get_diagnostic(each): each for each in sorted(entries, key=rank_entry, reverse=True) if get_diagnostic(each)
    }


def _collect_delays(shots: Mapping[ShotKey, Sequence[Entry]]) -> Mapping[str, Sequence[float]]:
    """Collect the delays of each diagnostic in some shots, in seconds."""
    delays: dict[str, list[float]] = {}
    for entries in shots.values():
        for name, entry in _choose_entries(entries).items():
            delay = compute_delay(entry)
            if delay is not None:
                delays.setdefault(name, []).append(delay.total_seconds())
    return delays


def _describe_lateness(delays: Sequence[float], since: timedelta | None) -> str:
    """Describe by how much something is late that usually has some delays; empty if it is not, or not known."""
    if len(delays) < _DELAYS_FOR_LATENESS or since is None or not timedelta() <= since < _LONGEST_DELAY:
        return ""
    limit = quantiles(delays, n=100, method="inclusive")[_LATE_PERCENTILE - 1]
    late = since.total_seconds() - limit
    return format_elapsed(late) if late > 0 else ""
