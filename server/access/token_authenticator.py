"""The authenticator of tokens: asks the database, and remembers its answer for half a second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import cachebox
from starlette.concurrency import run_in_threadpool

from shotdap.server.access.authentication import Credentials
from shotdap.server.access.policy import Policy
from shotdap.server.access.principal import Principal
from shotdap.server.access.token_store import TOKEN_PREFIX, Token, TokenStore, User, compute_digest

_REMEMBERED_SECONDS: Final = 0.5
"""How long a token that was revoked may still be used; a question to the database takes longer than a small answer."""
_MAX_REMEMBERED: Final = 4096
_USE_SECONDS: Final = 60.0  # between two records of a token's last use


@dataclass(frozen=True)
class _Answer:
    """The answer of the database about a secret, and its time."""

    principal: Principal | None
    is_link: bool
    time: float


class TokenAuthenticator:
    """Knows tokens: as Bearer, as the password of Basic, and those made for it in the path.

    Args:
        store: has the tokens.
        policy: says what their owners may see.
        path_links: whether a token may be part of a URL.
    """

    def __init__(self, store: TokenStore, policy: Policy, *, path_links: bool) -> None:
        self._store = store
        self._policy = policy
        self._path_links = path_links
        self._answers: cachebox.LRUCache[str, _Answer] = cachebox.LRUCache(_MAX_REMEMBERED)
        self._uses: dict[str, float] = {}

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a token; see `Authenticator`."""
        for secret in credentials.tokens:
            if not secret.startswith(TOKEN_PREFIX):
                continue
            key, now = compute_digest(secret), time.monotonic()
            answer = self._answers.get(key)
            if answer is None or now - answer.time > _REMEMBERED_SECONDS:
                answer = self._answers[key] = await run_in_threadpool(self._ask, secret, now)
            is_in_path = secret == credentials.path_token
            if answer.principal is not None and (not is_in_path or (self._path_links and answer.is_link)):
                return answer.principal
        return None

    def _ask(self, secret: str, now: float) -> _Answer:
        found = self._store.find_token(secret)
        if found is None:
            return _Answer(None, is_link=False, time=now)
        token, owner = found
        if now - self._uses.get(token.id, -_USE_SECONDS) >= _USE_SECONDS:
            self._uses[token.id] = now
            self._store.record_uses({token.id: time.time()})
        return _Answer(make_token_principal(token, owner, self._policy), token.is_link, now)


def make_token_principal(token: Token, owner: User, policy: Policy) -> Principal:
    """Return the principal of a token: never more than its owner may do now."""
    visibility = policy.find_visibility(owner.name, owner.groups)
    grants = token.restriction.grants
    return Principal(
        owner.name,
        owner.groups,
        token.scopes & owner.scopes,
        visibility.restrict(grants) if grants else visibility,
        token.id,
        may_delegate=not grants and not token.is_link,
        expires=token.expires,
    )
