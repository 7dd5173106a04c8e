"""``shotdap login``: a token of a server, for a user of its identity provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:  # the packages take long to import
    from shotdap.server.access.sign_in.device_flow import DeviceCode

_SECONDS: Final = 30.0  # for each answer of the server and the provider
_ERROR_STATUS: Final = 2


def login(
    url: Annotated[str, typer.Argument(help="The server: https://images.example.org")],
    name: Annotated[str, typer.Option(help="A name for the token.")] = "shotdap login",
    export: Annotated[bool, typer.Option("--export", help="It may start exports, too.")] = False,
    days: Annotated[float | None, typer.Option(help="Days after which it expires.", min=0)] = None,
) -> None:
    """Sign in with the identity provider of a server, in any browser, and print a token of the server.

    The token is the only line of the output: what to do in the browser is printed on standard error.
    """
    import httpx

    from shotdap.server.access.sign_in.device_flow import DeviceFlowError, exchange_for_token, sign_in_by_device

    order = {"name": name, "scopes": ["read", "export"] if export else ["read"], "days": days}
    try:
        with httpx.Client(timeout=_SECONDS) as client:
            typer.echo(exchange_for_token(client, url, sign_in_by_device(client, url, _show_code), order))
    except DeviceFlowError as error:
        typer.echo(f"shotdap: {error}", err=True)
        raise typer.Exit(_ERROR_STATUS) from error
    except httpx.HTTPError as error:
        typer.echo(f"shotdap: the server, or its identity provider, does not answer: {error}", err=True)
        raise typer.Exit(_ERROR_STATUS) from error


def _show_code(code: DeviceCode) -> None:
    link = f" Or open {code.page_with_code}" if code.page_with_code else ""
    minutes = max(1, round(code.seconds / 60))
    typer.echo(f"Open {code.page} in a browser and enter {code.user_code} (within {minutes} minutes).{link}", err=True)
