"""Admits requests: finds the principal of each, and refuses what they may not do, before any route sees it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from shotdap.server.access.authentication import (
    Authenticator,
    Credentials,
    NotAllowed,
    NotAvailable,
    NotSignedIn,
    get_own_path,
    mount_at_path_token,
    parse_credentials,
)
from shotdap.server.access.limits.rate_limiter import LimitExceeded
from shotdap.server.access.limits.sign_in_limiter import SignInLimiter
from shotdap.server.access.principal import OPEN_PRINCIPAL, PRINCIPAL_KEY, Principal, Scope
from shotdap.server.access.route_scopes import find_scope
from shotdap.server.http.errors import Problem
from shotdap.server.problem_format import make_refusal

_LOG: Final = logging.getLogger("shotdap.access")
_CHALLENGES: Final = (b'Basic realm="shotdap", charset="UTF-8"', b'Bearer realm="shotdap"')
"""Both, on every 401: netCDF-C sends what it knows only after a challenge of Basic."""
_STATUS_CODES: Mapping[type[Exception], int] = MappingProxyType({NotSignedIn: 401, NotAllowed: 403, NotAvailable: 503})
_ANONYMOUS: Final = Principal("")
_VARY: Final = b"Authorization, Cookie"


class AccessMiddleware:
    """Finds the principal of each request, and puts it into the request's state.

    Args:
        app: the application.
        authenticators: tried in this order; none for a server that is open to everybody.
        sign_ins: limits those that fail; `None` for any number.
    """

    def __init__(
        self, app: ASGIApp, authenticators: Sequence[Authenticator] | None, sign_ins: SignInLimiter | None = None
    ) -> None:
        self._app = app
        self._authenticators = authenticators
        self._sign_ins = sign_ins

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or self._authenticators is None:
            if scope["type"] == "http":
                scope.setdefault("state", {})[PRINCIPAL_KEY] = OPEN_PRINCIPAL
            await self._app(scope, receive, send)
            return
        try:
            principal = await self._admit(scope)
        except LimitExceeded as refusal:
            response = make_refusal(refusal.problem, mount_at_path_token(scope))
            await response(scope, receive, _mark_private(send))
            return
        except (NotSignedIn, NotAllowed, NotAvailable) as error:
            problem = Problem(_STATUS_CODES[type(error)], str(error), expected=True)
            response = make_refusal(problem, mount_at_path_token(scope))
            if isinstance(error, NotSignedIn):
                response.raw_headers.extend((b"www-authenticate", challenge) for challenge in _CHALLENGES)
            await response(scope, receive, _mark_private(send))
            return
        scope.setdefault("state", {})[PRINCIPAL_KEY] = principal
        await self._app(mount_at_path_token(scope), receive, _mark_private(send))

    async def _admit(self, scope: AsgiScope) -> Principal:
        """Return the principal of a request that they may make.

        Raises:
            NotSignedIn: nobody is known who makes it.
            NotAllowed: they may not make it.
            NotAvailable: nobody can tell now who makes it.
            LimitExceeded: this sign-in, or others from its address, have failed too often.
        """
        needed: Scope | None = find_scope(get_own_path(mount_at_path_token(scope)))
        is_preflight = scope["method"] == "OPTIONS"  # has no credentials, and reveals no more than which methods exist
        if needed is None or is_preflight:
            # A session that has ended must not keep its user from signing in.
            with suppress(NotSignedIn, NotAvailable, LimitExceeded):
                return await self._authenticate(scope) or _ANONYMOUS
            return _ANONYMOUS
        principal = await self._authenticate(scope)
        if principal is not None:  # the audit says who was refused, too
            scope.setdefault("state", {})[PRINCIPAL_KEY] = principal
        if principal is None:
            raise NotSignedIn
        if needed not in principal.scopes:
            raise NotAllowed(f"This needs the scope {needed.value!r}, which your token does not have.")
        return principal

    async def _authenticate(self, scope: AsgiScope) -> Principal | None:
        """Return the principal with a request's credentials, as far as others have not failed; `None` without any."""
        credentials, client = parse_credentials(scope), scope.get("client")
        secret, address = "\n".join(credentials.tokens), client[0] if client else ""
        if self._sign_ins is None or not secret:  # a session that has ended is no attempt: its browser does not know it
            return await self._find_principal(credentials)
        is_new = self._sign_ins.check_attempt(secret, address)
        try:
            principal = await self._find_principal(credentials)
        except NotSignedIn:
            await self._sign_ins.count_failure(secret, address)
            raise
        if is_new:
            self._sign_ins.record_success(secret)
        return principal

    async def _find_principal(self, credentials: Credentials) -> Principal | None:
        for authenticator in self._authenticators or ():
            try:
                principal = await authenticator.authenticate(credentials)
            except (SQLAlchemyError, OSError) as error:
                _LOG.exception("nobody can be signed in: the database of tokens does not answer")
                raise NotAvailable("The database of tokens does not answer now; ask again later.") from error
            if principal is not None:
                return principal
        if credentials != Credentials():
            raise NotSignedIn("This token is not valid, or not any more.")
        return None


def _mark_private(send: Send) -> Send:
    """Keep shared caches from showing an answer to somebody else."""

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            vary: list[bytes] = []
            cached: list[bytes] = []
            others = []
            lists = {b"vary": vary, b"cache-control": cached}
            for name, value in message.get("headers", ()):
                if (values := lists.get(name.lower())) is not None:
                    values.append(value)
                else:
                    others.append((name, value))
            if not any(b"private" in value or b"no-store" in value for value in cached):
                cached.insert(0, b"private")
            marks = [(b"vary", b", ".join([*vary, _VARY])), (b"cache-control", b", ".join(cached))]
            message = {**message, "headers": others + marks}
        await send(message)

    return send_marked
