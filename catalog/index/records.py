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

from shotdap.catalog.entry import Entry, Fact, FileInspection, Health
from shotdap.catalog.index.fulltext import join_entry_words
from shotdap.catalog.index.tables import ENTRIES, escape_text, escape_texts

__all__ = [
    "ENTRY_COLUMNS",
    "FACT_PARSERS",
    "MAX_TEXT_LENGTH",
    "FacetKey",
    "InspectionResult",
    "NewRecord",
    "Record",
    "compute_row_hash",
    "convert_to_new_record",
    "decode_entry_row",
    "decode_entry_values",
    "extract_column_facts",
    "make_attribute_rows",
    "make_facet_key",
    "make_insert_values",
    "make_new_record",
    "make_update_values",
]

FacetKey: TypeAlias = tuple[str, str, str, str]
"""What entries are counted by: facility, diagnostic, year, health. What is unknown is an empty text."""

_HEALTH_BY_VALUE: Final = {health.value: health for health in Health}
_HEALTH_VALUES: Final = {
    health: health.value for health in Health
}  # until Python 3.12, ``.value`` takes six times as long
MAX_TEXT_LENGTH: Final = 200
"""Characters of an attribute, or a column, that count; an index of PostgreSQL holds 2,700 bytes."""
_MAX_INTEGER: Final = 2**63 - 1  # of a database's integers
_ENCODE_JSON: Final = json.JSONEncoder(check_circular=False).encode  # facts hold nothing that could be a circle


@dataclass(frozen=True)
class Record:
    """An entry, and the key of the archive's row that it was made of."""

    key: str
    entry: Entry


@dataclass(frozen=True)
class InspectionResult:
    """What an inspection found of one entry."""

    health: Health
    reason: str = ""
    file_inspection: FileInspection | None = None


class NewRecord(NamedTuple):
    """An entry that is to be written, and all that follows from it; no database is needed for that.

    It has what the entry consists of and not the entry, because a build makes one for each row.
    """

    key: str
    path: str
    file: str
    facts: Mapping[str, Fact]
    facts_json: str
    """The facts as JSON."""
    row_hash: int
    facility: str | None
    shot: int | None
    date: str | None
    diagnostic: str | None
    words: str
    health: Health
    reason: str
    first_inspection: FileInspection | None = None

    @property
    def entry(self) -> Entry:
        """The entry itself."""
        return Entry(self.path, self.file, self.facts, self.health, self.reason, self.first_inspection)

    @property
    def facet_key(self) -> FacetKey:
        """What it is counted under."""
        return self.facility or "", self.diagnostic or "", (self.date or "")[:4], _HEALTH_VALUES[self.health]

    def with_path(self, path: str) -> NewRecord:
        """The same under another path."""
        return self._replace(path=path, words=join_entry_words(path, self.facts))


def make_new_record(key: str, path: str, file: str, facts: Mapping[str, Fact], fault: tuple[Health, str]) -> NewRecord:
    """An entry of which no file was looked at, by what it consists of, and what follows from it."""
    said = _ENCODE_JSON(facts if isinstance(facts, dict) else dict(facts))
    return NewRecord(
        key,
        path,
        file,
        facts,
        said,
        _hash_row(file, said),
        _cut_text(facts.get("facility")),
        _parse_shot(facts.get("shot")),
        _normalize_date(facts.get("date")),
        _cut_text(facts.get("diagnostic")),
        join_entry_words(path, facts),
        *fault,
    )


def convert_to_new_record(record: Record) -> NewRecord:
    """A record, and what follows from it."""
    entry = record.entry
    fresh = make_new_record(record.key, entry.path, entry.file, entry.facts, (entry.health, entry.reason))
    return fresh._replace(first_inspection=entry.first_inspection)


def make_insert_values(record: NewRecord, number: int, folder: int) -> tuple[Any, ...]:
    """A new row of ``entries``, in the order of its columns, each value as the database keeps it."""
    key, path, file, _, said, stamp, facility, shot, date, diagnostic, _, health, reason, seen = record
    key, path, file, reason = escape_texts((key, path, file, reason))
    return (
        number,
        key,
        path,
        folder,
        path.rpartition("/")[2],
        file,
        said,
        stamp,
        facility and escape_text(facility),
        shot,
        date,
        diagnostic and escape_text(diagnostic),
        _HEALTH_VALUES[health],
        reason,
        json.dumps(asdict(seen)) if seen else None,
        number,
    )


ENTRY_COLUMNS: Final = (
    ENTRIES.c.path, ENTRIES.c.file, ENTRIES.c.facts, ENTRIES.c.health, ENTRIES.c.reason, ENTRIES.c.seen,
)  # fmt: skip
"""The columns that an entry is made of."""


def decode_entry_values(values: Sequence[Any]) -> Entry:
    """The entry that the values of `ENTRY_COLUMNS`, in that order, tell of."""
    path, file, facts, health, reason, seen = values
    return Entry(path, file, facts, _HEALTH_BY_VALUE[health], reason, FileInspection(**seen) if seen else None)


def decode_entry_row(row: sa.RowMapping) -> Entry:
    """The entry that a row of ``entries`` tells of."""
    return decode_entry_values([row[column.name] for column in ENTRY_COLUMNS])


def make_update_values(record: Record, number: int, change: int, folder: int) -> dict[str, Any]:
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
        "stamp": compute_row_hash(entry),
        **extract_column_facts(facts),
        "health": entry.health.value,
        "reason": entry.reason,
        "seen": asdict(entry.first_inspection) if entry.first_inspection else None,
        "change": change,
    }


def compute_row_hash(entry: Entry) -> int:
    """A number that is another one whenever an entry's file or facts are: 64 bits of BLAKE2b, as a signed integer."""
    return _hash_row(entry.file, _ENCODE_JSON(dict(entry.facts)))


def _hash_row(file: str, facts: str) -> int:
    said = f"{file}\0{facts}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), signed=True)


def extract_column_facts(facts: Mapping[str, Fact]) -> dict[str, str | int | None]:
    """The facts that have columns of their own, as those have them."""
    return {name: read(facts.get(name)) for name, read in FACT_PARSERS.items()}


def make_facet_key(row: Mapping[str, Any] | sa.RowMapping) -> FacetKey:
    """What a row of ``entries`` is counted under."""
    return row["facility"] or "", row["diagnostic"] or "", (row["date"] or "")[:4], row["health"]


def make_attribute_rows(entry: int, date: str | None, seen: FileInspection) -> list[dict[str, Any]]:
    """The rows of ``attributes`` that an examination of an entry makes, given its id and date."""
    return [
        {"entry": entry, "name": name, "text": text, "number": _parse_number(text), "date": date}
        for name, values in seen.attributes.items()
        for text in dict.fromkeys(value[:MAX_TEXT_LENGTH] for value in values)
    ]


def _cut_text(value: Fact | None) -> str | None:
    return None if value is None else str(value)[:MAX_TEXT_LENGTH]


def _parse_shot(value: Fact | None) -> int | None:
    """A shot's number, also where the archive keeps it as text or as a float."""
    if type(value) is int and abs(value) <= _MAX_INTEGER:
        return value
    try:
        number = int(value) if value is not None and float(value) == int(value) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) <= _MAX_INTEGER else None


@lru_cache(4096)
def _normalize_date(value: Fact | None) -> str | None:
    """A time in ISO 8601, without a zone (a time with one becomes UTC), so that the order of texts is that of time."""
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()
    except (ValueError, OverflowError):  # in another zone some moments lie beyond the calendar
        return None


FACT_PARSERS: Final[Mapping[str, Callable[[Fact | None], Any]]] = MappingProxyType(
    {"facility": _cut_text, "shot": _parse_shot, "date": _normalize_date, "diagnostic": _cut_text}
)
"""The facts that have columns of their own, each with what reads it; `None` where it says none."""


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None  # neither does NaN pass
