"""Sign-in with the identity provider of a laboratory: what knows its users, in the order of authentication."""

from __future__ import annotations

from shotdap.config import Settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.authentication import Authenticator
from shotdap.server.access.policy import Policy
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.access.sign_in.jwt_authenticator import JwtAuthenticator
from shotdap.server.access.sign_in.session_authenticator import SessionAuthenticator
from shotdap.server.access.sign_in.session_store import SessionStore
from shotdap.server.access.token_store import TokenStore


def make_oidc_authenticators(
    settings: Settings, database: AccessDatabase, policy: Policy, provider: IdentityProvider
) -> tuple[Authenticator, ...]:
    """Make the authenticators of users and programs of the identity provider, to stand behind that of tokens.

    Args:
        settings: of the site.
        database: of its sessions and users.
        policy: says what they may see.
        provider: signs their tokens.
    """
    users = TokenStore(database)
    sessions = SessionStore(database, settings.oidc)
    return (JwtAuthenticator(provider, users, policy), SessionAuthenticator(sessions, users, policy))
