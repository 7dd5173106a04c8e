"""``shotdap catalog``: commands that build, inspect and follow the catalog."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from shotdap.server.cli.common_options import ConfigOption, JsonOption, open_site

if TYPE_CHECKING:  # the package takes long to import
    from shotdap.config import Site

app = typer.Typer(no_args_is_help=True, help="Build the catalog of an archive.")


@app.command("build")
def build_catalog(
    config: ConfigOption = None,
    inspect: Annotated[bool, typer.Option(help="Inspect the new files afterwards.")] = True,
    full: Annotated[bool, typer.Option(help="Read all rows, and remove images whose rows are gone.")] = False,
    watch: Annotated[float | None, typer.Option(help="Repeat after so many seconds, until Ctrl-C.", min=0.1)] = None,
) -> None:
    """Update the catalog from its archive, and inspect the new files."""
    from shotdap.server.cli import output

    site = open_site(config)
    output.build_with_progress(site, inspect=inspect, full=full)
    if watch is not None:
        _watch_until_interrupt(site, watch, inspect=inspect)


@app.command("watch")
def watch_catalog(
    config: ConfigOption = None,
    seconds: Annotated[float, typer.Option(help="The pause between two updates.", min=0.1)] = 10,
    inspect: Annotated[bool, typer.Option(help="Inspect the new files.")] = True,
) -> None:
    """Update the catalog again and again, until Ctrl-C."""
    _watch_until_interrupt(open_site(config), seconds, inspect=inspect)


@app.command("inspect")
def inspect_catalog(
    config: ConfigOption = None,
    again: Annotated[bool, typer.Option(help="Inspect all files again, to find those that have changed.")] = False,
) -> None:
    """Inspect the files that were not inspected yet: whether they exist and are readable."""
    from shotdap.server.cli import output

    output.inspect_with_progress(open_site(config), again=again)


@app.command("changes")
def show_changes(
    config: ConfigOption = None,
    since: Annotated[str, typer.Option(help="The token of an earlier call; 0 starts with all images.")] = "0",
    limit: Annotated[int, typer.Option(help="The number of changes to show.", min=1, max=10_000)] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Show the changes of the catalog: + for images that are new or modified, - for those removed."""
    from shotdap.server.cli import output

    output.print_changes(open_site(config).open_catalog().list_changes(since, limit=limit), as_json=as_json)


@app.command("migrate")
def migrate_catalog(config: ConfigOption = None) -> None:
    """Create the catalog's tables in an empty database; keep a catalog of this version."""
    from shotdap.catalog.index.tables import SCHEMA_VERSION
    from shotdap.server.cli import output

    before = open_site(config).migrate_catalog()
    output.print_line(
        f"The catalog is of version {SCHEMA_VERSION} now; it was {f'of version {before}' if before else 'empty'}."
    )


def _watch_until_interrupt(site: Site, seconds: float, *, inspect: bool) -> None:
    from shotdap.server.catalog_poller import poll_catalog
    from shotdap.server.cli import output

    def wait() -> bool:
        time.sleep(seconds)
        return True

    with suppress(KeyboardInterrupt):
        poll_catalog(site, output.print_line, wait, inspect=inspect)
