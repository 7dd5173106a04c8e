"""The command ``shotdap``: its family of commands, and its errors."""

from __future__ import annotations

import gc
import sys
from typing import Annotated, Final

import typer

from shotdap import __version__
from shotdap.server.cli import archive_commands, audit_commands, catalog_commands, diagnostic_commands, token_commands
from shotdap.server.cli.export_commands import export, package
from shotdap.server.cli.search_commands import explain, search
from shotdap.server.cli.serve_commands import demo, serve
from shotdap.server.cli.sign_in_commands import diagnose, login, logout

_ERROR_STATUS: Final = 2
_QUERY_SETTINGS: Final = {"ignore_unknown_options": True}  # a term of a query may begin with a minus sign

_app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_app.command()(serve)
_app.command()(demo)
_app.command(context_settings=_QUERY_SETTINGS)(search)
_app.command(context_settings=_QUERY_SETTINGS)(export)
_app.command()(package)
_app.command()(explain)
_app.command()(login)
_app.command()(logout)
_app.command()(diagnose)
_app.add_typer(catalog_commands.app, name="catalog")
_app.add_typer(archive_commands.app, name="archive")
_app.add_typer(diagnostic_commands.app, name="diagnostic")
_app.add_typer(token_commands.app, name="token")
_app.add_typer(audit_commands.app, name="audit")


def _show_version(is_requested: bool) -> None:  # noqa: FBT001 — the signature of a callback of typer
    if is_requested:
        typer.echo(__version__)
        raise typer.Exit


@_app.callback()
def _start(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Serve, search and export the images of an archive."""


@_app.command("version", hidden=True)
def _show_version_command() -> None:
    """Show the version: the old spelling of --version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command; print errors of the settings or the archive as one sentence, never as a traceback."""
    try:
        _app()
    except Exception as error:
        message = _describe_user_error(error)
        if message is None:
            raise
        typer.echo(f"shotdap: {message}", err=True)
        sys.exit(_ERROR_STATUS)
    finally:
        gc.freeze()  # or the interpreter looks for garbage in all modules as it ends, which takes half a second


def _describe_user_error(error: Exception) -> str | None:
    """Return the sentence for an error that the user can mend, `None` for any other."""
    from shotdap import catalog, config, transforms

    user_errors = (
        catalog.BadArchive,
        catalog.BadCatalog,
        catalog.BadQuery,
        catalog.BadToken,
        catalog.Busy,
        catalog.NotFound,
        catalog.Superseded,
        catalog.Unreadable,
        catalog.Unsearchable,
        config.BadDiagnostic,
        config.BadSettings,
        transforms.BadSelection,
        transforms.BadVariant,
    )
    if isinstance(error, user_errors):
        return str(error)
    if isinstance(error, OSError) and error.strerror is not None:  # a full disk, or a missing permission
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return None
