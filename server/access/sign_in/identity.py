"""Identities: what the claims of an identity provider say about a user or a program, by the settings of the site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shotdap.config.settings import OidcSettings
from shotdap.server.access.authentication import NotSignedIn
from shotdap.server.access.principal import Scope
from shotdap.server.access.token_store import User

SERVICE_PREFIX: Final = "service:"
"""The beginning of the name of a program with an account of its own, which no user's name has."""

_EVERYBODY: Final = "*"
_MAX_NAME_LENGTH: Final = 200


class IdentityRules:
    """Rules that turn claims into a user with groups and scopes.

    Args:
        settings: of the identity provider.
    """

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._groups_by_scope = {
            Scope.READ: frozenset(settings.read_groups),
            Scope.EXPORT: frozenset(settings.export_groups),
            Scope.ADMIN: frozenset(settings.admin_groups),
        }

    def identify(self, claims: Mapping[str, Any]) -> User:
        """Return the user, or the program, that verified claims describe.

        Raises:
            NotSignedIn: they describe none that this server knows.
        """
        claimed = _find_claim(claims, self._settings.groups_claim)
        listed = [claimed] if isinstance(claimed, str) else claimed if isinstance(claimed, list) else []
        groups = frozenset(each for each in listed if isinstance(each, str))
        name = _find_claim(claims, self._settings.name_claim)
        if name is None:
            name, groups = self._identify_service(claims, groups)
        elif not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME_LENGTH:
            raise NotSignedIn(f"The claim {self._settings.name_claim!r} of the identity provider is no name.")
        elif name.startswith(SERVICE_PREFIX):
            raise NotSignedIn(f"No user's name begins with {SERVICE_PREFIX!r} here.")
        scopes = (
            scope for scope, allowed in self._groups_by_scope.items() if _EVERYBODY in allowed or allowed & groups
        )
        return User(name, groups, frozenset(scopes))

    def _identify_service(self, claims: Mapping[str, Any], groups: frozenset[str]) -> tuple[str, frozenset[str]]:
        """Return the name and the groups of a program that signed in as itself; then it is the subject, too."""
        client = claims.get("client_id", claims.get("azp"))
        if not isinstance(client, str) or claims.get("sub") != client:
            raise NotSignedIn(
                f"The identity provider says no name: the claim {self._settings.name_claim!r} is missing."
            )
        if client not in self._settings.service_groups:
            raise NotSignedIn(f"The program {client!r} has no account here (oidc.service_groups).")
        return f"{SERVICE_PREFIX}{client}", groups.union(self._settings.service_groups[client])


def _find_claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 — a claim may be anything
    """Return a claim, or one in a claim (``realm_access.roles``); `None` without it."""
    if name in claims:
        return claims[name]
    outer, _, inner = name.partition(".")
    value = claims.get(outer) if inner else None
    return _find_claim(value, inner) if isinstance(value, Mapping) else None
