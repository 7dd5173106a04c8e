"""The command ``shotdap``."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.tree import Tree

from shotdap import __version__
from shotdap.catalog import (
    BadArchive,
    BadCatalog,
    BadQuery,
    BadToken,
    Busy,
    FacetCounts,
    NotFound,
    Superseded,
    Unreadable,
    Unsearchable,
)
from shotdap.catalog.index.tables import SCHEMA_VERSION
from shotdap.catalog.names import encode_path_segment
from shotdap.config import BadDiagnostic, BadSettings, Settings, load_settings
from shotdap.server.catalog_poller import describe_build, describe_inspection, poll_catalog
from shotdap.server.cli.package import save_package
from shotdap.server.cli.search_output import (
    build_facet_tables,
    build_image_table,
    search_all,
    serialize_changes,
    serialize_facets,
    serialize_page,
)
from shotdap.server.demo.instructions import format_instructions, prepare_demo
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.exports import order as exports
from shotdap.server.extraction import Extraction
from shotdap.server.http.limits import create_limits
from shotdap.server.run import CONFIG_VARIABLE, run_server
from shotdap.transforms import BadSelection, BadVariant, Origin, describe_origin

__all__ = ["main"]

_app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_catalog_app = typer.Typer(no_args_is_help=True, help="Build the catalog of an archive.")
_app.add_typer(_catalog_app, name="catalog")
_archive_app = typer.Typer(no_args_is_help=True, help="Look at the archive.")
_app.add_typer(_archive_app, name="archive")
_diagnostic_app = typer.Typer(no_args_is_help=True, help="Try descriptions of diagnostics.")
_app.add_typer(_diagnostic_app, name="diagnostic")
_console = Console(soft_wrap=True, highlight=False)
_error_console = Console(stderr=True, soft_wrap=True, highlight=False)

_USER_ERRORS = (
    BadArchive,
    BadCatalog,
    BadDiagnostic,
    BadQuery,
    BadSelection,
    BadSettings,
    BadToken,
    BadVariant,
    Busy,
    NotFound,
    Superseded,
    Unreadable,
    Unsearchable,
)
"""What is told in a sentence."""

_INTERRUPTED_STATUS = 130  # as a shell has it
_UNLIMITED_WIDTH = 1000  # characters of a line that no person reads

ConfigOption = Annotated[Path | None, typer.Option(help="The site's settings, a TOML file.", dir_okay=False)]
FolderOption = Annotated[
    Path | None, typer.Option(help="A directory tree to serve, without any database.", file_okay=False)
]
HostOption = Annotated[str | None, typer.Option(help="The address to listen at.")]
PortOption = Annotated[int | None, typer.Option(help="The port to listen at.", min=1, max=65535)]
WorkersOption = Annotated[int | None, typer.Option(help="Processes that answer requests.", min=1)]


def main() -> None:
    """Run the command; what is wrong with the settings or the archive is one sentence, never a traceback."""
    try:
        _app()
    except _USER_ERRORS as error:
        _error_console.print(f"shotdap: {error}", markup=False)
        sys.exit(2)
    except OSError as error:  # of a full disk, or of what this user has no right to
        if error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _error_console.print(f"shotdap: {where}{error.strerror}.", markup=False)
        sys.exit(2)


@_app.command()
def serve(
    config: ConfigOption = None,
    folder: FolderOption = None,
    host: HostOption = None,
    port: PortOption = None,
    workers: WorkersOption = None,
) -> None:
    """Serve a catalog, or a directory tree, over OPeNDAP."""
    _set_environment(config, {"ARCHIVE__FOLDER": folder and folder.resolve()}, host, port, workers)
    run_server(load_settings(config), site=os.environ.get(CONFIG_VARIABLE))


@_app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demonstration's archive is made, or was.")] = Path("demo"),
    host: HostOption = None,
    port: PortOption = None,
) -> None:
    """Make a small archive of realistic images, build its catalog, and serve it."""
    try:
        with _console.status("Making an archive of laser-shot images …"):
            config = prepare_demo(folder)
    except OSError as error:
        raise BadSettings(f"The demonstration cannot be made in {folder}: {error.strerror or error}.") from error
    _set_environment(config, {}, host, port)
    settings = load_settings(config)
    _build_with_progress(settings)
    run_server(
        settings, lambda url: _console.print(format_instructions(url), markup=False), os.environ.get(CONFIG_VARIABLE)
    )


@_app.command(context_settings={"ignore_unknown_options": True})  # a term may begin with a minus sign
def search(  # noqa: PLR0913, PLR0917 — typer makes an option of each
    query: Annotated[list[str], typer.Argument(help="What to look for: diagnostic:P510 shot:103700..103800")],
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="How many images to show.", min=1)] = 100,
    after: Annotated[str | None, typer.Option(help="Go on behind an earlier page, by its token.")] = None,
    facets: Annotated[bool, typer.Option("--facets", help="Count what matches, instead of showing it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find images, the newest first; docs/searching.md has the language."""
    catalog, wanted = load_settings(config).open_catalog(), " ".join(query)
    if facets:
        _print_facets(catalog.count_facets(wanted), as_json=as_json)
        return
    page = search_all(catalog, wanted, after, limit)
    if as_json:
        _console.print_json(data=serialize_page(page))
        return
    _console.print(build_image_table(page) if page.entries else "Nothing matches.", width=_table_width())
    if page.after is not None:
        _console.print(f"There are more: --after {page.after}", markup=False)


@_app.command()
def package(  # noqa: PLR0913, PLR0917 — typer makes an option of each
    path: Annotated[str, typer.Argument(help="A folder, such as a shot: omega/62328; or an image.")],
    out: Annotated[Path, typer.Argument(help="The ZIP file to make.", dir_okay=False)],
    diagnostic: Annotated[list[str] | None, typer.Option(help="Only the images of a diagnostic.")] = None,
    variable: Annotated[list[str] | None, typer.Option(help="Of each image; all where none is named.")] = None,
    transform: Annotated[list[str] | None, typer.Option(help="With options: median_filter-size-5.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The files as they are in the archive.")] = False,
    member: Annotated[str, typer.Option(help=f"The format of each file: {', '.join(FORMATS)}.")] = "",
    config: ConfigOption = None,
    folder: FolderOption = None,
) -> None:
    """Pack the images of a shot into one ZIP file, with what explains them; docs/packages.md says more."""
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.absolute().parent} for {out.name}")
    _set_environment(config, {"ARCHIVE__FOLDER": folder and folder.resolve()}, None, None)
    settings = load_settings(config)
    wanted = Extraction(tuple(variable or ()), transforms=tuple(transform or ()), raw=raw)
    order = exports.Order(
        exports.FolderSource(path.strip("/"), diagnostics=tuple(diagnostic or ())), wanted, format_name=member
    )
    columns = ("{task.description}", DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=_console, transient=True) as progress:
        task = progress.add_task("Packing", total=None)
        problems = save_package(
            settings.open_catalog(),
            order,
            create_limits(settings),
            out,
            lambda size: progress.update(task, completed=size),
        )
    for image, reason in problems.items():
        _console.print(f"{image}: {reason}", markup=False)
    _console.print(f"{out} has all {'but these' if problems else 'of it'}.", markup=False)


@_app.command(context_settings={"ignore_unknown_options": True})  # a term may begin with a minus sign
def export(  # noqa: PLR0913, PLR0917 — typer makes an option of each
    query: Annotated[str, typer.Argument(help="Which images: 'diagnostic:P510 shot:103700..103800'")],
    out: Annotated[Path, typer.Argument(help="The file or folder to make, or to go on with.")],
    variable: Annotated[list[str], typer.Option(help="Of each image; all where none is named.")] = [],  # noqa: B006
    part: Annotated[list[str], typer.Option(help="Of a dimension: y=100:400, or x=5.")] = [],  # noqa: B006
    transform: Annotated[list[str], typer.Option(help="With options: median_filter-size-5; in this order.")] = [],  # noqa: B006
    format: Annotated[str, typer.Option(help=f"Of each file: {', '.join(FORMATS)}.")] = "",  # noqa: A002 — the option's name
    to: Annotated[exports.JobContainer, typer.Option(help="What to make.")] = "folder",
    raw: Annotated[bool, typer.Option("--raw", help="The files' own variables, as they are.")] = False,
    scheduler: Annotated[str | None, typer.Option(help="A Dask cluster's: tcp://host:8786.")] = None,
    config: ConfigOption = None,
    folder: FolderOption = None,
) -> None:
    """Export many images at once; the same command goes on where it was stopped. docs/jobs.md says more."""
    chosen = {"ARCHIVE__FOLDER": folder and folder.resolve(), "EXPORTS__SCHEDULER": scheduler}
    _set_environment(config, chosen, None, None)
    wanted = Extraction(tuple(variable), exports.parse_part_options(part), tuple(transform), raw)
    command = importlib.import_module("shotdap.server.cli.export")  # brings Dask along, which takes its time
    try:
        any_done = command.export_now(
            exports.Order(exports.QuerySource(query), wanted, format, to),
            out,
            load_settings(config),
            _console,
            os.environ.get(CONFIG_VARIABLE),
        )
    except KeyboardInterrupt:
        _error_console.print("Stopped; the same command goes on from here.")
        sys.exit(_INTERRUPTED_STATUS)
    if not any_done:
        sys.exit(1)


@_catalog_app.command("changes")
def show_changes(
    config: ConfigOption = None,
    since: Annotated[int, typer.Option(help="The token of an earlier answer; 0 begins with all images.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="How many changes to show.", min=1, max=10_000)] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what has changed in the catalog: + for images that are new or other than before, - for those removed."""
    changes = load_settings(config).open_catalog().list_changes(since, limit=limit)
    if as_json:
        _console.print_json(data=serialize_changes(changes))
        return
    for change in changes.changes:
        _console.print(f"{'-' if change.entry is None else '+'} {change.path}", markup=False)
    _console.print(f"{'There are more' if changes.has_more else 'That is all for now'}: --since {changes.token}")


@_catalog_app.command("build")
def build_catalog(
    config: ConfigOption = None,
    inspect: Annotated[bool, typer.Option(help="Look into the new files afterwards.")] = True,
    full: Annotated[bool, typer.Option(help="Read all rows, and remove images whose rows are gone.")] = False,
    watch: Annotated[float | None, typer.Option(help="Go on, every so many seconds, until Ctrl-C.", min=0.1)] = None,
) -> None:
    """Bring the catalog up to date with its archive, and look into the files that are new."""
    settings = load_settings(config)
    _build_with_progress(settings, inspect=inspect, full=full)
    if watch is not None:
        _watch_until_interrupt(settings, watch, inspect=inspect)


@_catalog_app.command("watch")
def watch_catalog(
    config: ConfigOption = None,
    seconds: Annotated[float, typer.Option(help="How long to wait between two looks.", min=0.1)] = 10,
    inspect: Annotated[bool, typer.Option(help="Look into the new files.")] = True,
) -> None:
    """Bring the catalog up to date again and again, until Ctrl-C."""
    _watch_until_interrupt(load_settings(config), seconds, inspect=inspect)


@_catalog_app.command("migrate")
def migrate_catalog(config: ConfigOption = None) -> None:
    """Bring the catalog's database to this version of shotdap; what it holds is kept."""
    before = load_settings(config).migrate_catalog()
    _console.print(
        f"The catalog is of version {SCHEMA_VERSION} now; it was {f'of version {before}' if before else 'empty'}."
    )


@_catalog_app.command("inspect")
def inspect_catalog(
    config: ConfigOption = None,
    again: Annotated[bool, typer.Option(help="Look into all files again, to find those that have changed.")] = False,
) -> None:
    """Look into the files that were not looked into yet: which are there, and whole."""
    _inspect_with_progress(load_settings(config), again=again)


@_archive_app.command("check")
def check_archive(
    config: ConfigOption = None,
    sample: Annotated[int, typer.Option(help="How many rows to look at, and for their files.", min=1)] = 100,
) -> None:
    """Say what the archive's table and files look like by these settings: for the administrator, paths and all."""
    for line in load_settings(config).check_archive(sample):
        _console.print(line, markup=False)


@_diagnostic_app.command("check")
def check_diagnostic(
    file: Annotated[Path | None, typer.Argument(help="An image file.", dir_okay=False)] = None,
    image: Annotated[str | None, typer.Option(help="The public path of an image of the catalog, instead.")] = None,
    config: ConfigOption = None,
) -> None:
    """Say what the descriptions of diagnostics make of an image, and why not something else."""
    if (file is None) == (image is None):
        raise typer.BadParameter("name a FILE, or an --image of the catalog")
    if file is not None:
        os.environ["SHOTDAP_ARCHIVE__FOLDER"] = str(file.resolve().parent)
    catalog = load_settings(config).open_catalog()
    for line in catalog.explain_labelling(
        catalog.find_entry(encode_path_segment(file.name) if file is not None else str(image))
    ):
        _console.print(line, markup=False)


@_app.command("explain")
def explain_variable(
    path: Annotated[str, typer.Argument(help="The public path of an image, or of a variant of it.")],
    variable: Annotated[str, typer.Argument(help="A variable of it.")],
    config: ConfigOption = None,
    folder: FolderOption = None,
) -> None:
    """Say how a variable is made: of which files, by which transforms, with which options."""
    _set_environment(config, {"ARCHIVE__FOLDER": folder and folder.resolve()}, None, None)
    catalog = load_settings(config).open_catalog()
    origins = catalog.get_origins(catalog.resolve_path(path))
    if variable not in origins:
        raise typer.BadParameter(f"{path} has no variable {variable!r}; it has: {', '.join(origins)}.")
    _console.print(_build_origin_tree(origins[variable]))


def _build_origin_tree(origin: Origin) -> Tree:
    tree = Tree(escape("\n".join(describe_origin(origin))))
    for each in origin.inputs:
        tree.children.append(_build_origin_tree(each))
    return tree


@_app.command()
def version() -> None:
    """Say which version this is."""
    _console.print(__version__)


def _set_environment(
    config: Path | None,
    choices: Mapping[str, Any],
    host: str | None,
    port: int | None,
    workers: int | None = None,
) -> None:
    """Put the command's choices into the environment, where every worker process finds them."""
    server = {"SERVER__HOST": host, "SERVER__PORT": port, "SERVER__WORKERS": workers}
    chosen = {f"SHOTDAP_{name}": value for name, value in {**choices, **server}.items() if value is not None}
    if config is not None:
        chosen[CONFIG_VARIABLE] = config.resolve()
    os.environ.update({name: str(value) for name, value in chosen.items()})


def _build_with_progress(settings: Settings, *, inspect: bool = True, full: bool = False) -> None:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TaskProgressColumn(show_speed=True))
    with Progress(*columns, TimeRemainingColumn(), console=_console, transient=True) as progress:
        total = settings.count_rows_to_build(full=full) if _console.is_terminal else None
        task = progress.add_task("Reading rows", total=total)
        built = settings.build_catalog(full=full, progress=lambda done: progress.update(task, completed=done.row_count))
    _console.print(describe_build(built))
    if inspect:
        _inspect_with_progress(settings)


def _print_facets(counted: FacetCounts, *, as_json: bool) -> None:
    if as_json:
        _console.print_json(data=serialize_facets(counted))
        return
    least = "" if counted.is_complete else "at least "
    _console.print(f"{least}{counted.total:,} {'image matches' if counted.total == 1 else 'images match'}")
    for table in build_facet_tables(counted):
        _console.print(table, width=_table_width())


def _table_width() -> int | None:
    """How wide a table may be: as the terminal is; wide enough for any path, where a program reads it."""
    return None if _console.is_terminal else _UNLIMITED_WIDTH


def _watch_until_interrupt(settings: Settings, seconds: float, *, inspect: bool) -> None:
    def wait() -> bool:
        time.sleep(seconds)
        return True

    with suppress(KeyboardInterrupt):
        poll_catalog(settings, lambda line: _console.print(line, markup=False), wait, inspect=inspect)


def _inspect_with_progress(settings: Settings, *, again: bool = False) -> None:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TaskProgressColumn(show_speed=True))
    with Progress(*columns, TimeRemainingColumn(), console=_console, transient=True) as progress:
        task = progress.add_task("Looking into files", total=settings.count_files_to_inspect(again=again))
        inspected = settings.inspect_catalog(again=again, progress=lambda done: progress.update(task, completed=done))
    _console.print(describe_inspection(inspected))
