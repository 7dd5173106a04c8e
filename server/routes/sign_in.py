"""Sign-in of browsers with the identity provider: the code flow of OpenID Connect with PKCE.

What has to be remembered between ``/login`` and ``/login/callback`` is in a cookie of the browser that began: one
secret, of which state, nonce and verifier are hashes, and the page to come back to. So nobody can fill the database by
beginning sign-ins, and a link with somebody else's code does not sign in a user as them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.authentication import SESSION_COOKIE, NotAvailable, NotSignedIn
from shotdap.server.access.sign_in.identity import IdentityRules
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.access.sign_in.session_store import SessionStore
from shotdap.server.access.token_store import TokenStore
from shotdap.server.http.errors import Problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response
from shotdap.server.pages import render_problem_page

PROVIDER_PATH: Final = "/login"
CALLBACK_PATH: Final = f"{PROVIDER_PATH}/callback"

_SECRET_BYTES: Final = 32
_ATTEMPT_SECONDS: Final = 600  # a user may have to find their second factor
_ATTEMPT_COOKIE: Final = "shotdap_login_"  # and the beginning of the state: several tabs may sign in at once
_STATE_PREFIX_LENGTH: Final = 8
_MAX_PAGE_LENGTH: Final = 2000
_NO_STORE: Final = {"Cache-Control": "no-store"}
_UNKNOWN_ATTEMPT: Final = (
    "This sign-in did not begin in this browser, or it began long ago, or the browser keeps no cookies. Begin again."
)


def create_sign_in_routes(database: AccessDatabase, provider: IdentityProvider) -> list[Route]:
    """Create the routes of sign-in with the provider.

    Args:
        database: of sessions and users.
        provider: with which users sign in.
    """
    sign_in = _SignIn(database, provider)
    return [
        Route(PROVIDER_PATH, sign_in.begin, methods=["GET"]),
        Route(CALLBACK_PATH, sign_in.finish, methods=["GET"]),
    ]


class _SignIn:
    def __init__(self, database: AccessDatabase, provider: IdentityProvider) -> None:
        settings = provider.settings
        self._provider = provider
        self._rules = IdentityRules(settings)
        self._sessions = SessionStore(database, settings)
        self._users = TokenStore(database)
        self._root_url = settings.public_url.rstrip("/")
        self._root_path = urlsplit(self._root_url).path
        self._is_secure = self._root_url.startswith("https:")

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider."""
        settings = self._provider.settings
        try:
            endpoints = await self._provider.find_endpoints()
        except NotAvailable as error:
            return _respond_problem(request, 503, str(error))
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        state = _derive(secret, "state")
        parameters = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": f"{self._root_url}{CALLBACK_PATH}",
            "scope": " ".join(settings.scopes),
            "state": state,
            "nonce": _derive(secret, "nonce"),
            "code_challenge": _encode(hashlib.sha256(_derive(secret, "verifier").encode()).digest()),
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in endpoints.authorization else "?"
        response = _redirect(f"{endpoints.authorization}{separator}{urlencode(parameters)}")
        page = request.query_params.get("next", "")
        value = f"{secret}.{quote(page if is_own_page(page) else '', safe='')}"
        self._set_cookie(response, _name_attempt(state), value, CALLBACK_PATH, _ATTEMPT_SECONDS)
        return response

    async def finish(self, request: Request) -> Response:
        """Take the browser back from the provider, and begin a session."""
        state = request.query_params.get("state", "")
        secret, _, page = request.cookies.get(_name_attempt(state), "").partition(".")
        if not secret or not hmac.compare_digest(_derive(secret, "state"), state.encode("ascii", "replace").decode()):
            return _respond_problem(request, 400, _UNKNOWN_ATTEMPT)
        try:
            user = self._rules.identify(await self._exchange(request, secret))
        except NotSignedIn as error:
            response = _respond_problem(request, 403, str(error))
        except NotAvailable as error:
            response = _respond_problem(request, 503, str(error))
        else:
            await run_in_threadpool(self._users.put_user, user)
            await run_in_threadpool(self._sessions.end_session, request.cookies.get(SESSION_COOKIE, ""))
            session = await run_in_threadpool(self._sessions.create_session, user.name)
            page = unquote(page)
            response = _redirect(page if is_own_page(page) else f"{self._root_path}/")
            self._set_cookie(response, SESSION_COOKIE, session, "/", None)
        self._set_cookie(response, _name_attempt(state), "", CALLBACK_PATH, 0)
        return response

    async def _exchange(self, request: Request, secret: str) -> dict[str, object]:
        """Return the claims of the user with whom the browser came back.

        Raises:
            NotSignedIn: there is none, or they are not for this sign-in.
            NotAvailable: the provider does not answer.
        """
        query = request.query_params
        settings = self._provider.settings
        if query.get("iss", settings.issuer) != settings.issuer:
            raise NotSignedIn("The browser came back from another identity provider.")
        if "code" not in query:
            raise NotSignedIn(f"The identity provider did not sign you in: {query.get('error', 'no code')[:60]}.")
        redirect_url = f"{self._root_url}{CALLBACK_PATH}"
        verifier, nonce = _derive(secret, "verifier"), _derive(secret, "nonce")
        return dict(await self._provider.exchange_code(query["code"], verifier, redirect_url, nonce))

    def _set_cookie(self, response: Response, name: str, value: str, path: str, seconds: int | None) -> None:
        """Set a cookie that no script reads and that no form of another site sends; 0 seconds removes it."""
        response.set_cookie(
            name,
            value,
            seconds,
            path=f"{self._root_path}{path}",
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )


def is_own_page(page: str) -> bool:
    r"""Check that a browser takes a text for a path of this server, and not for a URL of another one.

    Browsers read ``\`` as a slash, and leave out tabs and line feeds.
    """
    return (
        page.startswith("/")
        and not page.startswith("//")
        and "\\" not in page
        and page.isascii()
        and page.isprintable()
        and len(page) <= _MAX_PAGE_LENGTH
    )


def _name_attempt(state: str) -> str:
    return f"{_ATTEMPT_COOKIE}{state[:_STATE_PREFIX_LENGTH]}"


def _derive(secret: str, purpose: str) -> str:
    """Return a value that only who knows the secret can compute, and that does not reveal it."""
    return _encode(hmac.digest(secret.encode(), purpose.encode(), "sha256"))


def _encode(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _redirect(url: str) -> Response:
    return make_response(HttpResponse.redirect(url, HTTPStatus.SEE_OTHER).with_headers(_NO_STORE))


def _respond_problem(request: Request, status: int, message: str) -> Response:
    page = render_problem_page(HttpRequest.from_starlette(request), Problem(status, message, expected=True))
    return make_response(page.with_headers(_NO_STORE))
