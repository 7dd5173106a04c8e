"""What the commands print of a search: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from shotdap.catalog import Catalog, Changes, Entry, Facets, SearchPage

__all__ = ["as_tables", "changes_as_json", "facets_as_json", "images_table", "page_as_json", "search_all"]

_PAGE: Final = 1000
_SECONDS: Final = 19  # characters of a date in ISO 8601, down to seconds
_UNKNOWN: Final = "not said"


def search_all(catalog: Catalog, query: str, after: str | None, limit: int) -> SearchPage:
    """As many entries as asked for, from as many pages as it takes; see `Catalog.search`."""
    entries: list[Entry] = []
    while True:
        page = catalog.search(query, after=after, limit=min(limit - len(entries), _PAGE))
        entries += page.entries
        after = page.after
        if after is None or len(entries) >= limit:
            return SearchPage(tuple(entries), after)


def images_table(page: SearchPage) -> Table:
    """A line for each image; a path that is too long goes on in the next, for it is there to be copied."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("taken", no_wrap=True)
    table.add_column("health", no_wrap=True)
    for entry in page.entries:
        taken = str(entry.facts.get("date", ""))[:_SECONDS].replace("T", " ")
        table.add_row(entry.path, _shown(taken), entry.health.value)
    return table


def as_tables(facets: Facets) -> Iterator[Table]:
    """A table for each facet that has any values, the greatest numbers first."""
    for name, counts in facets.counts.items():
        table = Table(name, "images", box=None, pad_edge=False, header_style="bold")
        table.columns[1].justify = "right"
        for value, number in sorted(counts.items(), key=lambda count: (-count[1], count[0])):
            table.add_row(_shown(value) or f"[dim]{_UNKNOWN}[/]", f"{number:,}")
        yield table


def page_as_json(page: SearchPage) -> dict[str, Any]:
    """A page as a JSON document; ``after`` is the token to go on with."""
    return {"images": [_image(entry) for entry in page.entries], "after": page.after}


def facets_as_json(facets: Facets) -> dict[str, Any]:
    """Counts as a JSON document; what the archive does not say is an empty text."""
    return {"total": facets.total, "complete": facets.complete, "counts": facets.counts}


def changes_as_json(changes: Changes) -> dict[str, Any]:
    """Changes as a JSON document: each image as it is now, or its path alone where it was removed."""
    told = [{"path": change.path} if change.entry is None else _image(change.entry) for change in changes.changes]
    return {"changes": told, "token": changes.token, "more": changes.more}


def _image(entry: Entry) -> dict[str, Any]:
    described = {"path": entry.path, "facts": dict(entry.facts), "health": entry.health.value}
    return {**described, "reason": entry.reason} if entry.reason else described


def _shown(text: str) -> str:
    """Text of an archive's, of which a terminal takes nothing for a command."""
    return escape("".join(character if character.isprintable() else "\ufffd" for character in text))
