"""Find out who makes a request: credentials in it, and the authenticators that know them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from shotdap.server.access.principal import Principal

SESSION_COOKIE: Final = "shotdap_session"
"""The name of the cookie with the number of a session of a browser."""

_PATH_TOKEN: Final = re.compile(r"/k/([^/]+)(?=/)")


class NotSignedIn(Exception):
    """The request has no credentials, or some that are not valid; the message is a sentence for the client."""

    def __init__(self, message: str = "Sign in: send a token as Bearer, or as the password.") -> None:
        super().__init__(message)


class NotAllowed(Exception):
    """The principal may not do this; the message is a sentence for the client."""


class NotAvailable(Exception):
    """Nobody can tell now who makes the request; the message is a sentence for the client."""


@dataclass(frozen=True)
class Credentials:
    """The credentials of a request; empty texts for what it does not have."""

    bearer: str = ""
    """A token, or a JWT of the identity provider."""
    password: str = ""
    """The password of Basic: a token, whatever the user's name is."""
    path_token: str = ""
    """A token in the path, ``/k/<token>/…``."""
    session: str = ""
    """The secret of a session of a browser."""

    @property
    def tokens(self) -> Sequence[str]:
        """Texts that may be tokens of this server, in the order in which they count."""
        return [each for each in (self.path_token, self.bearer, self.password) if each]


class Authenticator(Protocol):
    """Knows one kind of credentials."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the principal, or `None` if the credentials are of another kind.

        Raises:
            NotSignedIn: they are of this kind, and not valid.
            NotAvailable: they are of this kind, and cannot be checked now.
        """
        ...


def parse_credentials(scope: AsgiScope) -> Credentials:
    """Return the credentials of a request.

    Raises:
        NotSignedIn: they cannot be parsed.
    """
    headers = Headers(scope=scope)
    kind, _, text = headers.get("authorization", "").partition(" ")
    bearer = password = ""
    match kind.lower():
        case "bearer":
            bearer = text.strip()
        case "basic":
            password = decode_password(text.strip())
    session = parse_cookies(headers.get("cookie", "")).get(SESSION_COOKIE, "")
    return Credentials(bearer, password, find_path_token(scope), session)


def find_path_token(scope: AsgiScope) -> str:
    """Return the token in the path of a request; empty without one."""
    match = _PATH_TOKEN.match(get_own_path(scope))
    return match[1] if match else ""


def mount_at_path_token(scope: AsgiScope) -> AsgiScope:
    """Return the request as it is to an application that is mounted at its token, as all URLs in answers contain it."""
    match = _PATH_TOKEN.match(get_own_path(scope))
    return {**scope, "root_path": scope.get("root_path", "") + match[0]} if match else scope


def get_own_path(scope: AsgiScope) -> str:
    """Return the path of a request below the path at which the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def decode_password(text: str) -> str:
    """Return the password of Basic.

    Raises:
        NotSignedIn: the text is no user and password in base64.
    """
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        raise NotSignedIn("The header Authorization: Basic is no user and password in base64.") from None


def parse_cookies(text: str) -> Mapping[str, str]:
    """Return the cookies of a header; none if it cannot be parsed."""
    if not text:
        return {}
    cookies = SimpleCookie()
    try:
        cookies.load(text)
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in cookies.items()}
