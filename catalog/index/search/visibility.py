"""Which entries of a catalog a reader may see: a test of an entry, and the same test as a condition of SQL.

Both decide alike, for every entry: what SQL cannot decide exactly in both databases is no condition here. Facts are
compared with their capitals, as text: facts are stored as JSON as Python writes it, so that the stored text contains
``, "campaign": "DRACO"`` if and only if the row has that fact (see `search.fact_predicates`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

import sqlalchemy as sa

from shotdap.catalog.entry import Entry, Fact
from shotdap.catalog.index.records import FACT_PARSERS
from shotdap.catalog.index.search.range_predicates import make_range_conditions
from shotdap.catalog.index.search.sql_functions import contains, text_after
from shotdap.catalog.index.tables import ENTRIES, PAST_ENTRIES
from shotdap.catalog.query.values import Range

WILDCARD: Final = "*"
"""At the end of a text: any text that begins so."""

_FACTS_TEXTS: Final = {table: sa.cast(table.c.facts, sa.Text) for table in (ENTRIES, PAST_ENTRIES)}
_FACT_STARTS: Final = ("{", ", ")  # before the name of a fact in the stored text
_FINGERPRINT_LENGTH: Final = 16
_DATE_LENGTH: Final = 10  # of ``2026-11-30``
_FIRST_DATE: Final = "1000"
_BEYOND_SLASH: Final = chr(ord("/") + 1)
_Condition: TypeAlias = sa.ColumnElement[bool]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Grant:
    """Conditions on an entry, all of which must hold; without any, all entries are granted."""

    facts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """For each name the texts that the fact may have; `WILDCARD` may end one."""
    paths: tuple[str, ...] = ()
    """Folders or images: the entry is one of them, or below one."""
    shots: tuple[int | None, int | None] = (None, None)
    """The first and the last shot; an entry without a shot is in no range."""
    dates: tuple[str | None, str | None] = (None, None)
    """The first moment, and the first one after the range, in ISO 8601; an entry without a date is in no range."""
    embargo_days: int | None = None
    """Days after its date before which an entry is not seen; one without a date is never seen."""
    embargo_fact: str = ""
    """A fact with the first day, in ISO 8601, on which the entry is seen; without a day there it is never seen."""

    def allows(self, entry: Entry, now: datetime) -> bool:
        """Check whether an entry fulfils all conditions at a moment of the laboratory's time."""
        return (
            all(_has_text(entry.facts.get(name), texts) for name, texts in self.facts)
            and (not self.paths or any(f"{entry.path}/".startswith(f"{path}/") for path in self.paths))
            and (self.shots == (None, None) or FACT_PARSERS["shot"](entry.facts.get("shot")) in self._shot_range)
            and (self.dates == (None, None) or FACT_PARSERS["date"](entry.facts.get("date")) in self._date_range)
            and (
                self.embargo_days is None
                or FACT_PARSERS["date"](entry.facts.get("date")) in Range(None, self._format_limit(now))
            )
            and (not self.embargo_fact or _has_passed(entry.facts.get(self.embargo_fact), now))
        )

    def build_conditions(self, now: datetime, table: sa.Table) -> Iterator[_Condition]:
        """Yield the same conditions on a table of entries."""
        facts = _FACTS_TEXTS[table]
        for name, texts in self.facts:
            alternatives = (condition for text in texts for condition in _build_fact_conditions(facts, name, text))
            yield sa.or_(sa.false(), *alternatives)
            if name in ("facility", "diagnostic") and not any(text.endswith(WILDCARD) for text in texts):
                yield table.c[name].in_([FACT_PARSERS[name](text) for text in texts])  # an index has it
        if self.paths:
            own = table.c.path
            yield sa.or_(
                *(own == path for path in self.paths),
                *(sa.and_(own > f"{path}/", own < f"{path}{_BEYOND_SLASH}") for path in self.paths),
            )
        if self.shots != (None, None):
            yield from (table.c.shot.is_not(None), *make_range_conditions(table.c.shot, self._shot_range))
        if self.dates != (None, None):
            yield from (table.c.date.is_not(None), *make_range_conditions(table.c.date, self._date_range))
        if self.embargo_days is not None:
            yield table.c.date < self._format_limit(now)
        if self.embargo_fact:
            yield sa.or_(*_build_passed_conditions(facts, self.embargo_fact, now))

    def build_release_conditions(self, since: datetime, now: datetime) -> Iterator[_Condition]:
        """Yield alternative conditions on the table of entries, for those whose embargo ended between two moments.

        They may hold for more: they only save the exact conditions from being tested for all entries.
        """
        if self.embargo_days is not None:
            yield sa.and_(ENTRIES.c.date >= self._format_limit(since), ENTRIES.c.date < self._format_limit(now))
        if self.embargo_fact and since.date() != now.date():
            yield from _build_passed_conditions(_FACTS_TEXTS[ENTRIES], self.embargo_fact, now)

    def may_lead_to(self, folder: str) -> bool:
        """Check whether the paths allow entries below a folder."""
        below = f"{folder}/" if folder else ""
        return not self.paths or any(
            f"{path}/".startswith(below) or below.startswith(f"{path}/") for path in self.paths
        )

    @property
    def _shot_range(self) -> Range[int]:
        first, last = self.shots
        return Range(first, None if last is None else last + 1)

    @property
    def _date_range(self) -> Range[str]:
        return Range(*self.dates)

    def _format_limit(self, now: datetime) -> str:
        return (now - timedelta(days=self.embargo_days or 0)).isoformat()


@dataclass(frozen=True)
class Visibility:
    """The entries that a reader may see: those that one grant of each level allows; without levels, all.

    A token's restriction is a level beside the rules for its owner, so that it never adds anything.
    """

    levels: tuple[tuple[Grant, ...], ...] = ()

    @property
    def is_everything(self) -> bool:
        """True if all entries may be seen."""
        return not self.levels

    def allows(self, entry: Entry, moment: datetime | None = None) -> bool:
        """Check whether an entry may be seen now, or might be at another moment of the laboratory's time."""
        now = moment or read_laboratory_time()
        return all(any(grant.allows(entry, now) for grant in grants) for grants in self.levels)

    def build_conditions(self, moment: datetime | None = None, table: sa.Table = ENTRIES) -> Iterator[_Condition]:
        """Yield conditions on a table of entries, which hold for those that may be seen now, or at another moment."""
        now = moment or read_laboratory_time()
        for grants in self.levels:
            yield sa.or_(sa.false(), *(sa.and_(sa.true(), *grant.build_conditions(now, table)) for grant in grants))

    def build_release_conditions(self, since: datetime, now: datetime) -> Iterator[_Condition]:
        """Yield conditions for the entries that may be seen now, and could not be before because of an embargo."""
        ended = [
            each for grants in self.levels for grant in grants for each in grant.build_release_conditions(since, now)
        ]
        yield sa.or_(sa.false(), *ended)
        if ended:
            yield from self.build_conditions(now)
            before = sa.and_(sa.true(), *self.build_conditions(since))
            yield sa.not_(sa.func.coalesce(before, sa.false()))  # unknown, as of a date that is missing, is no

    def may_lead_to(self, folder: str) -> bool:
        """Check whether there may be visible entries below a folder, as far as paths tell."""
        return all(any(grant.may_lead_to(folder) for grant in grants) for grants in self.levels)

    def restrict(self, grants: tuple[Grant, ...]) -> Visibility:
        """Return the entries of these that one of some grants allows, too."""
        return Visibility((*self.levels, grants))

    def includes(self, other: Visibility) -> bool:
        """Check whether these are at least the entries of another visibility, as far as their grants tell."""
        return all(any({*theirs} <= {*ours} for theirs in other.levels) for ours in self.levels)

    @property
    def fingerprint(self) -> str:
        """A text that differs if the grants do."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:_FINGERPRINT_LENGTH]

    def to_json(self) -> str:
        """Return the visibility as a JSON document, for another process or a later time; see `from_json`."""
        return json.dumps([[asdict(grant) for grant in grants] for grants in self.levels], sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Visibility:
        """Parse the document that `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is not such a document.
        """
        return Visibility(tuple(tuple(map(_parse_grant, grants)) for grants in json.loads(text)))


def read_laboratory_time() -> datetime:
    """Return the time now as the catalog's dates have it: that of the laboratory, without a zone."""
    return datetime.now()  # noqa: DTZ005 — see above


EVERYTHING: Final = Visibility()
NOTHING: Final = Visibility(((),))


def _parse_grant(document: Mapping[str, Any]) -> Grant:
    return Grant(
        tuple((str(name), tuple(map(str, texts))) for name, texts in document["facts"]),
        tuple(map(str, document["paths"])),
        _parse_pair(document["shots"], int),
        _parse_pair(document["dates"], str),
        document["embargo_days"],
        document["embargo_fact"],
    )


def _parse_pair(bounds: Sequence[Any], convert: Callable[[Any], _T]) -> tuple[_T | None, _T | None]:
    first, last = (None if bound is None else convert(bound) for bound in bounds)
    return first, last


def _has_text(fact: Fact | None, texts: tuple[str, ...]) -> bool:
    return isinstance(fact, str) and any(
        fact.startswith(text.removesuffix(WILDCARD)) if text.endswith(WILDCARD) else fact == text for text in texts
    )


def _build_fact_conditions(facts: sa.ColumnElement[str], name: str, text: str) -> Iterator[_Condition]:
    """Yield alternative conditions on the stored facts, for one text that a fact may have."""
    quoted = json.dumps(text.removesuffix(WILDCARD))
    value = quoted[:-1] if text.endswith(WILDCARD) else quoted
    yield from (contains(facts, f"{start}{json.dumps(name)}: {value}") for start in _FACT_STARTS)


def _has_passed(fact: Fact | None, now: datetime) -> bool:
    """Check whether a fact begins with a day that has come; compared as its stored text is in SQL."""
    day = json.dumps(fact)[1 : _DATE_LENGTH + 1] if isinstance(fact, str) else ""
    return _FIRST_DATE <= day <= now.date().isoformat() and day[4:5] == "-" and day[7:8] == "-"


def _build_passed_conditions(facts: sa.ColumnElement[str], name: str, now: datetime) -> Iterator[_Condition]:
    for start in _FACT_STARTS:
        marker = f'{start}{json.dumps(name)}: "'
        day = text_after(facts, marker, _DATE_LENGTH)
        yield sa.and_(
            contains(facts, marker),
            day >= _FIRST_DATE,
            day <= now.date().isoformat(),
            sa.func.substr(day, 5, 1) == "-",
            sa.func.substr(day, 8, 1) == "-",
        )
