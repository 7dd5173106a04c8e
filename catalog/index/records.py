"""Entries as rows of the catalog's tables, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.entry import Entry, Examination, Fact, Health
from shotdap.catalog.index.fulltext import words_of
from shotdap.catalog.index.tables import ENTRIES, all_written, written

__all__ = [
    "ENTRY",
    "LONGEST",
    "PROMOTED",
    "Draft",
    "Kind",
    "Record",
    "Verdict",
    "attributes",
    "draft",
    "drafted",
    "entry_from",
    "entry_of",
    "kind_of",
    "promoted",
    "row_of",
    "stamp",
    "stored",
]

Kind: TypeAlias = tuple[str, str, str, str]
"""What entries are counted by: facility, diagnostic, year, health. What is unknown is an empty text."""

_HEALTHS: Final = {health.value: health for health in Health}
_VALUES: Final = {health: health.value for health in Health}  # until Python 3.12, ``.value`` takes six times as long
LONGEST: Final = 200
"""Characters of an attribute, or a column, that count; an index of PostgreSQL holds 2,700 bytes."""
_GREATEST: Final = 2**63 - 1  # of a database's integers
_JSON: Final = json.JSONEncoder(check_circular=False).encode  # facts hold nothing that could be a circle


@dataclass(frozen=True)
class Record:
    """An entry, and the key of the archive's row that it was made of."""

    key: str
    entry: Entry


@dataclass(frozen=True)
class Verdict:
    """What an inspection found of one entry."""

    health: Health
    reason: str = ""
    seen: Examination | None = None


class Draft(NamedTuple):
    """An entry that is to be written, and all that follows from it; no database is needed for that.

    It has what the entry consists of and not the entry, because a build makes one for each row.
    """

    key: str
    path: str
    file: str
    facts: Mapping[str, Fact]
    said: str
    """The facts as JSON."""
    stamp: int
    facility: str | None
    shot: int | None
    date: str | None
    diagnostic: str | None
    words: str
    health: Health
    reason: str
    seen: Examination | None = None

    @property
    def entry(self) -> Entry:
        """The entry itself."""
        return Entry(self.path, self.file, self.facts, self.health, self.reason, self.seen)

    @property
    def kind(self) -> Kind:
        """What it is counted under."""
        return self.facility or "", self.diagnostic or "", (self.date or "")[:4], _VALUES[self.health]

    def at(self, path: str) -> Draft:
        """The same under another path."""
        return self._replace(path=path, words=words_of(path, self.facts))


def draft(key: str, path: str, file: str, facts: Mapping[str, Fact], fault: tuple[Health, str]) -> Draft:
    """An entry of which no file was looked at, by what it consists of, and what follows from it."""
    said = _JSON(facts if isinstance(facts, dict) else dict(facts))
    return Draft(
        key,
        path,
        file,
        facts,
        said,
        _hash(file, said),
        _text(facts.get("facility")),
        _number(facts.get("shot")),
        _moment(facts.get("date")),
        _text(facts.get("diagnostic")),
        words_of(path, facts),
        *fault,
    )


def drafted(record: Record) -> Draft:
    """A record, and what follows from it."""
    entry = record.entry
    fresh = draft(record.key, entry.path, entry.file, entry.facts, (entry.health, entry.reason))
    return fresh._replace(seen=entry.seen)


def stored(record: Draft, number: int, folder: int) -> tuple[Any, ...]:
    """A new row of ``entries``, in the order of its columns, each value as the database keeps it."""
    key, path, file, _, said, stamp, facility, shot, date, diagnostic, _, health, reason, seen = record
    key, path, file, reason = all_written((key, path, file, reason))
    return (
        number,
        key,
        path,
        folder,
        path.rpartition("/")[2],
        file,
        said,
        stamp,
        facility and written(facility),
        shot,
        date,
        diagnostic and written(diagnostic),
        _VALUES[health],
        reason,
        json.dumps(asdict(seen)) if seen else None,
        number,
    )


ENTRY: Final = (
    ENTRIES.c.path, ENTRIES.c.file, ENTRIES.c.facts, ENTRIES.c.health, ENTRIES.c.reason, ENTRIES.c.seen,
)  # fmt: skip
"""The columns that an entry is made of."""


def entry_from(values: Sequence[Any]) -> Entry:
    """The entry that the values of `ENTRY`, in that order, tell of."""
    path, file, facts, health, reason, seen = values
    return Entry(path, file, facts, _HEALTHS[health], reason, Examination(**seen) if seen else None)


def entry_of(row: sa.RowMapping) -> Entry:
    """The entry that a row of ``entries`` tells of."""
    return entry_from([row[column.name] for column in ENTRY])


def row_of(record: Record, number: int, change: int, folder: int) -> dict[str, Any]:
    """What ``entries`` says of a record, under its number."""
    entry = record.entry
    facts = entry.facts
    return {
        "id": number,
        "key": record.key,
        "path": entry.path,
        "folder": folder,
        "name": entry.path.rpartition("/")[2],
        "file": entry.file,
        "facts": facts if isinstance(facts, dict) else dict(facts),
        "stamp": stamp(entry),
        **promoted(facts),
        "health": entry.health.value,
        "reason": entry.reason,
        "seen": asdict(entry.seen) if entry.seen else None,
        "change": change,
    }


def stamp(entry: Entry) -> int:
    """A number that is another one whenever an entry's file or facts are: 64 bits of BLAKE2b, as a signed integer."""
    return _hash(entry.file, _JSON(dict(entry.facts)))


def _hash(file: str, facts: str) -> int:
    said = f"{file}\0{facts}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), signed=True)


def promoted(facts: Mapping[str, Fact]) -> dict[str, str | int | None]:
    """The facts that have columns of their own, as those have them."""
    return {name: read(facts.get(name)) for name, read in PROMOTED.items()}


def kind_of(row: Mapping[str, Any] | sa.RowMapping) -> Kind:
    """What a row of ``entries`` is counted under."""
    return row["facility"] or "", row["diagnostic"] or "", (row["date"] or "")[:4], row["health"]


def attributes(entry: int, date: str | None, seen: Examination) -> list[dict[str, Any]]:
    """The rows of ``attributes`` that an examination of an entry makes, given its id and date."""
    return [
        {"entry": entry, "name": name, "text": text, "number": _real(text), "date": date}
        for name, values in seen.attributes.items()
        for text in dict.fromkeys(value[:LONGEST] for value in values)
    ]


def _text(value: Fact | None) -> str | None:
    return None if value is None else str(value)[:LONGEST]


def _number(value: Fact | None) -> int | None:
    """A shot's number, also where the archive keeps it as text or as a float."""
    if type(value) is int and abs(value) <= _GREATEST:
        return value
    try:
        number = int(value) if value is not None and float(value) == int(value) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) <= _GREATEST else None


@lru_cache(4096)
def _moment(value: Fact | None) -> str | None:
    """A time in ISO 8601, without a zone (a time with one becomes UTC), so that the order of texts is that of time."""
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()
    except (ValueError, OverflowError):  # in another zone some moments lie beyond the calendar
        return None


PROMOTED: Final[Mapping[str, Callable[[Fact | None], Any]]] = MappingProxyType(
    {"facility": _text, "shot": _number, "date": _moment, "diagnostic": _text}
)
"""The facts that have columns of their own, each with what reads it; `None` where it says none."""


def _real(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None  # neither does NaN pass
