"""My tokens: made, listed and revoked by forms."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import NotFound
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.authentication import NotAllowed
from shotdap.server.access.own_tokens import OwnTokens, TokenRequest
from shotdap.server.access.principal import Principal, Scope, get_principal
from shotdap.server.access.token_store import Token, TokenRefused, TokenStore
from shotdap.server.http.errors import Problem, answer, respond_with_problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response
from shotdap.server.pages import render_page, render_problem_page
from shotdap.server.pages.formatting import convert_timestamp
from shotdap.server.website.account.form_body import read_form

_PATH: Final = "/tokens"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_LIFETIMES: Final = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"))
_DEFAULT_DAYS: Final = 90
_SOON_DAYS: Final = 7
_SECONDS_PER_DAY: Final = 86_400
_SCOPES: Mapping[str, tuple[Scope, ...]] = MappingProxyType(
    {"read": (Scope.READ,), "export": (Scope.READ, Scope.EXPORT)}
)


@dataclass(frozen=True)
class TokenRow:
    """A token in the list."""

    id: str
    name: str
    allows: str
    used: str
    """ISO date, or empty."""
    expires: str
    days_left: int | None
    """If these are few."""
    is_current: bool
    """Whether the present request was made with it."""


def create_token_routes(database: AccessDatabase) -> list[Route]:
    """Create the routes of the page.

    Args:
        database: of the tokens.
    """
    pages = _TokenPages(TokenStore(database))
    return [
        Route(_PATH, pages.show, methods=["GET"]),
        Route(_PATH, pages.create, methods=["POST"]),
        Route(f"{_PATH}/revoke", pages.revoke, methods=["POST"]),
    ]


class _TokenPages:
    def __init__(self, store: TokenStore) -> None:
        self._store = store

    async def show(self, request: Request) -> Response:
        """Show the tokens, and the form to make one."""
        return await self._respond(request, _render_tokens)

    async def create(self, request: Request) -> Response:
        """Make a token; show its secret, this time only."""
        fields = await read_form(request)

        def create_token_page(page_request: HttpRequest, tokens: OwnTokens) -> HttpResponse:
            try:
                secret, token = tokens.create_token(_parse_token_form(fields))
            except TokenRefused as error:
                return _render_tokens(page_request, tokens, problem=str(error), fields=fields)
            return _render_tokens(page_request, tokens, secret=secret, new_token=token)

        return await self._respond(request, create_token_page)

    async def revoke(self, request: Request) -> Response:
        """Revoke a token."""
        fields = await read_form(request)

        def revoke_and_list(page_request: HttpRequest, tokens: OwnTokens) -> HttpResponse:
            try:
                tokens.revoke_token(fields.get("id", ""))
            except TokenRefused as error:
                return _render_tokens(page_request, tokens, problem=str(error))
            return HttpResponse.redirect(f"{page_request.root_path}{_PATH}", HTTPStatus.SEE_OTHER)

        return await self._respond(request, revoke_and_list)

    async def _respond(self, request: Request, act: Callable[[HttpRequest, OwnTokens], HttpResponse]) -> Response:
        page_request = HttpRequest.from_starlette(request)
        render_problem = partial(render_problem_page, page_request)
        principal = get_principal(page_request.state)

        def prepare() -> HttpResponse:
            if not principal.name:
                raise NotFound("This server is open to everybody: it has no users and no tokens.")
            try:
                return act(page_request, OwnTokens(self._store, principal))
            except NotAllowed as error:
                return respond_with_problem(Problem(HTTPStatus.FORBIDDEN, str(error), expected=True), render_problem)

        page = await run_in_threadpool(answer, prepare, render_problem, _PATH)
        return make_response(page.with_headers(_NO_STORE))


def _render_tokens(  # noqa: PLR0913 — what the page shows
    request: HttpRequest,
    tokens: OwnTokens,
    *,
    secret: str = "",
    new_token: Token | None = None,
    problem: str = "",
    fields: Mapping[str, str] = MappingProxyType({}),
) -> HttpResponse:
    principal = get_principal(request.state)
    rows: Sequence[TokenRow] = [_describe_token(token, principal) for token in tokens.list_tokens()]
    return render_page(
        "tokens.html",
        request,
        HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK,
        section="account",
        tokens=rows,
        secret=secret,
        new_token=new_token,
        problem=problem,
        fields=fields,
        lifetimes=_LIFETIMES,
        default_days=_DEFAULT_DAYS,
        may_export=Scope.EXPORT in principal.scopes,
        machine=request.base_url.partition("://")[2].partition("/")[0].partition(":")[0],
    )


def _parse_token_form(fields: Mapping[str, str]) -> TokenRequest:
    """Parse the form of a new token.

    Raises:
        TokenRefused: it is not valid.
    """
    days = fields.get("days", "")
    if days not in {str(number) for number, _ in _LIFETIMES}:
        raise TokenRefused("Say how long the token is valid: 7, 30, 90 or 365 days.")
    campaigns = tuple(filter(None, map(str.strip, fields.get("campaigns", "").split(","))))
    scopes = _SCOPES.get(fields.get("scope", "read"), _SCOPES["read"])
    return TokenRequest(
        fields.get("name", "").strip(), scopes, campaigns, (), fields.get("path", "").strip(), float(days)
    )


def _describe_token(token: Token, principal: Principal) -> TokenRow:
    limits = [*token.restriction.facts.get("campaign", ()), *token.restriction.facts.get("diagnostic", ())]
    limits += token.restriction.paths
    allows = ", ".join(limits) or "All that I may see"
    if Scope.EXPORT in token.scopes:
        allows += "; exports"
    left = None if token.expires is None else int((token.expires - time.time()) // _SECONDS_PER_DAY)
    return TokenRow(
        token.id,
        token.name,
        allows,
        convert_timestamp(token.used),
        convert_timestamp(token.expires),
        left if left is not None and left < _SOON_DAYS else None,
        is_current=token.id == principal.token_id,
    )
