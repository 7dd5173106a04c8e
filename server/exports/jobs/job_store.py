"""The jobs of a server, in a database that all its processes share: the catalog's PostgreSQL, or a file beside them.

Rule 1: a job belongs to a site. So servers of different archives can share a folder, and never run each other's jobs.
Rule 2: a process that runs a job holds a lease on it, and renews it; any process may take an expired lease. So two
servers never run one job, and a job whose server is killed waits only some seconds for the next server.
Rule 3: only a server that has the job's folder takes it: those of one database may have folders of their own.
Rule 4: only the holder changes the row of a running job; the exception is cancelling it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa

from shotdap.catalog import EVERYTHING, Visibility
from shotdap.catalog.index.tables import SafeText
from shotdap.config import Settings
from shotdap.server.exports.atomic import remove_path
from shotdap.server.exports.checksum import NO_CHECKSUM, Checksum
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.export_plan import PlanItem
from shotdap.server.exports.order import BadOrder, JobOrder, Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.workspace import Workspace
from shotdap.server.shared_database import SharedDatabase, lock_until_commit

JobState: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]

LEASE_SECONDS: Final = 10.0
"""Duration of a lease; the clocks of servers that share a folder differ by less."""

_ID_BYTES: Final = 16  # nobody guesses the name of a job
_MIB: Final = 2**20

_METADATA: Final = sa.MetaData()
_JOBS_TABLE: Final = sa.Table(
    "jobs",
    _METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("key", sa.String),  # chosen by the client, so that a repeated request makes one job
    sa.Column("order", sa.Text, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("message", SafeText, nullable=False, default=""),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("estimate", sa.BigInteger, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False, default=0),
    sa.Column("failed", sa.Integer, nullable=False, default=0),
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("before", sa.Integer, nullable=False, default=0),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("size", sa.BigInteger, nullable=False, default=0),  # of the result
    sa.Column("sha256", sa.String, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", sa.Float, nullable=False, default=0.0),
    sa.Column("holder", sa.String, nullable=False, default=""),
    sa.Column("lease", sa.Float, nullable=False, default=0.0),
    sa.Column("visibility", sa.Text, nullable=False, server_default="[]"),
    sa.UniqueConstraint("site", "owner", "key"),
)
sa.Index("jobs_by_state", _JOBS_TABLE.c.site, _JOBS_TABLE.c.state, _JOBS_TABLE.c.created)
_ACTIVE_STATES: Final = ("waiting", "running")


class OverQuota(ValueError):
    """The user has too many jobs or bytes; the message gives the limit, and says what to do."""


class NoRoom(ValueError):
    """The folder of exports has no room for the job; the message says so."""


@dataclass(frozen=True)
class Quotas:
    """The most that jobs may take."""

    jobs_per_user: int
    user_bytes: int
    folder_bytes: int


@dataclass(frozen=True)
class Job:
    """The state of a job."""

    id: str
    owner: str
    key: str | None
    order: str
    """The order as JSON."""
    state: JobState
    message: str
    """The reason of a failure, or why it waits."""
    created: float
    """Seconds since 1970."""
    ended: float | None
    estimate: int
    """Estimated bytes of its values, when it was ordered."""
    total: int
    done: int
    failed: int
    bytes: int
    before: int
    seconds: float
    size: int
    """Bytes of its result."""
    sha256: str
    """The hash of its result; empty while there is none."""
    attempts: int
    """Runs since it last made progress."""
    visibility: str
    """What its owner could see when it was ordered, as JSON: a job uses no other image."""

    @property
    def progress(self) -> Progress:
        """Its progress."""
        return Progress(self.total, self.done, self.failed, self.bytes, self.before, self.seconds)

    @property
    def is_finished(self) -> bool:
        """Return whether it is done, failed or cancelled."""
        return self.state not in _ACTIVE_STATES

    @property
    def reserved_bytes(self) -> int:
        """Bytes reserved for it in the folder; staged files and the result exist at the same time."""
        expected = self.bytes * self.total // self.done if self.done else self.estimate
        return self.size if self.is_finished else 2 * max(expected, self.bytes)


@dataclass(frozen=True)
class JobStore:
    """The jobs of one site, in a folder."""

    folder: Path
    site: str
    """An identifier of the site; other sites may use the same folder."""
    url: str = ""
    """The PostgreSQL database with the jobs, for SQLAlchemy; empty: an SQLite file in the folder."""

    @cached_property
    def _database(self) -> SharedDatabase:
        return SharedDatabase(self.url or f"sqlite:///{self._file}", _METADATA)

    @property
    def _file(self) -> Path:
        return self.folder / "jobs.db"

    @property
    def has_database(self) -> bool:
        """Return whether the jobs can be asked for; no SQLite file is made before the first order."""
        return bool(self.url) or self._file.exists()

    def has_jobs(self) -> bool:
        """Return whether there is any job."""
        return bool(self._select_jobs(limit=1))

    def close(self) -> None:
        """Close the connections to the database."""
        self._database.close()

    def get_workspace(self, job: Job) -> Workspace:
        """Return the files of a job."""
        return self._build_workspace(job.id, Order.from_json(job.order))

    def _build_workspace(self, id_: str, order: JobOrder) -> Workspace:
        file_name = WRITERS[order.container].file_name
        if not file_name:
            raise BadOrder(f"A job makes one file; {order.container!r} has none.")
        return Workspace(self.folder / id_ / file_name)

    def add_job(  # noqa: PLR0913 — the last two by keyword
        self,
        order: JobOrder,
        items: tuple[PlanItem, ...],
        estimate: int,
        owner: str,
        key: str | None = None,
        *,
        quotas: Quotas | None = None,
        visibility: Visibility = EVERYTHING,
    ) -> Job:
        """Add a job that waits to be run; return the earlier job if its owner has used the key before.

        The quotas hold whatever else is ordered at the same time.

        Raises:
            OverQuota, NoRoom: see `check_quotas`.
        """
        id_ = secrets.token_urlsafe(_ID_BYTES)
        row = {
            "id": id_, "site": self.site, "owner": owner, "key": key, "order": order.to_json(), "state": "waiting",
            "created": time.time(), "estimate": estimate, "total": len(items), "visibility": visibility.to_json(),
        }  # fmt: skip
        self._build_workspace(id_, order).begin_export(order, items)  # whoever takes the job needs its files
        is_added = False
        try:
            with self._database.begin() as connection:
                lock_until_commit(connection, f"jobs of {self.site}")
                jobs = self._read_jobs(connection)
                earlier = next((job for job in jobs if key and (job.owner, job.key) == (owner, key)), None)
                if earlier is not None:
                    return earlier
                if quotas is not None:
                    _check_quotas(jobs, owner, estimate, quotas)
                connection.execute(_JOBS_TABLE.insert().values(row))
                (job,) = self._read_jobs(connection, _JOBS_TABLE.c.id == id_)
            is_added = True
            return job
        finally:
            if not is_added:
                remove_path(self.folder / id_)

    def check_quotas(self, owner: str, estimate: int, quotas: Quotas) -> None:
        """Refuse another job if it exceeds a quota now; `add_job` checks it again, at one time with adding it.

        Raises:
            OverQuota: the user has too many jobs, or their results would take too much.
            NoRoom: all jobs together would take more than the folder may hold.
        """
        _check_quotas(self.list_jobs(), owner, estimate, quotas)

    def find_job(self, id_: str) -> Job | None:
        """Return a job, `None` if there is none with this name."""
        return next(iter(self._select_jobs(_JOBS_TABLE.c.id == id_)), None)

    def find_by_key(self, owner: str, key: str) -> Job | None:
        """Return the job that a user ordered with a key, `None` if there is none."""
        return next(iter(self._select_jobs(_JOBS_TABLE.c.owner == owner, _JOBS_TABLE.c.key == key)), None)

    def list_jobs(self, owner: str | None = None) -> Sequence[Job]:
        """Return the jobs of one user or of all, the newest first."""
        return self._select_jobs(*([] if owner is None else [_JOBS_TABLE.c.owner == owner]))

    def _select_jobs(self, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> list[Job]:
        if not self.has_database:
            return []
        with self._database.begin_read() as connection:
            return self._read_jobs(connection, *conditions, limit=limit)

    def _read_jobs(
        self, connection: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None
    ) -> list[Job]:
        columns = [_JOBS_TABLE.c[name] for name in Job.__dataclass_fields__]
        statement = (
            sa.select(*columns)
            .where(_JOBS_TABLE.c.site == self.site, *conditions)
            .order_by(_JOBS_TABLE.c.created.desc())
            .limit(limit)
        )
        return [Job(**row) for row in connection.execute(statement).mappings()]

    def claim_next_job(self, holder: str) -> Job | None:
        """Take a lease on the oldest job that nobody runs; `None` if there is none."""
        now = time.time()
        free = sa.and_(
            _JOBS_TABLE.c.state.in_(_ACTIVE_STATES), _JOBS_TABLE.c.lease < now, _JOBS_TABLE.c.not_before <= now
        )
        for job in reversed(self._select_jobs(free)):
            if not self.get_workspace(job).order_path.exists():
                continue  # a server with another folder has its files
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
        """Renew a lease and store the progress; return false if the job was cancelled, or has another holder."""
        values: dict[str, Any] = {
            "lease": time.time() + LEASE_SECONDS, "message": message, "done": progress.done, "failed": progress.failed,
            "bytes": progress.bytes, "before": progress.done_before, "seconds": progress.seconds,
        }  # fmt: skip
        if progress.done > progress.done_before:
            values["attempts"] = 0
        return self._update_held(job, holder, values)

    def release_job(self, job: Job, holder: str, message: str = "", pause: float = 0.0) -> None:
        """Give up a lease, so that any process may take the job after a pause."""
        self._update_held(
            job, holder, {"lease": 0.0, "holder": "", "message": message, "not_before": time.time() + pause}
        )

    def end_job(
        self, job: Job, holder: str, state: JobState, message: str = "", result: Checksum = NO_CHECKSUM
    ) -> bool:
        """Store the end of a job; return false if the holder has lost its lease."""
        values = {
            "state": state, "message": message, "ended": time.time(), "size": result.size, "sha256": result.sha256,
            "holder": "", "lease": 0.0,
        }  # fmt: skip
        return self._update_held(job, holder, values)

    def _update_held(self, job: Job, holder: str, values: dict[str, Any]) -> bool:
        return self._update_jobs(
            values, _JOBS_TABLE.c.id == job.id, _JOBS_TABLE.c.holder == holder, _JOBS_TABLE.c.state == "running"
        )

    def cancel_job(self, job: Job) -> bool:
        """Cancel a job; return false if it is finished. Its folder is removed when nobody writes to it any more."""
        values = {"state": "cancelled", "ended": time.time(), "message": "", "key": None}
        return self._update_jobs(values, _JOBS_TABLE.c.id == job.id, _JOBS_TABLE.c.state.in_(_ACTIVE_STATES))

    def remove_job(self, job: Job) -> None:
        """Remove a finished job and its files."""
        with self._database.begin() as connection:
            connection.execute(_JOBS_TABLE.delete().where(_JOBS_TABLE.c.id == job.id))
        remove_path(self.folder / job.id)

    def remove_expired_jobs(self, keep_seconds: float) -> list[Job]:
        """Remove jobs that ended long ago, and the files of cancelled jobs; return the removed jobs."""
        now = time.time()
        expired = [job for job in self.list_jobs() if job.ended is not None and job.ended + keep_seconds <= now]
        for job in expired:
            self.remove_job(job)
        for job in self._select_jobs(_JOBS_TABLE.c.state == "cancelled", _JOBS_TABLE.c.lease < time.time()):
            remove_path(self.folder / job.id)
        return expired

    def _update_jobs(self, values: dict[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
        with self._database.begin() as connection:
            return connection.execute(_JOBS_TABLE.update().where(*conditions).values(values)).rowcount == 1


def _check_quotas(jobs: Sequence[Job], owner: str, estimate: int, quotas: Quotas) -> None:
    """Refuse another job; see `JobStore.check_quotas`."""
    own = [job for job in jobs if job.owner == owner]
    active = sum(not job.is_finished for job in own)
    if active >= quotas.jobs_per_user:
        raise OverQuota(
            f"You have {active} exports that wait or run; {quotas.jobs_per_user} are allowed at a time"
            " (exports.jobs_per_user). Wait for one, or cancel one."
        )
    reserved = sum(job.reserved_bytes for job in own)
    if reserved + 2 * estimate > quotas.user_bytes:
        raise OverQuota(
            f"This export may take {_format_mib(2 * estimate)} while it is made, and yours take"
            f" {_format_mib(reserved)} already; {_format_mib(quotas.user_bytes)} are allowed (exports.user_mib)."
            " Delete results that you have, or order less."
        )
    if sum(job.reserved_bytes for job in jobs) + 2 * estimate > quotas.folder_bytes:
        raise NoRoom(
            "The folder of exports has no room for this now; ask again when others have been taken away."
            f" It holds {_format_mib(quotas.folder_bytes)} (exports.folder_mib)."
        )


def _format_mib(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"


def open_job_store(settings: Settings) -> JobStore | None:
    """Open the jobs of a site; `None` if its settings have no folder for exports."""
    folder = settings.exports.folder
    if folder is None:
        return None
    catalog = (settings.archive.folder, settings.catalog.url or settings.catalog.index)
    site_id = blake2b(repr(tuple(map(str, catalog))).encode(), digest_size=16).hexdigest()
    return JobStore(folder.resolve(), site_id, settings.catalog.url)


def build_quotas(settings: Settings) -> Quotas:
    """Return the quotas of a site's users."""
    exports = settings.exports
    return Quotas(exports.jobs_per_user, exports.user_mib << 20, exports.folder_mib << 20)
