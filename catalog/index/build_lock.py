"""Whose turn it is to build, and how far the archive has been read.

Of two builds at once the later goes on and the earlier ends: each has a number, and a transaction of a build whose
number is no longer the last one writes nothing. So a build that is killed leaves nothing to be given back, and no clock
decides what is written.
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

__all__ = [
    "BuildLock",
    "Busy",
    "Superseded",
    "acquire_build_lock",
    "begin_transaction",
    "read_watermark",
    "release_build_lock",
]

_LIVENESS_TIMEOUT: Final = 60.0  # seconds after its last writing for which a build is taken to be alive


class Superseded(RuntimeError):
    """Another build of this catalog has begun since, and goes on from where this one was."""


class Busy(RuntimeError):
    """Another build of this catalog is at work."""


@dataclass(frozen=True)
class BuildLock:
    """A build's turn to write."""

    build_number: int
    watermark: Watermark | None
    """How far the archive had been read; `None` before the first build."""
    counter: int
    """What had been numbered when it began: entries with greater ids came later."""


def acquire_build_lock(database: Database, *, patient: bool = False) -> BuildLock:
    """Take the turn to build.

    Args:
        database: the catalog's.
        patient: leave a build alone that seems to be alive.

    Raises:
        Busy: there is one.
    """
    with database.begin_write() as connection:
        state = connection.execute(_SELECT_STATE).one()
        if patient and state.active is not None and 0 <= time.time() - state.active < _LIVENESS_TIMEOUT:
            raise Busy("Another build of this catalog is at work.")
        connection.execute(STATE.update(), {"build": state.build + 1, "active": time.time()})
        return BuildLock(state.build + 1, _decode_watermark(state.watermark), state.counter)


def release_build_lock(database: Database, turn: BuildLock) -> None:
    """Give the turn back, unless another build has it."""
    with database.begin_write() as connection:
        connection.execute(STATE.update().where(STATE.c.build == turn.build_number), {"active": None})


@contextmanager
def begin_transaction(
    database: Database, turn: BuildLock | None = None, watermark: Watermark | None = None
) -> Iterator[WriteTransaction]:
    """A transaction that writes to the catalog.

    Args:
        database: the catalog's.
        turn: that of a build, where it is one that writes.
        watermark: how far the archive will have been read with what is written.

    Raises:
        Superseded: a later build has begun; nothing is written.
    """
    with database.begin_write() as connection:
        state = connection.execute(_SELECT_STATE).one()
        if turn is not None and turn.build_number != state.build:
            raise Superseded("Another build of this catalog has begun since, and goes on from where this one was.")
        transaction = WriteTransaction(connection, state.counter, FULLTEXT_INDEXES[connection.dialect.name])
        yield transaction
        transaction.write_counters()
        if turn is not None:
            connection.execute(STATE.update(), {"active": time.time()})
        if watermark is not None:
            connection.execute(STATE.update(), {"watermark": _encode_watermark(watermark)})


def read_watermark(database: Database) -> Watermark | None:
    """How far the archive has been read; `None` before the first build."""
    with database.begin_read() as connection:
        return _decode_watermark(connection.execute(sa.select(STATE.c.watermark)).scalar())


_SELECT_STATE: Final = sa.select(STATE).with_for_update()


def _encode_watermark(watermark: Watermark) -> dict[str, Any]:
    if isinstance(watermark, datetime):
        return {"value": watermark.isoformat(), "is_time": True}
    return {"value": watermark, "is_time": False}


def _decode_watermark(stored: dict[str, Any] | None) -> Watermark | None:
    if stored is None:
        return None
    value: Watermark = stored["value"]
    return datetime.fromisoformat(str(value)) if stored["is_time"] else value
