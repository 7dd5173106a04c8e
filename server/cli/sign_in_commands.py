"""``shotdap login``, ``logout`` and ``diagnose``: how the clients on this machine sign in at a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:  # the packages take long to import
    import httpx

    from shotdap.server.access.sign_in.device_flow import DeviceCode

_SECONDS: Final = 30.0  # for each answer of the server and the provider
_ERROR_STATUS: Final = 2

_HomeOption = Annotated[
    Path,
    typer.Option(
        help="The folder with .netrc, .ncrc and .dodsrc.", default_factory=Path.home, show_default="your home"
    ),
]
_ServerArgument = Annotated[str, typer.Argument(help="The server: https://images.example.org")]


def login(  # noqa: PLR0913, PLR0917 — an option each
    url: _ServerArgument,
    home: _HomeOption,
    name: Annotated[str, typer.Option(help="A name for the token.")] = "shotdap login",
    export: Annotated[bool, typer.Option("--export", help="It may start exports, too.")] = False,
    days: Annotated[float | None, typer.Option(help="Days after which it expires.", min=0)] = None,
    token: Annotated[str, typer.Option(help="- reads a token that you have from standard input.")] = "",
    print_only: Annotated[bool, typer.Option("--print", help="Print the token, and store it nowhere.")] = False,
) -> None:
    """Sign in at a server, so that netCDF-C, pydap, Octave, GDL, R, curl and their like are signed in, too.

    You sign in with the server's identity provider, in any browser, or give a token that you have: --token -. The token
    goes into .netrc, and into .ncrc and .dodsrc a line by which netCDF-C finds it there. Only you can read them.
    """
    from shotdap.server.access.sign_in.device_flow import exchange_for_token, sign_in_by_device
    from shotdap.server.client_setup.sign_in_files import SignInFiles, check_token

    with _reporting_errors():
        files = SignInFiles.for_url(home, url)
        if not print_only:
            files.check()
        with _open_client() as client:
            if token:
                if token != "-":  # noqa: S105 — no password; one here would be in the history of the shell
                    hint = "a token is read from standard input only: --token -"
                    raise typer.BadParameter(hint, param_hint="--token")
                secret = sys.stdin.readline().strip()
                check_token(client, url, secret)
            else:
                order = {"name": name, "scopes": ["read", "export"] if export else ["read"], "days": days}
                secret = exchange_for_token(client, url, sign_in_by_device(client, url, _show_code), order)
        if print_only:
            typer.echo(secret)
            return
        for sentence in files.store(secret):
            typer.echo(sentence)
        typer.echo(f"Signed in at {files.machine}. To try each client: shotdap diagnose URL-OF-AN-IMAGE")


def logout(url: _ServerArgument, home: _HomeOption) -> None:
    """Revoke the token that `shotdap login` has stored for a server, and remove it from .netrc."""
    from shotdap.server.client_setup.sign_in_files import SignInFiles, revoke_token

    with _reporting_errors():
        files = SignInFiles.for_url(home, url)
        secret = files.find_token()
        if secret is None:
            typer.echo(f"{files.netrc} has no token for {files.machine} from `shotdap login`.")
            return
        with _open_client() as client:
            revoke_token(client, url, secret)
        files.remove()
        typer.echo(f"Signed out: the token for {files.machine} is revoked, and removed from {files.netrc}.")


def diagnose(
    url: Annotated[str, typer.Argument(help="An image: https://images.example.org/dap/omega/62328/…")],
    home: _HomeOption,
) -> None:
    """Try how each client on this machine opens an image, and say which line of which file is wrong.

    The exit status is 0 if all of them can.
    """
    from shotdap.server.client_setup.diagnosis import examine
    from shotdap.server.client_setup.programs import try_programs

    with _reporting_errors(), _open_client() as client:
        found = examine(client, url, home, Path.cwd())
    typer.echo(found.answer)
    for number, problem in enumerate(found.problems, 1):
        typer.echo(f"[{number}] {problem.sentence}")
    if not found.is_served:
        raise typer.Exit(1)
    is_well = True
    for trial in try_programs(found.url, home):
        causes = [
            f"[{number}]"
            for number, problem in enumerate(found.problems, 1)
            if (problem.stops_netcdf if trial.program.is_netcdf else problem.stops_others)
        ]
        said = f"fails {' '.join(causes)}: {trial.message}" if trial.message else "works"
        typer.echo(f"{trial.program.name:<22} {said}")
        is_well = is_well and not trial.message
    raise typer.Exit(0 if is_well else 1)


@contextmanager
def _reporting_errors() -> Iterator[None]:
    import httpx

    from shotdap.server.access.sign_in.device_flow import DeviceFlowError
    from shotdap.server.client_setup.sign_in_files import ForeignEntry, TokenUnknown

    try:
        yield
    except (DeviceFlowError, ForeignEntry, TokenUnknown, httpx.InvalidURL) as error:
        typer.echo(f"shotdap: {error}", err=True)
        raise typer.Exit(_ERROR_STATUS) from error
    except OSError as error:
        typer.echo(f"shotdap: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(_ERROR_STATUS) from error
    except httpx.HTTPError as error:
        typer.echo(f"shotdap: the server, or its identity provider, does not answer: {error}", err=True)
        raise typer.Exit(_ERROR_STATUS) from error


def _open_client() -> httpx.Client:
    import httpx

    return httpx.Client(timeout=_SECONDS, trust_env=False)


def _show_code(code: DeviceCode) -> None:
    link = f" Or open {code.page_with_code}" if code.page_with_code else ""
    minutes = max(1, round(code.seconds / 60))
    typer.echo(f"Open {code.page} in a browser and enter {code.user_code} (within {minutes} minutes).{link}", err=True)
