"""Tokens: their secrets, what they allow, and their users.

A token is 256 random bits. Only its SHA-256 is stored: whoever reads the database learns no token, and a hash that is
slow on purpose would protect nothing, as such a number cannot be guessed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import string
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog import Grant
from shotdap.server.access.access_database import METADATA, AccessDatabase
from shotdap.server.access.principal import Scope

TOKEN_PREFIX: Final = "sd_"  # noqa: S105 — no secret: programs that search for leaked secrets know them by it

_ALPHABET: Final = string.digits + string.ascii_letters
_RANDOM_BITS: Final = 256
_TOKEN_LENGTH: Final = 43  # digits of 256 bits in this alphabet
_ID_LENGTH: Final = 10
_MAX_NAME_LENGTH: Final = 100
_SECONDS_PER_DAY: Final = 86_400.0

_USERS: Final = sa.Table(
    "access_users",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("groups", sa.JSON, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),  # when their groups and scopes were last known, in seconds since 1970
)
_TOKENS: Final = sa.Table(
    "access_tokens",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("paths", sa.JSON, nullable=False),
    sa.Column("is_link", sa.Boolean, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("expires", sa.Double),
    sa.Column("used", sa.Double),
    sa.Index("access_tokens_by_owner", "owner", "created"),
)


@dataclass(frozen=True)
class User:
    """A user as the administrator, or the identity provider at the last sign-in, describes them."""

    name: str
    groups: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = frozenset({Scope.READ})


@dataclass(frozen=True)
class TokenRestriction:
    """A restriction of a token to some of the images that its owner may see; an empty one leaves all of them."""

    facts: Mapping[str, tuple[str, ...]]
    """Texts that facts of an image may have: ``{"campaign": ("DRACO*",)}``."""
    paths: tuple[str, ...] = ()

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The same as grants; none without a restriction."""
        if not self.facts and not self.paths:
            return ()
        return (Grant(tuple(sorted(self.facts.items())), self.paths),)


@dataclass(frozen=True)
class Token:
    """A token without its secret."""

    id: str
    owner: str
    name: str
    scopes: frozenset[Scope]
    restriction: TokenRestriction
    is_link: bool
    """Whether it may be part of a URL; it then reads only."""
    created: float
    """In seconds since 1970, as the following."""
    expires: float | None
    used: float | None
    """The time of the last use, within a minute."""

    @property
    def has_expired(self) -> bool:
        """True if it is not valid any more."""
        return self.expires is not None and time.time() >= self.expires


class TokenRefused(ValueError):
    """No such token can be made, or there is none; the message is a sentence for the user."""


class TokenStore:
    """The tokens and users of a site.

    Args:
        database: has them.
    """

    def __init__(self, database: AccessDatabase) -> None:
        self._database = database

    def put_user(self, user: User) -> None:
        """Record a user as they are now. All their tokens follow: none has more than its owner."""
        values = {"groups": sorted(user.groups), "scopes": sorted(user.scopes), "seen": time.time()}
        with self._database.begin() as connection:
            updated = connection.execute(sa.update(_USERS).where(_USERS.c.name == user.name).values(values))
            if not updated.rowcount:
                connection.execute(sa.insert(_USERS).values(name=user.name, **values))

    def find_user(self, name: str) -> User | None:
        """Return a user as they were last recorded."""
        with self._database.begin_read() as connection:
            row = connection.execute(sa.select(_USERS).where(_USERS.c.name == name)).mappings().first()
        return None if row is None else User(name, frozenset(row["groups"]), _parse_scopes(row["scopes"]))

    def create_token(  # noqa: PLR0913 — what a token is
        self,
        owner: str,
        name: str,
        scopes: Collection[Scope],
        *,
        restriction: TokenRestriction | None = None,
        days: float | None = None,
        latest_end: float | None = None,
        is_link: bool = False,
    ) -> tuple[str, Token]:
        """Make a token.

        Args:
            owner: the user's name; `put_user` has recorded them.
            name: by which the owner knows it.
            scopes: what it allows, as far as its owner may do it when it is used.
            restriction: to some images.
            days: after which it expires; `None` for never.
            latest_end: the time at which it expires at the latest, in seconds since 1970; `None` for any.
            is_link: whether it may be part of a URL.

        Returns:
            The secret, which nobody can find out again, and the token.

        Raises:
            TokenRefused: a link that never expires, or that allows more than to read; a name that is empty or too
                long; or a restriction to the whole catalog.
        """
        if not name or len(name) > _MAX_NAME_LENGTH:
            raise TokenRefused(f"A token's name has 1 to {_MAX_NAME_LENGTH} characters.")
        if is_link and (days is None or frozenset(scopes) != {Scope.READ}):
            raise TokenRefused('A link expires, and its only scope is "read": URLs end up in logs and histories.')
        restriction = restriction or TokenRestriction({})
        if not all(restriction.paths):
            raise TokenRefused("An empty path would be the whole catalog; name an image or a folder, or no path.")
        secret = f"{TOKEN_PREFIX}{_encode_number(secrets.randbits(_RANDOM_BITS))}"
        now = time.time()
        ends = [end for end in (latest_end, None if days is None else now + days * _SECONDS_PER_DAY) if end is not None]
        token = Token(
            "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH)),
            owner,
            name,
            frozenset(scopes),
            restriction,
            is_link,
            now,
            min(ends, default=None),
            None,
        )
        values = {
            "id": token.id,
            "digest": compute_digest(secret),
            "owner": owner,
            "name": name,
            "scopes": sorted(token.scopes),
            "facts": json.loads(json.dumps(dict(restriction.facts))),
            "paths": list(restriction.paths),
            "is_link": is_link,
            "created": now,
            "expires": token.expires,
        }
        with self._database.begin() as connection:
            connection.execute(sa.insert(_TOKENS).values(values))
        return secret, token

    def find_token(self, secret: str) -> tuple[Token, User] | None:
        """Return the valid token with a secret, and its owner as they are now; `None` if there is none."""
        return self._find_valid(_TOKENS.c.digest == compute_digest(secret)) if secret.startswith(TOKEN_PREFIX) else None

    def find_token_by_id(self, id_: str) -> tuple[Token, User] | None:
        """Return the valid token with an id, and its owner as they are now; `None` if there is none."""
        return self._find_valid(_TOKENS.c.id == id_)

    def _find_valid(self, condition: sa.ColumnElement[bool]) -> tuple[Token, User] | None:
        statement = (
            sa.select(_TOKENS, _USERS.c.groups, _USERS.c.scopes.label("owner_scopes"))
            .join(_USERS, _USERS.c.name == _TOKENS.c.owner)
            .where(condition)
        )
        with self._database.begin_read() as connection:
            row = connection.execute(statement).mappings().first()
        if row is None or (token := _decode_token(row)).has_expired:
            return None
        return token, User(token.owner, frozenset(row["groups"]), _parse_scopes(row["owner_scopes"]))

    def list_tokens(self, owner: str | None = None) -> Sequence[Token]:
        """List the tokens of a user, or of everybody, the newest first."""
        statement = sa.select(_TOKENS).order_by(_TOKENS.c.created.desc())
        if owner is not None:
            statement = statement.where(_TOKENS.c.owner == owner)
        with self._database.begin_read() as connection:
            return [_decode_token(row) for row in connection.execute(statement).mappings()]

    def revoke_token(self, id_: str, owner: str | None = None) -> None:
        """Revoke a token: no request with it is answered any more.

        Args:
            id_: of the token.
            owner: whose token it has to be; `None` for anybody's.

        Raises:
            TokenRefused: there is no such token.
        """
        statement = sa.delete(_TOKENS).where(_TOKENS.c.id == id_)
        if owner is not None:
            statement = statement.where(_TOKENS.c.owner == owner)
        with self._database.begin() as connection:
            if not connection.execute(statement).rowcount:
                raise TokenRefused(f"There is no token {id_!r}; it may have been revoked before.")

    def record_uses(self, uses: Mapping[str, float]) -> None:
        """Record the time of the last use of tokens, by their ids."""
        with self._database.begin() as connection:
            for id_, moment in uses.items():
                connection.execute(sa.update(_TOKENS).where(_TOKENS.c.id == id_).values(used=moment))


def _decode_token(row: Mapping[Any, Any]) -> Token:
    return Token(
        row["id"],
        row["owner"],
        row["name"],
        _parse_scopes(row["scopes"]),
        TokenRestriction({name: tuple(texts) for name, texts in row["facts"].items()}, tuple(row["paths"])),
        row["is_link"],
        row["created"],
        row["expires"],
        row["used"],
    )


def _parse_scopes(names: Collection[str]) -> frozenset[Scope]:
    return frozenset(map(Scope, names))


def compute_digest(secret: str) -> str:
    """Compute the text by which the secret of a token or a session is stored, and found."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _encode_number(number: int) -> str:
    """Write a number of 256 bits with letters and digits only, so that no shell and no URL has to quote it."""
    digits = []
    for _ in range(_TOKEN_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
