"""What the commands print of a search: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from shotdap.catalog import Catalog, ChangePage, Entry, FacetCounts, SearchPage

__all__ = [
    "build_facet_tables",
    "build_image_table",
    "search_all",
    "serialize_changes",
    "serialize_facets",
    "serialize_page",
]

_PAGE_SIZE: Final = 1000
_DATE_LENGTH: Final = 19  # characters of a date in ISO 8601, down to seconds
_UNKNOWN_LABEL: Final = "not said"


def search_all(catalog: Catalog, query: str, after: str | None, limit: int) -> SearchPage:
    """As many entries as asked for, from as many pages as it takes; see `Catalog.search`."""
    entries: list[Entry] = []
    while True:
        page = catalog.search(query, after=after, limit=min(limit - len(entries), _PAGE_SIZE))
        entries += page.entries
        after = page.after
        if after is None or len(entries) >= limit:
            return SearchPage(tuple(entries), after)


def build_image_table(page: SearchPage) -> Table:
    """A line for each image; a path that is too long goes on in the next, for it is there to be copied."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("taken", no_wrap=True)
    table.add_column("health", no_wrap=True)
    for entry in page.entries:
        taken = str(entry.facts.get("date", ""))[:_DATE_LENGTH].replace("T", " ")
        table.add_row(entry.path, _escape_text(taken), entry.health.value)
    return table


def build_facet_tables(facets: FacetCounts) -> Iterator[Table]:
    """A table for each facet that has any values, the greatest numbers first."""
    for name, counts in facets.counts.items():
        table = Table(name, "images", box=None, pad_edge=False, header_style="bold")
        table.columns[1].justify = "right"
        for value, number in sorted(counts.items(), key=lambda count: (-count[1], count[0])):
            table.add_row(_escape_text(value) or f"[dim]{_UNKNOWN_LABEL}[/]", f"{number:,}")
        yield table


def serialize_page(page: SearchPage) -> dict[str, Any]:
    """A page as a JSON document; ``after`` is the token to go on with."""
    return {"images": [_serialize_entry(entry) for entry in page.entries], "after": page.after}


def serialize_facets(facets: FacetCounts) -> dict[str, Any]:
    """Counts as a JSON document; what the archive does not say is an empty text."""
    return {"total": facets.total, "complete": facets.is_complete, "counts": facets.counts}


def serialize_changes(changes: ChangePage) -> dict[str, Any]:
    """Changes as a JSON document: each image as it is now, or its path alone where it was removed."""
    told = [
        {"path": change.path} if change.entry is None else _serialize_entry(change.entry) for change in changes.changes
    ]
    return {"changes": told, "token": changes.token, "more": changes.has_more}


def _serialize_entry(entry: Entry) -> dict[str, Any]:
    described = {"path": entry.path, "facts": dict(entry.facts), "health": entry.health.value}
    return {**described, "reason": entry.reason} if entry.reason else described


def _escape_text(text: str) -> str:
    """Text of an archive's, of which a terminal takes nothing for a command."""
    return escape("".join(character if character.isprintable() else "\ufffd" for character in text))
