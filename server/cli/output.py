"""The output of all commands: tables and progress bars for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.tree import Tree

from shotdap.catalog import Catalog, ChangePage, Entry, FacetCounts, SearchPage
from shotdap.config import Site
from shotdap.server.catalog_poller import describe_build, describe_inspection
from shotdap.transforms import Origin, describe_origin

console: Final = Console(soft_wrap=True, highlight=False)

_PAGE_SIZE: Final = 1000
_DATE_LENGTH: Final = 19  # characters of a date in ISO 8601, down to seconds
_UNKNOWN_LABEL: Final = "not said"
_UNLIMITED_WIDTH: Final = 1000  # characters; no person reads lines that a program reads


def print_line(text: str) -> None:
    """Print text without markup."""
    console.print(text, markup=False)


# Tables and JSON ----------------------------------------------------------------------------------------------------


def search_all(catalog: Catalog, query: str, after: str | None, limit: int) -> SearchPage:
    """Search page by page until there are `limit` entries; see `Catalog.search`."""
    entries: list[Entry] = []
    while True:
        page = catalog.search(query, after=after, limit=min(limit - len(entries), _PAGE_SIZE))
        entries += page.entries
        after = page.after
        if after is None or len(entries) >= limit:
            return SearchPage(tuple(entries), after)


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print a table whose columns are the names in its rows."""
    if as_json:
        console.print_json(data=list(rows))
        return
    table = Table(box=None, header_style="bold")
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_escape_text(str(value)) for value in row.values()))
    console.print(table)


def print_page(page: SearchPage, *, as_json: bool) -> None:
    """Print a line for each image; a path that is too long is folded, so that it can be copied."""
    if as_json:
        console.print_json(data={"images": [_serialize_entry(entry) for entry in page.entries], "after": page.after})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("taken", no_wrap=True)
    table.add_column("health", no_wrap=True)
    for entry in page.entries:
        taken = str(entry.facts.get("date", ""))[:_DATE_LENGTH].replace("T", " ")
        table.add_row(entry.path, _escape_text(taken), entry.health.value)
    console.print(table if page.entries else "Nothing matches.", width=_table_width())
    if page.after is not None:
        print_line(f"There are more: --after {page.after}")


def print_facets(facets: FacetCounts, *, as_json: bool) -> None:
    """Print a table for each facet that has values, the greatest counts first."""
    if as_json:
        console.print_json(data={"total": facets.total, "complete": facets.is_complete, "counts": facets.counts})
        return
    prefix = "" if facets.is_complete else "at least "
    console.print(f"{prefix}{facets.total:,} {'image matches' if facets.total == 1 else 'images match'}")
    for name, counts in facets.counts.items():
        table = Table(name, "images", box=None, pad_edge=False, header_style="bold")
        table.columns[1].justify = "right"
        for value, number in sorted(counts.items(), key=lambda count: (-count[1], count[0])):
            table.add_row(_escape_text(value) or f"[dim]{_UNKNOWN_LABEL}[/]", f"{number:,}")
        console.print(table, width=_table_width())


def print_changes(page: ChangePage, *, as_json: bool) -> None:
    """Print a line for each change; in JSON, a removed image has only its path."""
    if as_json:
        changes = [
            {"path": change.path} if change.entry is None else _serialize_entry(change.entry) for change in page.changes
        ]
        console.print_json(data={"changes": changes, "token": page.token, "more": page.has_more})
        return
    for change in page.changes:
        print_line(f"{'-' if change.entry is None else '+'} {change.path}")
    console.print(f"{'There are more' if page.has_more else 'That is all for now'}: --since {page.token}")


def print_origin(origin: Origin) -> None:
    """Print the tree of a variable's provenance."""
    console.print(_build_origin_tree(origin))


def _build_origin_tree(origin: Origin) -> Tree:
    tree = Tree(escape("\n".join(describe_origin(origin))))
    tree.children.extend(map(_build_origin_tree, origin.inputs))
    return tree


def _serialize_entry(entry: Entry) -> dict[str, Any]:
    document = {"path": entry.path, "facts": dict(entry.facts), "health": entry.health.value}
    return {**document, "reason": entry.reason} if entry.reason else document


def _escape_text(text: str) -> str:
    """Return text of the archive without characters that control a terminal."""
    return escape("".join(character if character.isprintable() else "\ufffd" for character in text))


def _table_width() -> int | None:
    """Return the terminal's width; if a program reads the output, a width for any path."""
    return None if console.is_terminal else _UNLIMITED_WIDTH


# Progress bars ------------------------------------------------------------------------------------------------------


@contextmanager
def show_count(description: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show a progress bar while the block lasts; yield a function that takes `completed`, and `more` text."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with _show_progress(columns, description, total) as update:
        yield update


@contextmanager
def show_bytes(description: str) -> Iterator[Callable[..., None]]:
    """Show the number of bytes while the block lasts; yield a function that takes `completed`."""
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with _show_progress(columns, description, None) as update:
        yield update


@contextmanager
def _show_progress(
    columns: tuple[ProgressColumn, ...], description: str, total: int | None
) -> Iterator[Callable[..., None]]:
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=total, more="")

        def update(completed: int, more: str = "") -> None:
            progress.update(task, completed=completed, more=more)

        yield update


def build_with_progress(site: Site, *, inspect: bool = True, full: bool = False) -> None:
    """Update the catalog behind a progress bar, and print a report."""
    with show_count("Reading rows", site.count_rows_to_build(full=full) if console.is_terminal else None) as update:
        report = site.build_catalog(full=full, progress=lambda done: update(done.row_count))
    console.print(describe_build(report))
    if inspect:
        inspect_with_progress(site)


def inspect_with_progress(site: Site, *, again: bool = False) -> None:
    """Inspect files behind a progress bar, and print a report."""
    with show_count("Looking into files", site.count_files_to_inspect(again=again)) as update:
        report = site.inspect_catalog(again=again, progress=update)
    console.print(describe_inspection(report))
