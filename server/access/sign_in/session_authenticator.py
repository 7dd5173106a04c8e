"""The authenticator of sessions of browsers."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from shotdap.server.access.authentication import Credentials, NotSignedIn
from shotdap.server.access.policy import Policy
from shotdap.server.access.principal import Principal
from shotdap.server.access.sign_in.session_store import SessionStore
from shotdap.server.access.token_authenticator import make_token_principal
from shotdap.server.access.token_store import TokenStore


class SessionAuthenticator:
    """Knows the secrets in the cookies of browsers. The database is asked for each request: a logout holds at once.

    Args:
        sessions: of the browsers.
        users: with their groups and scopes as last recorded.
        policy: says what they may see.
    """

    def __init__(self, sessions: SessionStore, users: TokenStore, policy: Policy) -> None:
        self._sessions = sessions
        self._users = users
        self._policy = policy

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a session; a request with other credentials, too, is meant to use those.

        Raises:
            NotSignedIn: the session has ended.
        """
        if not credentials.session or credentials.tokens:
            return None
        principal = await run_in_threadpool(self._find_principal, credentials.session)
        if principal is None:
            raise NotSignedIn("Your session has ended; sign in again.")
        return principal

    def _find_principal(self, secret: str) -> Principal | None:
        session = self._sessions.find_session(secret)
        if session is None:
            return None
        if session.token:  # it allows what its token allows, and ends with it
            found = self._users.find_token_by_id(session.token)
            return None if found is None else make_token_principal(*found, self._policy)
        user = self._users.find_user(session.user)
        if user is None:
            return None
        visibility = self._policy.find_visibility(user.name, user.groups)
        return Principal(user.name, user.groups, user.scopes, visibility)
