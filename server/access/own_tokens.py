"""A user's own tokens: made, listed and revoked by themselves, within what they may do now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shotdap.server.access.authentication import NotAllowed
from shotdap.server.access.principal import Principal, Scope
from shotdap.server.access.token_store import Token, TokenRestriction, TokenStore


@dataclass(frozen=True)
class TokenRequest:
    """A token that a user wants to have."""

    name: str
    scopes: Collection[Scope] = (Scope.READ,)
    campaigns: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()
    path: str = ""
    days: float | None = None
    is_link: bool = False


class OwnTokens:
    """The tokens of the user who makes a request.

    Args:
        store: has the tokens of all.
        principal: of the request.

    Raises:
        NotAllowed: the principal manages no tokens.
    """

    def __init__(self, store: TokenStore, principal: Principal) -> None:
        if not principal.may_delegate:
            raise NotAllowed("A restricted token, or a link, manages no tokens; use another one.")
        self._store = store
        self._principal = principal

    def create_token(self, wanted: TokenRequest) -> tuple[str, Token]:
        """Make a token, which expires no later than the one that the request was made with; return its secret, too.

        Raises:
            NotAllowed: it would allow more than the user may do.
            TokenRefused: no such token can be made.
        """
        principal = self._principal
        beyond = {*wanted.scopes} - principal.scopes
        if beyond or not wanted.scopes:
            raise NotAllowed(f"You may not do this yourself: {', '.join(sorted(beyond)) or 'nothing'}.")
        facts = {"campaign": wanted.campaigns, "diagnostic": wanted.diagnostics}
        path = wanted.path.strip("/")
        restriction = TokenRestriction(
            {name: texts for name, texts in facts.items() if texts}, (path,) if wanted.path else ()
        )
        return self._store.create_token(
            principal.name,
            wanted.name,
            wanted.scopes,
            restriction=restriction,
            days=wanted.days,
            latest_end=principal.expires,
            is_link=wanted.is_link,
        )

    def list_tokens(self) -> Sequence[Token]:
        """List the tokens, the newest first."""
        return self._store.list_tokens(self._principal.name)

    def revoke_token(self, id_: str) -> None:
        """Revoke a token; an administrator revokes anybody's.

        Raises:
            TokenRefused: there is no such token.
        """
        is_admin = Scope.ADMIN in self._principal.scopes
        self._store.revoke_token(id_, None if is_admin else self._principal.name)
