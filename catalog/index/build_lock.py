"""Which build may write, and how far the archive has been read.

Of two builds at once, the later one continues and the earlier one ends: each build has a number, and a transaction of a
build writes only if its number is still the last one. A killed build therefore leaves no lock to release, and the
decision does not depend on a clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.archive.archive import Watermark
from shotdap.catalog.index.database import Database
from shotdap.catalog.index.fulltext import FULLTEXT_INDEXES
from shotdap.catalog.index.tables import STATE
from shotdap.catalog.index.transaction import WriteTransaction

_LIVENESS_TIMEOUT: Final = 60.0  # seconds after its last write for which a build is taken to be alive
_SELECT_STATE: Final = sa.select(STATE).with_for_update()


class Superseded(RuntimeError):
    """A later build of this catalog has begun, and continues where this one was."""


class Busy(RuntimeError):
    """Another build of this catalog is running."""


@dataclass(frozen=True)
class BuildLock:
    """A build's right to write, until a later build begins. It excludes nobody: the next one to acquire it gets it."""

    build_number: int
    watermark: Watermark | None
    """How far the archive had been read; `None` before the first build."""
    counter: int
    """The last number before this build: entries with greater ids were added later."""


@dataclass(frozen=True)
class BuildState:
    """The progress of the catalog's build."""

    is_building: bool
    """Whether a build seems to be alive."""
    watermark: Watermark | None
    """How far the archive has been read; `None` before the first build."""


def acquire_build_lock(database: Database, *, patient: bool = False) -> BuildLock:
    """Begin a build.

    Args:
        database: the catalog's.
        patient: do not overtake a build that seems to be alive.

    Raises:
        Busy: a build seems to be alive, and this one is patient.
    """
    with database.begin_write() as connection:
        state = connection.execute(_SELECT_STATE).one()
        if patient and _is_alive(state.active):
            raise Busy("Another build of this catalog is at work.")
        connection.execute(STATE.update(), {"build": state.build + 1, "active": time.time()})
        return BuildLock(state.build + 1, _decode_watermark(state.watermark), state.counter)


def release_build_lock(database: Database, lock: BuildLock) -> None:
    """End a build, unless a later one has begun."""
    with database.begin_write() as connection:
        connection.execute(STATE.update().where(STATE.c.build == lock.build_number), {"active": None})


@contextmanager
def begin_transaction(
    database: Database, lock: BuildLock | None = None, watermark: Watermark | None = None
) -> Iterator[WriteTransaction]:
    """Begin a transaction that writes to the catalog.

    Args:
        database: the catalog's.
        lock: the lock of the build that writes, if a build writes.
        watermark: how far the archive has been read once this transaction is written.

    Raises:
        Superseded: a later build has begun; nothing is written.
    """
    with database.begin_write() as connection:
        state = connection.execute(_SELECT_STATE).one()
        if lock is not None and lock.build_number != state.build:
            raise Superseded("Another build of this catalog has begun since, and goes on from where this one was.")
        transaction = WriteTransaction(connection, state.counter, FULLTEXT_INDEXES[connection.dialect.name])
        yield transaction
        transaction.write_counters()
        if lock is not None:
            connection.execute(STATE.update(), {"active": time.time()})
        if watermark is not None:
            if isinstance(watermark, datetime):
                document: dict[str, object] = {"value": watermark.isoformat(), "is_time": True}
            else:
                document = {"value": watermark, "is_time": False}
            connection.execute(STATE.update(), {"watermark": document})


def read_watermark(database: Database) -> Watermark | None:
    """Return how far the archive has been read; `None` before the first build."""
    with database.begin_read() as connection:
        return _decode_watermark(connection.execute(sa.select(STATE.c.watermark)).scalar())


def read_build_state(database: Database) -> BuildState:
    """Return whether a build is running, and how far the archive has been read."""
    with database.begin_read() as connection:
        state = connection.execute(sa.select(STATE)).one()
    return BuildState(_is_alive(state.active), _decode_watermark(state.watermark))


def _is_alive(active: float | None) -> bool:
    """Check whether a build that last wrote at a time is taken to be alive."""
    return active is not None and 0 <= time.time() - active < _LIVENESS_TIMEOUT


def _decode_watermark(stored: dict[str, Any] | None) -> Watermark | None:
    if stored is None:
        return None
    value: Watermark = stored["value"]
    return datetime.fromisoformat(str(value)) if stored["is_time"] else value
