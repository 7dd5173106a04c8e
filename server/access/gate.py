"""The middleware of a site: who is known, by the mode of its settings."""

from __future__ import annotations

from starlette.middleware import Middleware

from shotdap.config import BadSettings, Settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.access_middleware import AccessMiddleware
from shotdap.server.access.authentication import Authenticator
from shotdap.server.access.limits.sign_in_limiter import SignInLimiter
from shotdap.server.access.origin_middleware import OriginMiddleware
from shotdap.server.access.policy import Policy
from shotdap.server.access.sign_in.browser_middleware import BrowserMiddleware
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.access.sign_in.oidc import make_oidc_authenticators
from shotdap.server.access.sign_in.session_authenticator import SessionAuthenticator
from shotdap.server.access.sign_in.session_store import SessionStore
from shotdap.server.access.token_authenticator import TokenAuthenticator
from shotdap.server.access.token_store import TokenStore
from shotdap.server.access.trusted_proxies import is_local_host


def create_access_middleware(
    settings: Settings,
    database: AccessDatabase,
    provider: IdentityProvider | None,
    sign_ins: SignInLimiter | None = None,
) -> list[Middleware]:
    """Create the middleware that admits requests, the outermost first.

    Args:
        settings: of the site.
        database: of its tokens and sessions.
        provider: of its users' identities, if there is one.
        sign_ins: limits those that fail; `None` for any number.

    Raises:
        BadSettings: a rule is not valid.
    """
    access = settings.access
    policy = Policy(access)
    origins = Middleware(
        OriginMiddleware,
        public_url=settings.oidc.public_url if access.mode == "oidc" else "",
        trusted_origins=settings.server.cors_origins,
    )
    if access.mode == "open":
        return [origins, Middleware(AccessMiddleware, authenticators=None)]
    authenticators: list[Authenticator] = [
        TokenAuthenticator(TokenStore(database), policy, path_links=access.path_links)
    ]
    if provider is None:
        sessions = SessionStore(database, settings.oidc)
        authenticators.append(SessionAuthenticator(sessions, TokenStore(database), policy))
    else:
        authenticators += make_oidc_authenticators(settings, database, policy, provider)
    return [
        origins,
        Middleware(BrowserMiddleware),
        Middleware(AccessMiddleware, authenticators=authenticators, sign_ins=sign_ins),
    ]


def open_identity_provider(settings: Settings) -> IdentityProvider | None:
    """Open the identity provider of a site; `None` if its mode has none. Nothing is asked of it yet.

    Raises:
        BadSettings: a setting is missing or not valid.
    """
    return IdentityProvider(settings.oidc) if settings.access.mode == "oidc" else None


def check_exposure(settings: Settings) -> None:
    """Refuse to open a server to everybody at an address that other machines reach, unless the settings say so.

    Raises:
        BadSettings: it would be.
    """
    host, access = settings.server.host, settings.access
    if access.mode == "open" and not access.open_anywhere and not is_local_host(host):
        raise BadSettings(
            f'access.mode is "open", so everybody who reaches {host} would see every image. Set access.mode to "token",'
            ' or, if that is meant, access.open_anywhere = true; or listen at server.host = "127.0.0.1".'
        )
