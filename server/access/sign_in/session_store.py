"""Sessions of browsers: kept by the server, so that the end of one is its end for every worker.

A session's secret is 256 random bits in a cookie. Only its SHA-256 is stored.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from shotdap.config.settings import OidcSettings
from shotdap.server.access.access_database import METADATA, AccessDatabase
from shotdap.server.access.token_store import compute_digest

_SECRET_BYTES: Final = 32
_USE_SECONDS: Final = 30.0  # between two records of a session's last use
_SECONDS_PER_MINUTE: Final = 60.0
_SECONDS_PER_HOUR: Final = 3600.0

_SESSIONS: Final = sa.Table(
    "access_sessions",
    METADATA,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("used", sa.Double, nullable=False),  # in seconds since 1970, as the next
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("token", sa.Text, nullable=False, server_default=""),
    sa.Index("access_sessions_by_expiry", "expires"),
)

_FIND: Final = sa.select(_SESSIONS.c.user, _SESSIONS.c.token, _SESSIONS.c.used, _SESSIONS.c.expires).where(
    _SESSIONS.c.digest == sa.bindparam("wanted")
)
"""Built once: building it takes as long as executing it, and every request of a browser does."""


@dataclass(frozen=True)
class Session:
    """A session of a browser."""

    user: str
    token: str
    """The id of the token that began it; empty if the identity provider did."""


class SessionStore:
    """The sessions of a site.

    Args:
        database: has them.
        settings: with their lifetimes.
    """

    def __init__(self, database: AccessDatabase, settings: OidcSettings) -> None:
        self._database = database
        self._lifetime = settings.session_hours * _SECONDS_PER_HOUR
        self._idle_time = settings.idle_minutes * _SECONDS_PER_MINUTE

    def create_session(self, user: str, token: str = "") -> str:
        """Begin a session, and remove those that ended.

        Args:
            user: the user's name.
            token: the id of the token that they signed in with, which the session allows no more than.

        Returns:
            Its secret, which nobody can find out again.
        """
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        now = time.time()
        session = {"digest": compute_digest(secret), "user": user, "token": token, "used": now}
        session["expires"] = now + self._lifetime
        with self._database.begin() as connection:
            has_ended = (_SESSIONS.c.expires <= now) | (_SESSIONS.c.used <= now - self._idle_time)
            connection.execute(sa.delete(_SESSIONS).where(has_ended))
            connection.execute(sa.insert(_SESSIONS).values(session))
        return secret

    def find_session(self, secret: str) -> Session | None:
        """Return a session, and record its use; `None` if it has ended."""
        digest, now = compute_digest(secret), time.time()
        with self._database.begin_read() as connection:
            row = connection.execute(_FIND, {"wanted": digest}).first()
        if row is None or row.expires <= now or row.used <= now - self._idle_time:
            return None
        if now - row.used > min(_USE_SECONDS, self._idle_time / 2):
            with self._database.begin() as connection:
                connection.execute(sa.update(_SESSIONS).where(_SESSIONS.c.digest == digest).values(used=now))
        return Session(row.user, row.token)

    def end_session(self, secret: str) -> None:
        """End a session; no request with it is answered any more."""
        with self._database.begin() as connection:
            connection.execute(sa.delete(_SESSIONS).where(_SESSIONS.c.digest == compute_digest(secret)))
