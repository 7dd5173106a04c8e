"""The limit of sign-ins that fail: some in half a minute, for each credential and for each address.

A token has 256 random bits, so nobody finds one by trying. The limit is for passwords that users take for tokens, for
programs that go on with a token that was revoked, and for the database that each unknown token is looked up in.

Many users share an address, that of their laboratory's router. So what one of them does wrong must not keep the others
out:

- The same wrong credential, sent again and again by a program, counts once for its address. The credential itself is
  refused without a look at it after some failures; it is no good one that anybody else could have.
- An address from which several different credentials have failed may go on with those that this worker knows to be
  good. Only unknown ones have to wait.
"""

from __future__ import annotations

import hashlib
from typing import Final

import cachebox
from limits import RateLimitItem, RateLimitItemPerSecond

from shotdap.config.settings import LimitSettings
from shotdap.server.access.limits.rate_counters import RateCounters
from shotdap.server.access.limits.rate_limiter import LimitExceeded
from shotdap.server.access.trusted_proxies import find_client_network, is_loopback
from shotdap.server.http.errors import Problem

_WINDOW_SECONDS: Final = 30
_MAX_REMEMBERED: Final = 4096


class SignInLimiter:
    """The limit of sign-ins that fail, in one worker of a server. As the other limits, it counts nobody on loopback.

    Args:
        settings: with the limit.
        counters: of the workers of the server.
        key: random bytes of all workers. Counters are stored, and a wrong password may be somebody's elsewhere: without
            the key nobody learns it from the database.
    """

    def __init__(self, settings: LimitSettings, counters: RateCounters, key: bytes) -> None:
        limit = settings.failed_sign_ins
        self._counters = counters
        self._key = key
        self._item: RateLimitItem | None = (
            RateLimitItemPerSecond(limit, _WINDOW_SECONDS, namespace="sign-ins") if limit else None
        )
        self._good: cachebox.LRUCache[str, bool] = cachebox.LRUCache(_MAX_REMEMBERED)

    def check_attempt(self, secret: str, address: str) -> bool:
        """Check that a credential may be tried.

        Args:
            secret: the credential.
            address: of the client.

        Returns:
            Whether `record_success` is of use: not if it is known to be good, or attempts from there are not counted.

        Raises:
            LimitExceeded: it, or others from this address, have failed too often.
        """
        if self._item is None or is_loopback(address):
            return False
        credential = self._name_credential(secret)
        if credential in self._good:
            return False
        for key, what in (
            (credential, "This token was refused"),
            (_name_network(address), "Sign-ins failed from your address"),
        ):
            if not self._counters.is_within(self._item, key):
                _, seconds = self._counters.describe_window(self._item, key)
                message = f"{what} too often (limits.failed_sign_ins). Wait {seconds} s."
                raise LimitExceeded(Problem(429, message, expected=True, extra_headers={"Retry-After": f"{seconds}"}))
        return True

    def record_success(self, secret: str) -> None:
        """Remember that a credential is good."""
        self._good[self._name_credential(secret)] = True

    async def count_failure(self, secret: str, address: str) -> None:
        """Count a credential that is not good; of several failures of the same one, its address counts the first."""
        if self._item is None or is_loopback(address):
            return
        credential = self._name_credential(secret)
        self._good.pop(credential, None)
        await self._counters.count_shared(self._item, credential)
        left, _ = self._counters.describe_window(self._item, credential)
        if left == self._item.amount - 1:
            await self._counters.count_shared(self._item, _name_network(address))

    def _name_credential(self, secret: str) -> str:
        return f"credential:{hashlib.blake2b(secret.encode(), digest_size=16, key=self._key).hexdigest()}"


def _name_network(address: str) -> str:
    return f"address:{find_client_network(address)}"
