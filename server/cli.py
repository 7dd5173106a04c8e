"""The command ``shotdap``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TimeRemainingColumn
from rich.tree import Tree

from shotdap import __version__
from shotdap.catalog import BadArchive, NotFound, Unreadable
from shotdap.catalog.names import path_segment
from shotdap.config import BadDiagnostic, BadSettings, Settings, load
from shotdap.server.app import CONFIG_VARIABLE
from shotdap.server.demo import prepare, showing
from shotdap.server.running import run
from shotdap.transforms import BadVariant, Origin, explained

__all__ = ["main"]

_app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_catalog = typer.Typer(no_args_is_help=True, help="Build the catalog of an archive.")
_app.add_typer(_catalog, name="catalog")
_diagnostic = typer.Typer(no_args_is_help=True, help="Try descriptions of diagnostics.")
_app.add_typer(_diagnostic, name="diagnostic")
_console = Console(soft_wrap=True, highlight=False)
_errors = Console(stderr=True, soft_wrap=True, highlight=False)

Config = Annotated[Path | None, typer.Option(help="The site's settings, a TOML file.", dir_okay=False)]
Folder = Annotated[Path | None, typer.Option(help="A directory tree to serve, without any database.", file_okay=False)]
Host = Annotated[str | None, typer.Option(help="The address to listen at.")]
Port = Annotated[int | None, typer.Option(help="The port to listen at.", min=1, max=65535)]
Workers = Annotated[int | None, typer.Option(help="Processes that answer requests.", min=1)]


def main() -> None:
    """Run the command; what is wrong with the settings or the archive is one sentence, never a traceback."""
    try:
        _app()
    except (BadArchive, BadDiagnostic, BadSettings, BadVariant, NotFound, Unreadable) as error:
        _errors.print(f"shotdap: {error}", markup=False)
        sys.exit(2)


@_app.command()
def serve(
    config: Config = None,
    folder: Folder = None,
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
) -> None:
    """Serve a catalog, or a directory tree, over OPeNDAP."""
    _choose(config, {"ARCHIVE__FOLDER": folder and folder.resolve()}, host, port, workers)
    run(load(config))


@_app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demonstration's archive is made, or was.")] = Path("demo"),
    host: Host = None,
    port: Port = None,
) -> None:
    """Make a small archive of realistic images, build its catalog, and serve it."""
    try:
        with _console.status("Making an archive of laser-shot images …"):
            config = prepare(folder)
    except OSError as error:
        raise BadSettings(f"The demonstration cannot be made in {folder}: {error.strerror or error}.") from error
    _choose(config, {}, host, port)
    settings = load(config)
    _build(settings)
    run(settings, lambda url: _console.print(showing(url), markup=False))


@_catalog.command("build")
def catalog_build(
    config: Config = None,
    inspect: Annotated[bool, typer.Option(help="Look into the new files afterwards.")] = True,
) -> None:
    """Bring the catalog up to date with its archive, and look into the files that are new."""
    _build(load(config), inspect=inspect)


@_catalog.command("inspect")
def catalog_inspect(
    config: Config = None,
    again: Annotated[bool, typer.Option(help="Look into all files again, to find those that have changed.")] = False,
) -> None:
    """Look into the files that were not looked into yet: which are there, and whole."""
    _inspect(load(config), again=again)


@_diagnostic.command("check")
def diagnostic_check(
    file: Annotated[Path | None, typer.Argument(help="An image file.", dir_okay=False)] = None,
    image: Annotated[str | None, typer.Option(help="The public path of an image of the catalog, instead.")] = None,
    config: Config = None,
) -> None:
    """Say what the descriptions of diagnostics make of an image, and why not something else."""
    if (file is None) == (image is None):
        raise typer.BadParameter("name a FILE, or an --image of the catalog")
    if file is not None:
        os.environ["SHOTDAP_ARCHIVE__FOLDER"] = str(file.resolve().parent)
    catalog = load(config).open_catalog()
    for line in catalog.explain(catalog.find(path_segment(file.name) if file is not None else str(image))):
        _console.print(line, markup=False)


@_app.command("explain")
def explain_variable(
    path: Annotated[str, typer.Argument(help="The public path of an image, or of a variant of it.")],
    variable: Annotated[str, typer.Argument(help="A variable of it.")],
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Say how a variable is made: of which files, by which transforms, with which options."""
    _choose(config, {"ARCHIVE__FOLDER": folder and folder.resolve()}, None, None)
    catalog = load(config).open_catalog()
    origins = catalog.origins(catalog.resolve(path))
    if variable not in origins:
        raise typer.BadParameter(f"{path} has no variable {variable!r}; it has: {', '.join(origins)}.")
    _console.print(_tree(origins[variable]))


def _tree(origin: Origin) -> Tree:
    tree = Tree(escape("\n".join(explained(origin))))
    for each in origin.inputs:
        tree.children.append(_tree(each))
    return tree


@_app.command()
def version() -> None:
    """Say which version this is."""
    _console.print(__version__)


def _choose(
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


def _build(settings: Settings, *, inspect: bool = True) -> None:
    built = settings.build_catalog()
    _console.print(f"Catalog: {built.added} images added, {built.changed} changed.")
    if inspect:
        _inspect(settings)


def _inspect(settings: Settings, *, again: bool = False) -> None:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TaskProgressColumn(show_speed=True))
    with Progress(*columns, TimeRemainingColumn(), console=_console, transient=True) as progress:
        task = progress.add_task("Looking into files", total=settings.count_to_inspect(again=again))
        found = settings.inspect_catalog(again=again, progress=lambda done: progress.update(task, completed=done))
    _console.print(
        f"Files looked into: {found.ok} good, {found.missing} missing, {found.unreadable} unreadable,"
        f" {found.changed} changed."
    )
