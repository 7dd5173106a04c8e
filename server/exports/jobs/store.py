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

from shotdap.server.exports.atomic import remove_path
from shotdap.server.exports.checksum import NO_CHECKSUM, Checksum
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.order import Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.workspace import Workspace

__all__ = ["LEASE_SECONDS", "Job", "JobState", "JobStore", "NoRoom", "OverQuota", "Quotas"]

JobState: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]

LEASE_SECONDS: Final = 10.0
"""Seconds that a lease lasts; the clocks of servers that share a folder agree better than that."""

_BUSY_TIMEOUT: Final = 30  # seconds that SQLite waits for another writer
_ID_BYTES: Final = 16  # of a job: nobody guesses it
_MIB: Final = 2**20
_RESULT_NAMES: Final = {"zip": "export.zip", "zarr-zip": "export.zarr.zip", "nc4": "export.nc"}
"""What the result of each container is called."""

_METADATA: Final = sa.MetaData()
_JOBS_TABLE: Final = sa.Table(
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
_STATE_INDEX: Final = sa.Index("jobs_by_state", _JOBS_TABLE.c.site, _JOBS_TABLE.c.state, _JOBS_TABLE.c.created)
_ACTIVE_STATES: Final = ("waiting", "running")


class OverQuota(ValueError):
    """A user has as many jobs as one may have; the message says how many, and what to do."""


class NoRoom(ValueError):
    """The folder of exports is full, or would be; the message says so."""


@dataclass(frozen=True)
class Quotas:
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
    state: JobState
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
    def is_finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in _ACTIVE_STATES

    @property
    def reserved_bytes(self) -> int:
        """Bytes that are set aside for it in the folder; parts and the file made of them are there at once."""
        expected = self.bytes * self.total // self.done if self.done else self.estimate
        return self.size if self.is_finished else 2 * max(expected, self.bytes)


@dataclass(frozen=True)
class JobStore:
    """The jobs of one site, in a folder."""

    folder: Path
    site: str
    """What tells the site from others that use this folder."""

    @cached_property
    def _engine(self) -> sa.Engine:
        self.folder.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(f"sqlite:///{self.folder / 'jobs.db'}", connect_args={"timeout": _BUSY_TIMEOUT})
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.execute(CreateTable(_JOBS_TABLE, if_not_exists=True))
            connection.execute(CreateIndex(_STATE_INDEX, if_not_exists=True))
        return engine

    @property
    def has_database(self) -> bool:
        """Whether anybody has ever ordered anything here."""
        return (self.folder / "jobs.db").exists()

    def close(self) -> None:
        """Give back connections to the database."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def get_workspace(self, job: Job) -> Workspace:
        """Where a job's result is, or will be."""
        return self._build_workspace(job.id, Order.from_json(job.order))

    def _build_workspace(self, id_: str, order: Order) -> Workspace:
        return Workspace(self.folder / id_ / _RESULT_NAMES[order.container])

    def add_job(
        self, order: Order, items: tuple[PlanItem, ...], estimate: int, owner: str, key: str | None = None
    ) -> Job:
        """Keep an order until somebody runs it; the same key of the same owner gives the same job."""
        id_ = secrets.token_urlsafe(_ID_BYTES)
        self._build_workspace(id_, order).begin_export(order, items)
        row = {
            "id": id_, "site": self.site, "owner": owner, "key": key, "order": order.to_json(), "state": "waiting",
            "created": time.time(), "estimate": estimate, "total": len(items),
        }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                connection.execute(_JOBS_TABLE.insert().values(row))
        except IntegrityError:
            remove_path(self.folder / id_)
            earlier = self.find_by_key(owner, key or "")
            if earlier is None:
                raise
            return earlier
        return self.find_job(id_) or self._lost(id_)

    def _lost(self, id_: str) -> Job:
        raise LookupError(f"There is no export {id_}.")

    def check_quotas(self, owner: str, estimate: int, bounds: Quotas) -> None:
        """Refuse a user's next job, if that is one too many.

        Raises:
            OverQuota: the user has jobs enough, or would take more than one may.
            NoRoom: all together would take more than the folder may hold.
        """
        jobs = self.list_jobs()
        own = [job for job in jobs if job.owner == owner]
        alive = sum(not job.is_finished for job in own)
        if alive >= bounds.jobs_per_user:
            raise OverQuota(
                f"You have {alive} exports that wait or run; {bounds.jobs_per_user} are allowed at a time"
                " (exports.jobs_per_user). Wait for one, or cancel one."
            )
        taken = sum(job.reserved_bytes for job in own)
        if taken + 2 * estimate > bounds.user_bytes:
            raise OverQuota(
                f"This export may take {_format_mib(2 * estimate)} while it is made, and yours take {_format_mib(taken)} already;"
                f" {_format_mib(bounds.user_bytes)} are allowed (exports.user_mib). Delete results that you have, or order"
                " less."
            )
        if sum(job.reserved_bytes for job in jobs) + 2 * estimate > bounds.folder_bytes:
            raise NoRoom(
                "The folder of exports has no room for this now; ask again when others have been taken away."
                f" It holds {_format_mib(bounds.folder_bytes)} (exports.folder_mib)."
            )

    def find_job(self, id_: str) -> Job | None:
        """A job, if there is one of this name."""
        found = self._select_jobs(_JOBS_TABLE.c.id == id_)
        return found[0] if found else None

    def find_by_key(self, owner: str, key: str) -> Job | None:
        """The job that its owner calls so."""
        found = self._select_jobs(_JOBS_TABLE.c.owner == owner, _JOBS_TABLE.c.key == key)
        return found[0] if found else None

    def list_jobs(self, owner: str | None = None) -> Sequence[Job]:
        """The jobs of one user, or of all, the newest first."""
        return self._select_jobs(*([] if owner is None else [_JOBS_TABLE.c.owner == owner]))

    def _select_jobs(self, *conditions: sa.ColumnElement[bool]) -> list[Job]:
        if not self.has_database:
            return []
        columns = [_JOBS_TABLE.c[name] for name in Job.__dataclass_fields__]
        statement = (
            sa.select(*columns)
            .where(_JOBS_TABLE.c.site == self.site, *conditions)
            .order_by(_JOBS_TABLE.c.created.desc())
        )
        with self._engine.connect() as connection:
            return [Job(**row) for row in connection.execute(statement).mappings()]

    def claim_next_job(self, holder: str) -> Job | None:
        """The next job to run, with a lease on it; `None` where there is none that nobody runs."""
        now = time.time()
        free = sa.and_(
            _JOBS_TABLE.c.state.in_(_ACTIVE_STATES), _JOBS_TABLE.c.lease < now, _JOBS_TABLE.c.not_before <= now
        )
        for job in reversed(self._select_jobs(free)):
            values = {
                "state": "running",
                "holder": holder,
                "lease": now + LEASE_SECONDS,
                "attempts": _JOBS_TABLE.c.attempts + 1,
            }
            if self._update_jobs(values, _JOBS_TABLE.c.id == job.id, free):
                return self.find_job(job.id)
        return None

    def renew_lease(self, job: Job, holder: str, progress: Progress, message: str = "") -> bool:
        """Renew a lease, and say how far the job has come; false if it is to be stopped, or is another's by now."""
        values: dict[str, Any] = {
            "lease": time.time() + LEASE_SECONDS, "message": message, "done": progress.done, "failed": progress.failed,
            "bytes": progress.bytes, "before": progress.done_before, "seconds": progress.seconds,
        }  # fmt: skip
        if progress.done > progress.done_before:
            values["attempts"] = 0
        return self._update_held(job, holder, values)

    def release_job(self, job: Job, holder: str, message: str = "", pause: float = 0.0) -> None:
        """Leave a job to whoever takes it next, after a pause."""
        self._update_held(
            job, holder, {"lease": 0.0, "holder": "", "message": message, "not_before": time.time() + pause}
        )

    def end_job(
        self, job: Job, holder: str, state: JobState, message: str = "", result: Checksum = NO_CHECKSUM
    ) -> bool:
        """Say how a job has ended, and what it has made; false if it is no longer the holder's to say."""
        ended = {"state": state, "message": message, "ended": time.time()}
        ended |= {"size": result.size, "sha256": result.sha256}
        return self._update_held(job, holder, {**ended, "holder": "", "lease": 0.0})

    def _update_held(self, job: Job, holder: str, values: dict[str, Any]) -> bool:
        return self._update_jobs(
            values, _JOBS_TABLE.c.id == job.id, _JOBS_TABLE.c.holder == holder, _JOBS_TABLE.c.state == "running"
        )

    def cancel_job(self, job: Job) -> bool:
        """Stop a job that waits or runs; its folder goes once nobody writes to it any more. False if it is over."""
        values = {"state": "cancelled", "ended": time.time(), "message": "", "key": None}
        return self._update_jobs(values, _JOBS_TABLE.c.id == job.id, _JOBS_TABLE.c.state.in_(_ACTIVE_STATES))

    def remove_job(self, job: Job) -> None:
        """Forget a job that is over, and remove what it made."""
        with self._engine.begin() as connection:
            connection.execute(_JOBS_TABLE.delete().where(_JOBS_TABLE.c.id == job.id))
        remove_path(self.folder / job.id)

    def remove_expired_jobs(self, keep_seconds: float) -> list[Job]:
        """Remove what has been kept long enough, and what cancelled jobs have left; those that were removed."""
        old = [job for job in self.list_jobs() if job.ended is not None and job.ended + keep_seconds <= time.time()]
        for job in old:
            self.remove_job(job)
        for job in self._select_jobs(_JOBS_TABLE.c.state == "cancelled", _JOBS_TABLE.c.lease < time.time()):
            remove_path(self.folder / job.id)
        return old

    def _update_jobs(self, values: dict[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(_JOBS_TABLE.update().where(*conditions).values(values)).rowcount == 1


def _format_mib(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"
