"""The authenticator of sessions of browsers."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from shotdap.server.access.authentication import Credentials, NotSignedIn
from shotdap.server.access.policy import Policy
from shotdap.server.access.principal import Principal
from shotdap.server.access.sign_in.session_store import SessionStore
from shotdap.server.access.token_store import TokenStore, User


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
        user = await run_in_threadpool(self._find_user, credentials.session)
        if user is None:
            raise NotSignedIn("Your session has ended; sign in again.")
        visibility = self._policy.find_visibility(user.name, user.groups)
        return Principal(user.name, user.groups, user.scopes, visibility)

    def _find_user(self, secret: str) -> User | None:
        name = self._sessions.find_user(secret)
        return None if name is None else self._users.find_user(name)
