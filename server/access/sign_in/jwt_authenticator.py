"""The authenticator of JWTs that the identity provider signed for users and programs."""

from __future__ import annotations

import re
from typing import Final

import cachebox
from starlette.concurrency import run_in_threadpool

from shotdap.server.access.authentication import Credentials
from shotdap.server.access.policy import Policy
from shotdap.server.access.principal import Principal
from shotdap.server.access.sign_in.identity import IdentityRules
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.access.token_store import TokenStore, User

_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_MAX_USERS: Final = 4096


class JwtAuthenticator:
    """Knows access tokens of the identity provider, sent as Bearer.

    Args:
        provider: signs them.
        users: gets a record of each user, so that their tokens of this server follow their groups.
        policy: says what they may see.
    """

    def __init__(self, provider: IdentityProvider, users: TokenStore, policy: Policy) -> None:
        self._provider = provider
        self._rules = IdentityRules(provider.settings)
        self._users = users
        self._policy = policy
        self._recorded: cachebox.LRUCache[str, User] = cachebox.LRUCache(_MAX_USERS)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a JWT; see `Authenticator`.

        Raises:
            NotSignedIn: the JWT is not valid.
            NotAvailable: nobody can tell now, as the provider does not answer.
        """
        if not _JWT.fullmatch(credentials.bearer):
            return None
        user = self._rules.identify(await self._provider.verify_access_token(credentials.bearer))
        if self._recorded.get(user.name) != user:
            await run_in_threadpool(self._users.put_user, user)
            self._recorded[user.name] = user
        visibility = self._policy.find_visibility(user.name, user.groups)
        return Principal(user.name, user.groups, user.scopes, visibility)
