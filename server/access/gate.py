"""The middleware of a site: who is known, by the mode of its settings."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware

from shotdap.config import BadSettings, Settings
from shotdap.server.access.authentication import Authenticator
from shotdap.server.access.database import AccessDatabase
from shotdap.server.access.middleware import AccessMiddleware
from shotdap.server.access.policy import Policy
from shotdap.server.access.token_authenticator import TokenAuthenticator
from shotdap.server.access.token_store import TokenStore

_LOOPBACK: Sequence[str] = ("127.", "::1", "localhost")


def create_access_middleware(settings: Settings, database: AccessDatabase) -> Middleware:
    """Create the middleware that admits requests.

    Raises:
        BadSettings: a rule is not valid.
    """
    access = settings.access
    policy = Policy(access)
    if access.mode == "open":
        return Middleware(AccessMiddleware, authenticators=None)
    authenticators: list[Authenticator] = [
        TokenAuthenticator(TokenStore(database), policy, path_links=access.path_links)
    ]
    return Middleware(AccessMiddleware, authenticators=authenticators)


def check_exposure(settings: Settings) -> None:
    """Refuse to open a server to everybody at an address that other machines reach, unless the settings say so.

    Raises:
        BadSettings: it would be.
    """
    host, access = settings.server.host, settings.access
    if access.mode == "open" and not access.open_anywhere and not host.startswith(tuple(_LOOPBACK)):
        raise BadSettings(
            f'access.mode is "open", so everybody who reaches {host} would see every image. Set access.mode to "token",'
            ' or, if that is meant, access.open_anywhere = true; or listen at server.host = "127.0.0.1".'
        )
