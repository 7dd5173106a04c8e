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
from shotdap.catalog.index.fulltext import WORDS
from shotdap.catalog.index.tables import STATE
from shotdap.catalog.index.transaction import Writing

__all__ = ["Busy", "Superseded", "Turn", "begin", "end", "watermark", "writing"]

_AT_WORK: Final = 60.0  # seconds after its last writing for which a build is taken to be alive


class Superseded(RuntimeError):
    """Another build of this catalog has begun since, and goes on from where this one was."""


class Busy(RuntimeError):
    """Another build of this catalog is at work."""


@dataclass(frozen=True)
class Turn:
    """A build's turn to write."""

    number: int
    watermark: Watermark | None
    """How far the archive had been read; `None` before the first build."""
    counter: int
    """What had been numbered when it began: entries with greater ids came later."""


def begin(database: Database, *, patient: bool = False) -> Turn:
    """Take the turn to build.

    Args:
        database: the catalog's.
        patient: leave a build alone that seems to be alive.

    Raises:
        Busy: there is one.
    """
    with database.writing() as connection:
        state = connection.execute(_STATE).one()
        if patient and state.active is not None and 0 <= time.time() - state.active < _AT_WORK:
            raise Busy("Another build of this catalog is at work.")
        connection.execute(STATE.update(), {"build": state.build + 1, "active": time.time()})
        return Turn(state.build + 1, _loaded(state.watermark), state.counter)


def end(database: Database, turn: Turn) -> None:
    """Give the turn back, unless another build has it."""
    with database.writing() as connection:
        connection.execute(STATE.update().where(STATE.c.build == turn.number), {"active": None})


@contextmanager
def writing(database: Database, turn: Turn | None = None, watermark: Watermark | None = None) -> Iterator[Writing]:
    """A transaction that writes to the catalog.

    Args:
        database: the catalog's.
        turn: that of a build, where it is one that writes.
        watermark: how far the archive will have been read with what is written.

    Raises:
        Superseded: a later build has begun; nothing is written.
    """
    with database.writing() as connection:
        state = connection.execute(_STATE).one()
        if turn is not None and turn.number != state.build:
            raise Superseded("Another build of this catalog has begun since, and goes on from where this one was.")
        transaction = Writing(connection, state.counter, WORDS[connection.dialect.name])
        yield transaction
        transaction.finish()
        if turn is not None:
            connection.execute(STATE.update(), {"active": time.time()})
        if watermark is not None:
            connection.execute(STATE.update(), {"watermark": _stored(watermark)})


def watermark(database: Database) -> Watermark | None:
    """How far the archive has been read; `None` before the first build."""
    with database.reading() as connection:
        return _loaded(connection.execute(sa.select(STATE.c.watermark)).scalar())


_STATE: Final = sa.select(STATE).with_for_update()


def _stored(watermark: Watermark) -> dict[str, Any]:
    if isinstance(watermark, datetime):
        return {"value": watermark.isoformat(), "is_time": True}
    return {"value": watermark, "is_time": False}


def _loaded(stored: dict[str, Any] | None) -> Watermark | None:
    if stored is None:
        return None
    value: Watermark = stored["value"]
    return datetime.fromisoformat(str(value)) if stored["is_time"] else value
