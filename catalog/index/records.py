"""Convert entries to rows of the catalog's tables, and back."""

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
from shotdap.catalog.query.values import parse_number

FacetKey: TypeAlias = tuple[str, str, str, str]
"""Facility, diagnostic, year and health, by which entries are counted; an unknown one is the empty text."""
MAX_TEXT_LENGTH: Final = 200
"""Characters of an attribute or a column that count; an index of PostgreSQL holds 2,700 bytes."""

_HEALTH_BY_VALUE: Final = {health.value: health for health in Health}
_HEALTH_VALUES: Final = {health: health.value for health in Health}  # before Python 3.12, ``.value`` is 6 times slower
_MAX_INTEGER: Final = 2**63 - 1  # the greatest integer of a database
_ENCODE_JSON: Final = json.JSONEncoder(check_circular=False).encode  # facts are not nested, so never circular


@dataclass(frozen=True)
class Record:
    """An entry, and the key of the archive's row that it comes from."""

    key: str
    entry: Entry


@dataclass(frozen=True)
class InspectionResult:
    """The result of inspecting one entry's file."""

    health: Health
    reason: str = ""
    file_inspection: FileInspection | None = None


class NewRecord(NamedTuple):
    """An entry to be written, with all values that follow from it without a database.

    It holds the entry's parts instead of an `Entry`, because a build makes one for each row.
    """

    key: str
    path: str
    file: str
    facts: Mapping[str, Fact]
    facts_json: str
    row_hash: int
    facility: str | None
    shot: int | None
    date: str | None
    diagnostic: str | None
    words: str
    health: Health
    reason: str
    last_good_inspection: FileInspection | None = None

    @property
    def entry(self) -> Entry:
        """The entry itself."""
        return Entry(self.path, self.file, self.facts, self.health, self.reason, self.last_good_inspection)

    @property
    def facet_key(self) -> FacetKey:
        """The key that it is counted under."""
        return self.facility or "", self.diagnostic or "", (self.date or "")[:4], _HEALTH_VALUES[self.health]

    def with_path(self, path: str) -> NewRecord:
        """Return the same record under another path."""
        return self._replace(path=path, words=join_entry_words(path, self.facts))


def make_new_record(key: str, path: str, file: str, facts: Mapping[str, Fact], fault: tuple[Health, str]) -> NewRecord:
    """Return the record of an entry whose file was not inspected; `fault` is its health and the reason."""
    facts_json = _ENCODE_JSON(facts if isinstance(facts, dict) else dict(facts))
    return NewRecord(
        key,
        path,
        file,
        facts,
        facts_json,
        _hash_row(file, facts_json),
        _cut_text(facts.get("facility")),
        _parse_shot(facts.get("shot")),
        _normalize_date(facts.get("date")),
        _cut_text(facts.get("diagnostic")),
        join_entry_words(path, facts),
        *fault,
    )


def convert_to_new_record(record: Record) -> NewRecord:
    """Return a record with all values that follow from it."""
    entry = record.entry
    new_record = make_new_record(record.key, entry.path, entry.file, entry.facts, (entry.health, entry.reason))
    return new_record._replace(last_good_inspection=entry.last_good_inspection)


def make_insert_values(record: NewRecord, number: int, folder: int) -> tuple[Any, ...]:
    """Return a new row of ``entries``: the stored values, in the order of the columns."""
    key, path, file, _, facts_json, row_hash, facility, shot, date, diagnostic, _, health, reason, inspection = record
    key, path, file, reason = escape_texts((key, path, file, reason))
    return (
        number,
        key,
        path,
        folder,
        path.rpartition("/")[2],
        file,
        facts_json,
        row_hash,
        facility and escape_text(facility),
        shot,
        date,
        diagnostic and escape_text(diagnostic),
        _HEALTH_VALUES[health],
        reason,
        json.dumps(asdict(inspection)) if inspection else None,
        number,
    )


ENTRY_COLUMNS: Final = (
    ENTRIES.c.path, ENTRIES.c.file, ENTRIES.c.facts, ENTRIES.c.health, ENTRIES.c.reason, ENTRIES.c.seen,
)  # fmt: skip
"""The columns that make an entry."""


def decode_entry_values(values: Sequence[Any]) -> Entry:
    """Return the entry with these values of `ENTRY_COLUMNS`, in that order."""
    path, file, facts, health, reason, seen = values
    return Entry(path, file, facts, _HEALTH_BY_VALUE[health], reason, FileInspection(**seen) if seen else None)


def decode_entry_row(row: sa.RowMapping) -> Entry:
    """Return the entry in a row of ``entries``."""
    return decode_entry_values([row[column.name] for column in ENTRY_COLUMNS])


def make_update_values(record: Record, number: int, change: int, folder: int) -> dict[str, Any]:
    """Return the row of ``entries`` for a record that has this number, change and folder."""
    entry = record.entry
    facts = entry.facts if isinstance(entry.facts, dict) else dict(entry.facts)
    return {
        "id": number,
        "key": record.key,
        "path": entry.path,
        "folder": folder,
        "name": entry.path.rpartition("/")[2],
        "file": entry.file,
        "facts": facts,
        "stamp": _hash_row(entry.file, _ENCODE_JSON(facts)),
        **extract_column_facts(facts),
        "health": entry.health.value,
        "reason": entry.reason,
        "seen": asdict(entry.last_good_inspection) if entry.last_good_inspection else None,
        "change": change,
    }


def _hash_row(file: str, facts_json: str) -> int:
    """Return 64 bits of BLAKE2b, as a signed integer: the number changes when the file or the facts change."""
    content = f"{file}\0{facts_json}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), signed=True)


def extract_column_facts(facts: Mapping[str, Fact]) -> dict[str, str | int | None]:
    """Return the facts that have columns of their own, as these columns store them."""
    return {name: parse(facts.get(name)) for name, parse in FACT_PARSERS.items()}


def make_facet_key(row: Mapping[str, Any] | sa.RowMapping) -> FacetKey:
    """Return the key that a row of ``entries`` is counted under."""
    return row["facility"] or "", row["diagnostic"] or "", (row["date"] or "")[:4], row["health"]


def make_attribute_rows(entry: int, date: str | None, inspection: FileInspection) -> list[dict[str, Any]]:
    """Return the rows of ``attributes`` for an inspection of the entry with this id and date."""
    return [
        {"entry": entry, "name": name, "text": text, "number": parse_number(text), "date": date}
        for name, values in inspection.attributes.items()
        for text in dict.fromkeys(value[:MAX_TEXT_LENGTH] for value in values)
    ]


def _cut_text(value: Fact | None) -> str | None:
    return None if value is None else str(value)[:MAX_TEXT_LENGTH]


def _parse_shot(value: Fact | None) -> int | None:
    """Return a shot number, also if the archive stores it as text or as a float."""
    if type(value) is int and abs(value) <= _MAX_INTEGER:
        return value
    try:
        number = int(value) if value is not None and float(value) == int(value) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) <= _MAX_INTEGER else None


@lru_cache(4096)
def _normalize_date(value: Fact | None) -> str | None:
    """Return a time in ISO 8601 without a zone, in UTC if it had one: the order of the texts is the order in time."""
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()
    except (ValueError, OverflowError):  # the moment in UTC may be outside the calendar
        return None


FACT_PARSERS: Final[Mapping[str, Callable[[Fact | None], Any]]] = MappingProxyType(
    {"facility": _cut_text, "shot": _parse_shot, "date": _normalize_date, "diagnostic": _cut_text}
)
"""The facts that have columns of their own, each with its parser, which returns `None` for an unknown value."""
