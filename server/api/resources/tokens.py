"""The tokens of the user who asks: made, listed and revoked by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.authentication import NotAllowed
from shotdap.server.access.own_tokens import OwnTokens, TokenRequest
from shotdap.server.access.principal import Scope, get_principal
from shotdap.server.access.token_store import Token, TokenRefused, TokenStore
from shotdap.server.api.problem_details import describe_failure

_MAX_TEXTS: Final = 100
_Texts = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=_MAX_TEXTS)]
_NOT_ALLOWED: Final = describe_failure(403, "You may not do this, or not with this token.")
_NO_USERS: Final = describe_failure(404, "The server is open to everybody: it has no users and no tokens.")


class TokenOrder(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="By which you know it.", min_length=1, max_length=100)
    scopes: tuple[Scope, ...] = Field((Scope.READ,), description="What it allows, as far as you may do it.")
    campaigns: _Texts = Field((), description="Only images of these campaigns; `*` may end a name.")
    diagnostics: _Texts = Field((), description="Only images of these diagnostics; `*` may end a name.")
    path: str = Field("", description="Only this image, or what is below this folder.", max_length=1000)
    days: float | None = Field(None, description="After which it expires; never, if left out.", gt=0, le=36500)
    is_link: bool = Field(
        default=False, description="Whether it may be part of a URL, `/k/TOKEN/dap/…`; it reads only."
    )


class TokenDocument(BaseModel):
    """A token without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    campaigns: list[str]
    diagnostics: list[str]
    path: str
    is_link: bool
    created: datetime
    expires: datetime | None
    used: datetime | None = Field(description="The last use, within a minute.")


class NewToken(TokenDocument):
    """A token that was just made."""

    secret: str = Field(description="Shown once: send it as Bearer, or as the password with any user name.")


class Tokens(BaseModel):
    """All tokens of a user, the newest first."""

    tokens: list[TokenDocument]


def create_tokens_router(access: AccessDatabase | None) -> APIRouter:
    """Create the routes; none for an application without a database of tokens."""
    routes = APIRouter(prefix="/tokens", tags=["tokens"])
    store = None if access is None else TokenStore(access)

    def open_tokens(request: Request) -> OwnTokens:
        """Return the tokens of the user who asks."""
        principal = get_principal(request.scope.get("state", {}))
        if store is None or not principal.name:
            raise HTTPException(404, "This server is open to everybody: it has no users and no tokens.")
        try:
            return OwnTokens(store, principal)
        except NotAllowed as error:
            raise HTTPException(403, str(error)) from error

    @routes.post(
        "",
        status_code=201,
        response_model=NewToken,
        operation_id="create_token",
        summary="Make a token",
        responses={
            400: describe_failure(400, "No such token can be made."),
            403: _NOT_ALLOWED,
            404: _NO_USERS,
        },
    )
    def create_token(request: Request, order: TokenOrder) -> NewToken:
        """Make a token for yourself, or for a program, or as a link to one image for a colleague.

        It expires no later than the token that it is made with.
        """
        return _make_token(open_tokens(request), order)

    @routes.get("", operation_id="tokens", summary="Your tokens", responses={403: _NOT_ALLOWED, 404: _NO_USERS})
    def list_tokens(request: Request) -> Tokens:
        """List your tokens, without their secrets, the newest first."""
        return Tokens(tokens=[_describe_token(token) for token in open_tokens(request).list_tokens()])

    @routes.delete(
        "/current",
        status_code=204,
        response_class=Response,
        operation_id="revoke_current_token",
        summary="Revoke the token that you send",
        responses={404: describe_failure(404, "You did not sign in with a token of this server.")},
    )
    def revoke_current_token(request: Request) -> Response:
        """Revoke the token that this request is sent with, a restricted one or a link, too: `shotdap logout` does."""
        principal = get_principal(request.scope.get("state", {}))
        if store is None or not principal.token_id:
            raise HTTPException(404, "You did not sign in with a token of this server.")
        return _revoke_token(store.revoke_token, principal.token_id)

    @routes.delete(
        "/{id}",
        status_code=204,
        response_class=Response,
        operation_id="revoke_token",
        summary="Revoke a token",
        responses={403: _NOT_ALLOWED, 404: describe_failure(404, "There is no such token of yours.")},
    )
    def revoke_token(
        request: Request,
        id: Annotated[str, Path(max_length=64, description="A token's public part.")],  # noqa: A002 — the parameter's own name
    ) -> Response:
        """Revoke one of your tokens; an administrator revokes anybody's. It takes half a second at most."""
        return _revoke_token(open_tokens(request).revoke_token, id)

    return routes


def _make_token(tokens: OwnTokens, order: TokenOrder) -> NewToken:
    """Make a token, or say why not."""
    try:
        secret, token = tokens.create_token(TokenRequest(**dict(order)))
    except NotAllowed as error:
        raise HTTPException(403, str(error)) from error
    except TokenRefused as error:
        raise HTTPException(400, str(error)) from error
    return NewToken(**_describe_token(token).model_dump(), secret=secret)


def _revoke_token(revoke: Callable[[str], None], id_: str) -> Response:
    """Revoke a token by a function that may know no token with this id."""
    try:
        revoke(id_)
    except TokenRefused as error:
        raise HTTPException(404, str(error)) from error
    return Response(status_code=204)


def _describe_token(token: Token) -> TokenDocument:
    facts, paths = token.restriction.facts, token.restriction.paths
    return TokenDocument(
        id=token.id,
        name=token.name,
        scopes=sorted(token.scopes),
        campaigns=list(facts.get("campaign", ())),
        diagnostics=list(facts.get("diagnostic", ())),
        path=paths[0] if paths else "",
        is_link=token.is_link,
        created=_to_date(token.created),
        expires=None if token.expires is None else _to_date(token.expires),
        used=None if token.used is None else _to_date(token.used),
    )


def _to_date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
