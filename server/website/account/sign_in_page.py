"""Sign-in and sign-out of browsers: with the laboratory's account, or with a token."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.config.settings import OidcSettings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.authentication import SESSION_COOKIE
from shotdap.server.access.principal import get_principal
from shotdap.server.access.sign_in.browser_middleware import SIGN_IN_PATH
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.access.sign_in.session_store import SessionStore
from shotdap.server.access.token_store import TokenStore
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response
from shotdap.server.pages import render_page
from shotdap.server.routes.sign_in import PROVIDER_PATH, is_own_page
from shotdap.server.website.account.form_body import read_form

_SIGN_OUT_PATH: Final = "/logout"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_UNKNOWN_TOKEN: Final = "This token is not known, or has been revoked."  # noqa: S105 — a sentence


def create_sign_in_pages(
    database: AccessDatabase, provider: IdentityProvider | None, settings: OidcSettings
) -> list[Route]:
    """Create the routes of sign-in and sign-out.

    Args:
        database: of sessions and tokens.
        provider: with which users sign in, if there is one.
        settings: with the lifetimes of sessions.
    """
    pages = _SignInPages(database, provider, settings)
    return [
        Route(SIGN_IN_PATH, pages.show_sign_in, methods=["GET"]),
        Route(SIGN_IN_PATH, pages.sign_in, methods=["POST"]),
        Route(_SIGN_OUT_PATH, pages.show_sign_out, methods=["GET"]),
        Route(_SIGN_OUT_PATH, pages.sign_out, methods=["POST"]),
    ]


class _SignInPages:
    def __init__(self, database: AccessDatabase, provider: IdentityProvider | None, settings: OidcSettings) -> None:
        self._sessions = SessionStore(database, settings)
        self._tokens = TokenStore(database)
        self._provider = provider

    async def show_sign_in(self, request: Request) -> Response:
        """Show the ways to sign in; a user who is signed in goes on."""
        page_request = HttpRequest.from_starlette(request)
        target = _choose_target(page_request, request.query_params.get("next", ""))
        if get_principal(page_request.state).scopes:
            return _redirect(target)
        return self._respond_form(page_request, target, "")

    async def sign_in(self, request: Request) -> Response:
        """Begin a session with a token: it allows what the token allows, and ends with it."""
        page_request, fields = HttpRequest.from_starlette(request), await read_form(request)
        target = _choose_target(page_request, fields.get("next", ""))
        found = await run_in_threadpool(self._tokens.find_token, fields.get("token", "").strip())
        if found is None or found[0].is_link:  # a link is for whoever has it, and one image: no sign-in
            return self._respond_form(page_request, target, _UNKNOWN_TOKEN)
        token, owner = found
        await run_in_threadpool(self._sessions.end_session, request.cookies.get(SESSION_COOKIE, ""))
        session = await run_in_threadpool(self._sessions.create_session, owner.name, token.id)
        response = _redirect(target)
        _set_session(request, response, session, None)
        return response

    async def show_sign_out(self, request: Request) -> Response:
        """Return the page with the button: a link or a picture elsewhere must not sign out anybody."""
        return self._respond_sign_out(request, is_signed_in=SESSION_COOKIE in request.cookies)

    async def sign_out(self, request: Request) -> Response:
        """End the session for all workers, and forget the cookie."""
        await run_in_threadpool(self._sessions.end_session, request.cookies.get(SESSION_COOKIE, ""))
        response = self._respond_sign_out(request, is_signed_in=False)
        _set_session(request, response, "", 0)
        return response

    def _respond_form(self, request: HttpRequest, target: str, problem: str) -> Response:
        status = HTTPStatus.FORBIDDEN if problem else HTTPStatus.OK
        page = render_page(
            "sign_in.html",
            request,
            status,
            target=target,
            problem=problem,
            provider_url=f"{request.root_path}{PROVIDER_PATH}?next={quote(target, safe='/')}" if self._provider else "",
        )
        return make_response(page.with_headers(_NO_STORE))

    def _respond_sign_out(self, request: Request, *, is_signed_in: bool) -> Response:
        url = self._provider.end_session_url if self._provider else None
        page = render_page(
            "sign_out.html", HttpRequest.from_starlette(request), is_signed_in=is_signed_in, provider_url=url
        )
        return make_response(page.with_headers(_NO_STORE))


def _choose_target(request: HttpRequest, page: str) -> str:
    """Return the page to go on to: a path of this server, and nothing else."""
    return page if is_own_page(page) else f"{request.root_path}/"


def _redirect(url: str) -> Response:
    return make_response(HttpResponse.redirect(url, HTTPStatus.SEE_OTHER).with_headers(_NO_STORE))


def _set_session(request: Request, response: Response, secret: str, seconds: int | None) -> None:
    """Set the cookie of a session, which no script reads and no other site sends; 0 seconds removes it."""
    path = f"{request.scope.get('root_path', '')}/"
    is_secure = request.url.scheme == "https"
    response.set_cookie(SESSION_COOKIE, secret, seconds, path=path, secure=is_secure, httponly=True, samesite="lax")
