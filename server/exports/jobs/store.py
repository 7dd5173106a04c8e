"""The jobs of a server: a small database in the folder of exports, which all of its processes share.

Rule 1: a job belongs to a site, so that servers of different archives can share a folder, and never run each other's.
Rule 2: whoever runs a job holds a lease on it, and renews it; a lease that has run out may be taken by anyone. So two
servers never run one job, and a job whose server is killed waits some seconds for the next.
Rule 3: what is written of a running job is written by its holder alone, except that it is cancelled.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from shotdap.server.exports.atomic import removed
from shotdap.server.exports.checksum import NOTHING, Written
from shotdap.server.exports.items import Item
from shotdap.server.exports.order import Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.workspace import Place

__all__ = ["LEASE", "Bounds", "Job", "Jobs", "NoRoom", "OverQuota", "State"]

State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]

LEASE: Final = 10.0
"""Seconds that a lease lasts; the clocks of servers that share a folder agree better than that."""

_BUSY: Final = 30  # seconds that SQLite waits for another writer
_ID_BYTES: Final = 16  # of a job: nobody guesses it
_MIB: Final = 2**20
_ENDINGS: Final = {"zip": "export.zip", "zarr-zip": "export.zarr.zip", "nc4": "export.nc"}
"""What the result of each container is called."""

_METADATA: Final = sa.MetaData()
_JOBS: Final = sa.Table(
    "jobs",
    _METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("key", sa.String),  # what a client calls it, so that asking twice makes one
    sa.Column("order", sa.Text, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("estimate", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False, default=0),
    sa.Column("failed", sa.Integer, nullable=False, default=0),
    sa.Column("bytes", sa.Integer, nullable=False, default=0),
    sa.Column("before", sa.Integer, nullable=False, default=0),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("size", sa.Integer, nullable=False, default=0),  # of the result
    sa.Column("sha256", sa.String, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", sa.Float, nullable=False, default=0.0),
    sa.Column("holder", sa.String, nullable=False, default=""),
    sa.Column("lease", sa.Float, nullable=False, default=0.0),
    sa.UniqueConstraint("site", "owner", "key"),
)
_BY_STATE: Final = sa.Index("jobs_by_state", _JOBS.c.site, _JOBS.c.state, _JOBS.c.created)
_ALIVE: Final = ("waiting", "running")


class OverQuota(ValueError):
    """A user has as many jobs as one may have; the message says how many, and what to do."""


class NoRoom(ValueError):
    """The folder of exports is full, or would be; the message says so."""


@dataclass(frozen=True)
class Bounds:
    """What jobs may take."""

    jobs_per_user: int
    user_bytes: int
    folder_bytes: int


@dataclass(frozen=True)
class Job:
    """A job as it stands."""

    id: str
    owner: str
    key: str | None
    order: str
    """As JSON."""
    state: State
    message: str
    """Why it failed, or what it is at."""
    created: float
    """Seconds since 1970."""
    ended: float | None
    estimate: int
    """Bytes that it may take, as far as was known when it was ordered."""
    total: int
    done: int
    failed: int
    bytes: int
    before: int
    seconds: float
    size: int
    """Bytes of its result."""
    sha256: str
    """Of its result; empty where there is none yet."""
    attempts: int
    """How often it was begun without getting any further."""

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return Progress(self.total, self.done, self.failed, self.bytes, self.before, self.seconds)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in _ALIVE

    @property
    def takes(self) -> int:
        """Bytes that are set aside for it in the folder; parts and the file made of them are there at once."""
        expected = self.bytes * self.total // self.done if self.done else self.estimate
        return self.size if self.is_over else 2 * max(expected, self.bytes)


@dataclass(frozen=True)
class Jobs:
    """The jobs of one site, in a folder."""

    folder: Path
    site: str
    """What tells the site from others that use this folder."""

    @cached_property
    def _engine(self) -> sa.Engine:
        self.folder.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(f"sqlite:///{self.folder / 'jobs.db'}", connect_args={"timeout": _BUSY})
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.execute(CreateTable(_JOBS, if_not_exists=True))
            connection.execute(CreateIndex(_BY_STATE, if_not_exists=True))
        return engine

    @property
    def is_there(self) -> bool:
        """Whether anybody has ever ordered anything here."""
        return (self.folder / "jobs.db").exists()

    def close(self) -> None:
        """Give back connections to the database."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def place(self, job: Job) -> Place:
        """Where a job's result is, or will be."""
        return self._place(job.id, Order.from_json(job.order))

    def _place(self, id_: str, order: Order) -> Place:
        return Place(self.folder / id_ / _ENDINGS[order.container])

    def add(self, order: Order, items: tuple[Item, ...], estimate: int, owner: str, key: str | None = None) -> Job:
        """Keep an order until somebody runs it; the same key of the same owner gives the same job."""
        id_ = secrets.token_urlsafe(_ID_BYTES)
        self._place(id_, order).begin(order, items)
        row = {
            "id": id_, "site": self.site, "owner": owner, "key": key, "order": order.as_json(), "state": "waiting",
            "created": time.time(), "estimate": estimate, "total": len(items),
        }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                connection.execute(_JOBS.insert().values(row))
        except IntegrityError:
            removed(self.folder / id_)
            earlier = self.called(owner, key or "")
            if earlier is None:
                raise
            return earlier
        return self.find(id_) or self._lost(id_)

    def _lost(self, id_: str) -> Job:
        raise LookupError(f"There is no export {id_}.")

    def check(self, owner: str, estimate: int, bounds: Bounds) -> None:
        """Refuse a user's next job, if that is one too many.

        Raises:
            OverQuota: the user has jobs enough, or would take more than one may.
            NoRoom: all together would take more than the folder may hold.
        """
        jobs = self.listed()
        own = [job for job in jobs if job.owner == owner]
        alive = sum(not job.is_over for job in own)
        if alive >= bounds.jobs_per_user:
            raise OverQuota(
                f"You have {alive} exports that wait or run; {bounds.jobs_per_user} are allowed at a time"
                " (exports.jobs_per_user). Wait for one, or cancel one."
            )
        taken = sum(job.takes for job in own)
        if taken + 2 * estimate > bounds.user_bytes:
            raise OverQuota(
                f"This export may take {_mib(2 * estimate)} while it is made, and yours take {_mib(taken)} already;"
                f" {_mib(bounds.user_bytes)} are allowed (exports.user_mib). Delete results that you have, or order"
                " less."
            )
        if sum(job.takes for job in jobs) + 2 * estimate > bounds.folder_bytes:
            raise NoRoom(
                "The folder of exports has no room for this now; ask again when others have been taken away."
                f" It holds {_mib(bounds.folder_bytes)} (exports.folder_mib)."
            )

    def find(self, id_: str) -> Job | None:
        """A job, if there is one of this name."""
        found = self._select(_JOBS.c.id == id_)
        return found[0] if found else None

    def called(self, owner: str, key: str) -> Job | None:
        """The job that its owner calls so."""
        found = self._select(_JOBS.c.owner == owner, _JOBS.c.key == key)
        return found[0] if found else None

    def listed(self, owner: str | None = None) -> Sequence[Job]:
        """The jobs of one user, or of all, the newest first."""
        return self._select(*([] if owner is None else [_JOBS.c.owner == owner]))

    def _select(self, *conditions: sa.ColumnElement[bool]) -> list[Job]:
        if not self.is_there:
            return []
        columns = [_JOBS.c[name] for name in Job.__dataclass_fields__]
        statement = sa.select(*columns).where(_JOBS.c.site == self.site, *conditions).order_by(_JOBS.c.created.desc())
        with self._engine.connect() as connection:
            return [Job(**row) for row in connection.execute(statement).mappings()]

    def take(self, holder: str) -> Job | None:
        """The next job to run, with a lease on it; `None` where there is none that nobody runs."""
        now = time.time()
        free = sa.and_(_JOBS.c.state.in_(_ALIVE), _JOBS.c.lease < now, _JOBS.c.not_before <= now)
        for job in reversed(self._select(free)):
            values = {"state": "running", "holder": holder, "lease": now + LEASE, "attempts": _JOBS.c.attempts + 1}
            if self._update(values, _JOBS.c.id == job.id, free):
                return self.find(job.id)
        return None

    def renew(self, job: Job, holder: str, progress: Progress, message: str = "") -> bool:
        """Renew a lease, and say how far the job has come; false if it is to be stopped, or is another's by now."""
        values: dict[str, Any] = {
            "lease": time.time() + LEASE, "message": message, "done": progress.done, "failed": progress.failed,
            "bytes": progress.bytes, "before": progress.before, "seconds": progress.seconds,
        }  # fmt: skip
        if progress.done > progress.before:
            values["attempts"] = 0
        return self._held(job, holder, values)

    def release(self, job: Job, holder: str, message: str = "", pause: float = 0.0) -> None:
        """Leave a job to whoever takes it next, after a pause."""
        self._held(job, holder, {"lease": 0.0, "holder": "", "message": message, "not_before": time.time() + pause})

    def end(self, job: Job, holder: str, state: State, message: str = "", result: Written = NOTHING) -> bool:
        """Say how a job has ended, and what it has made; false if it is no longer the holder's to say."""
        ended = {"state": state, "message": message, "ended": time.time()}
        ended |= {"size": result.bytes, "sha256": result.sha256}
        return self._held(job, holder, {**ended, "holder": "", "lease": 0.0})

    def _held(self, job: Job, holder: str, values: dict[str, Any]) -> bool:
        return self._update(values, _JOBS.c.id == job.id, _JOBS.c.holder == holder, _JOBS.c.state == "running")

    def cancel(self, job: Job) -> bool:
        """Stop a job that waits or runs; its folder goes once nobody writes to it any more. False if it is over."""
        values = {"state": "cancelled", "ended": time.time(), "message": "", "key": None}
        return self._update(values, _JOBS.c.id == job.id, _JOBS.c.state.in_(_ALIVE))

    def remove(self, job: Job) -> None:
        """Forget a job that is over, and remove what it made."""
        with self._engine.begin() as connection:
            connection.execute(_JOBS.delete().where(_JOBS.c.id == job.id))
        removed(self.folder / job.id)

    def sweep(self, keep_seconds: float) -> list[Job]:
        """Remove what has been kept long enough, and what cancelled jobs have left; those that were removed."""
        old = [job for job in self.listed() if job.ended is not None and job.ended + keep_seconds <= time.time()]
        for job in old:
            self.remove(job)
        for job in self._select(_JOBS.c.state == "cancelled", _JOBS.c.lease < time.time()):
            removed(self.folder / job.id)
        return old

    def _update(self, values: dict[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(_JOBS.update().where(*conditions).values(values)).rowcount == 1


def _mib(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"
