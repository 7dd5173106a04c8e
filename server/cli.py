"""The command ``shotdap``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from shotdap import __version__
from shotdap.catalog import BadArchive, BuildReport, InspectionReport
from shotdap.config import BadDiagnostic, BadSettings, load
from shotdap.server.app import CONFIG_VARIABLE
from shotdap.server.demo import prepare, showing
from shotdap.server.running import run

__all__ = ["main"]

_app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_catalog = typer.Typer(no_args_is_help=True, help="Build the catalog of an archive.")
_app.add_typer(_catalog, name="catalog")
_console = Console(soft_wrap=True, highlight=False)

Config = Annotated[Path | None, typer.Option(help="The site's settings, a TOML file.", dir_okay=False)]
Host = Annotated[str | None, typer.Option(help="The address to listen at.")]
Port = Annotated[int | None, typer.Option(help="The port to listen at.", min=1, max=65535)]
Workers = Annotated[int | None, typer.Option(help="Processes that answer requests.", min=1)]


def main() -> None:
    """Run the command; what is wrong with the settings or the archive is one sentence, never a traceback."""
    try:
        _app()
    except (BadArchive, BadDiagnostic, BadSettings) as error:
        _console.print(f"shotdap: {error}", markup=False)
        sys.exit(2)


@_app.command()
def serve(
    config: Config = None,
    folder: Annotated[Path | None, typer.Option(help="Serve this directory tree, without any database.")] = None,
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
    with _console.status("Making an archive of laser-shot images …"):
        config = prepare(folder)
    _choose(config, {}, host, port)
    settings = load(config)
    _report(*settings.build_catalog())
    run(settings, lambda url: _console.print(showing(url), markup=False))


@_catalog.command("build")
def catalog_build(config: Config = None) -> None:
    """Bring the catalog up to date with its archive, and look into the files that are new."""
    _report(*load(config).build_catalog())


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


def _report(built: BuildReport, inspected: InspectionReport) -> None:
    _console.print(
        f"Catalog: {built.added} images added, {built.changed} changed."
        f" Files looked into: {inspected.ok} good, {inspected.missing} missing, {inspected.unreadable} unreadable."
    )
