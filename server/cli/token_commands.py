"""``shotdap token``: commands that make, list and revoke tokens; for the administrator of a site."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from shotdap.server.cli.common_options import ConfigOption, JsonOption, make_source

if TYPE_CHECKING:  # the packages take long to import
    from shotdap.server.access.principal import Scope
    from shotdap.server.access.token_store import TokenStore

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens.")

_SCOPE_NAMES = ("read", "export", "admin")


@app.command("create")
def create_token(  # noqa: PLR0913, PLR0917 — an option each
    user: Annotated[str, typer.Argument(help="The user whose token it is.")],
    name: Annotated[str, typer.Option(help="A name for the token.")] = "made by the administrator",
    config: ConfigOption = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the user; repeat it for more.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="read, export or admin; repeat it for more.")] = None,
    campaign: Annotated[list[str] | None, typer.Option(help="Only images of this campaign; `*` may end it.")] = None,
    diagnostic: Annotated[list[str] | None, typer.Option(help="Only images of this diagnostic.")] = None,
    path: Annotated[str, typer.Option(help="Only this image, or what is below this folder.")] = "",
    days: Annotated[float | None, typer.Option(help="Days after which it expires.", min=0)] = None,
    link: Annotated[bool, typer.Option("--link", help="It may be part of a URL: /k/TOKEN/dap/…")] = False,
) -> None:
    """Make a token, and print it: nobody can find it out again.

    The user may do from now on what the token may, and is in the groups that are given here, if any are.
    """
    from shotdap.config import BadSettings
    from shotdap.server.access.token_store import TokenRefused, TokenRestriction, User
    from shotdap.server.cli import output

    store, scopes = _open_store(config), _parse_scopes(scope or ["read"])
    known = store.find_user(user) or User(user, scopes=frozenset())
    groups = known.groups if group is None else frozenset(group)
    store.put_user(User(user, groups, known.scopes | scopes))
    facts = {"campaign": tuple(campaign or ()), "diagnostic": tuple(diagnostic or ())}
    restriction = TokenRestriction(
        {each: texts for each, texts in facts.items() if texts}, (path.strip("/"),) if path else ()
    )
    try:
        secret, _ = store.create_token(user, name, scopes, restriction=restriction, days=days, is_link=link)
    except TokenRefused as error:
        raise BadSettings(str(error)) from error
    output.print_line(secret)


@app.command("user")
def change_user(
    user: Annotated[str, typer.Argument(help="The user's name.")],
    config: ConfigOption = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the user; repeat it for more.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="read, export or admin; repeat it for more.")] = None,
) -> None:
    """Set what a user may do, and the groups that they are in: these, and no others. All their tokens follow."""
    from shotdap.server.access.token_store import User

    _open_store(config).put_user(User(user, frozenset(group or ()), _parse_scopes(scope or [])))


@app.command("list")
def list_tokens(
    config: ConfigOption = None,
    user: Annotated[str | None, typer.Option(help="Only the tokens of this user.")] = None,
    json: JsonOption = False,
) -> None:
    """List tokens without their secrets, the newest first."""
    from shotdap.server.cli import output

    rows = [
        {
            "id": token.id,
            "user": token.owner,
            "name": token.name,
            "scopes": " ".join(sorted(token.scopes)),
            "restricted to": " ".join(
                [
                    *token.restriction.paths,
                    *(f"{name}:{text}" for name, texts in token.restriction.facts.items() for text in texts),
                ]
            ),
            "expires": _format_day(token.expires),
            "used": _format_day(token.used),
        }
        for token in _open_store(config).list_tokens(user)
    ]
    output.print_rows(rows, as_json=json)


@app.command("revoke")
def revoke_token(
    id: Annotated[str, typer.Argument(help="The token's id, as `shotdap token list` shows it.")],  # noqa: A002 — the word
    config: ConfigOption = None,
) -> None:
    """Revoke a token: within half a second no server answers a request with it."""
    from shotdap.config import BadSettings
    from shotdap.server.access.token_store import TokenRefused

    try:
        _open_store(config).revoke_token(id)
    except TokenRefused as error:
        raise BadSettings(str(error)) from error


def _parse_scopes(names: list[str]) -> frozenset[Scope]:
    from shotdap.config import BadSettings
    from shotdap.server.access.principal import Scope

    unknown = set(names) - set(_SCOPE_NAMES)
    if unknown:
        raise BadSettings(f"There is no scope {', '.join(sorted(unknown))}; there are {', '.join(_SCOPE_NAMES)}.")
    return frozenset(map(Scope, names))


def _open_store(config: ConfigOption) -> TokenStore:
    from shotdap.server.access.access_database import AccessDatabase
    from shotdap.server.access.token_store import TokenStore

    return TokenStore(AccessDatabase.from_settings(make_source(config).load()))


def _format_day(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).date().isoformat()
