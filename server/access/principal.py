"""A principal: who makes a request, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from starlette.types import Scope as AsgiScope

from shotdap.catalog import EVERYTHING, NOTHING, Visibility

PRINCIPAL_KEY: Final = "principal"
"""Key of a request's state that has its `Principal`."""


class Scope(StrEnum):
    """A kind of action that a principal may take."""

    READ = "read"
    """Look at images and their values, and download them one by one."""
    EXPORT = "export"
    """Have jobs and packages of many images made."""
    ADMIN = "admin"
    """See everybody's tokens, jobs and accesses, and end them."""


@dataclass(frozen=True)
class Principal:
    """The user or program that makes a request."""

    name: str
    """The user's name, as the identity provider or the maker of a token gives it; empty for an unknown user."""
    groups: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = frozenset()
    visibility: Visibility = NOTHING
    """The images that exist for them."""
    token_id: str = ""
    """The public part of the token that they used, for the record; empty without one."""
    may_delegate: bool = True
    """Whether they may make, list and revoke tokens; one that is restricted, or that others have as a link, may not."""
    expires: float | None = None
    """When the token that they used expires, in seconds since 1970; `None` for never."""


OPEN_PRINCIPAL: Final = Principal("", scopes=frozenset({Scope.READ, Scope.EXPORT}), visibility=EVERYTHING)
"""Whoever asks a server that is open to everybody."""


def get_owner(scope: AsgiScope) -> str:
    """Return whom something belongs to that a request makes: its principal, or its address if nobody signs in."""
    client = scope.get("client")
    return get_principal(scope.get("state", {})).name or (client[0] if client else "")


def get_principal(state: Mapping[str, Any]) -> Principal:
    """Return the principal of a request; an application without `AccessMiddleware` is open to everybody."""
    principal = state.get(PRINCIPAL_KEY, OPEN_PRINCIPAL)
    if not isinstance(principal, Principal):
        raise TypeError("The principal of the request has been overwritten.")
    return principal
