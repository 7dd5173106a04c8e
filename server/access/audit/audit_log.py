"""The audit: a record of each access, written by a thread, so that no request waits for a disk or a database."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from shotdap.catalog.index.tables import SafeText
from shotdap.config import BadSettings, Settings
from shotdap.server.access.access_database import METADATA, AccessDatabase
from shotdap.server.access.audit.audit_file import MAX_LINE_BYTES, AuditFile

_LOG = logging.getLogger("shotdap.audit")
_MAX_WAITING: Final = 100_000  # records in memory while the disk does not take them; more are counted, and lost
_MAX_UNSTORED: Final = 10_000  # the same for the table, while the database does not take them
_BATCH_RECORDS: Final = 500
_LINGER_SECONDS: Final = 0.1  # in which more records come: a killed process loses those of this time
_RETRY_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 5.0  # for what is left when the process ends
_MAX_NAME_LENGTH: Final = 200
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_LENGTHS: Final = (2000, 500, 100)  # of the path and the query, tried one after the other until the line fits


@dataclass(frozen=True)
class AuditRecord:
    """One access: a request, or an image of an export."""

    time: str
    """When it began: ISO 8601, in UTC."""
    request: str
    """A number of the request, which the answer has as ``X-Request-Id``; of an export, its id."""
    user: str
    """The name of the principal; empty if nobody signed in."""
    token: str
    """The public id of the token."""
    address: str
    method: str
    """Of HTTP; ``EXPORT`` for an image that a job has exported."""
    protocol: str
    """``dap2``, ``dap4``, ``dap`` for pages and files, ``zarr``, ``thredds``, ``api/images``, ``export`` and so on."""
    path: str
    """The public path of an image or a folder; of Zarr, with the key behind it."""
    suffix: str
    """The suffix of DAP, which says which part of the answer it is."""
    query: str
    """The constraint or query as it was sent, without secrets."""
    status: int
    bytes: int
    """Bytes of the body that were sent."""
    seconds: float
    client: str
    """The client program."""
    complete: bool = True
    """False if the answer was cut off."""


_COLUMN_TYPES: Final = {"int": sa.BigInteger, "float": sa.Double, "bool": sa.Boolean}
_TABLE: Final = sa.Table(
    "access_audit",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    *(
        sa.Column(each.name, _COLUMN_TYPES.get(str(each.type), SafeText), nullable=False)
        for each in fields(AuditRecord)
    ),
    sa.Index("access_audit_by_path", "path"),
    sa.Index("access_audit_by_user", "user", "time"),
)


class AuditLog:
    """The audit of a site. One object in each process that has something to record.

    Args:
        file: gets the records as lines; `None` for none.
        database: gets them in a table, too; `None` for none.
    """

    def __init__(self, file: AuditFile | None, database: AccessDatabase | None = None) -> None:
        self._file = file
        self._database = database
        self._waiting: queue.SimpleQueue[AuditRecord | None] = queue.SimpleQueue()
        self._unstored: deque[AuditRecord] = deque(maxlen=_MAX_UNSTORED)
        self._lost = 0
        self._writer: threading.Thread | None = None
        self._is_closing = threading.Event()

    @classmethod
    def from_settings(cls, settings: Settings) -> AuditLog | None:
        """Return the audit of a site, `None` if its settings have none.

        Raises:
            BadSettings: the file cannot be written.
        """
        audit = settings.audit
        file = None
        if audit.file is not None:
            file = AuditFile(audit.file, audit.rotate_mib << 20, audit.keep)
            try:
                file.append(b"")
            except OSError as error:
                raise BadSettings(f"audit.file: {audit.file} cannot be written: {error.strerror}.") from error
        database = AccessDatabase.from_settings(settings) if audit.table else None
        return cls(file, database) if file or database else None

    def record(self, record: AuditRecord) -> None:
        """Record an access; never waits."""
        if self._waiting.qsize() >= _MAX_WAITING:
            self._lost += 1
            return
        self._waiting.put(record)
        if self._writer is None or not self._writer.is_alive():  # in a process that was forked, too
            self._is_closing.clear()
            self._writer = threading.Thread(target=self._write_all, name="shotdap audit", daemon=True)
            self._writer.start()

    def close(self) -> None:
        """Write what is left, for some seconds at most."""
        self._is_closing.set()
        self._waiting.put(None)
        if self._writer is not None:
            self._writer.join(_CLOSE_SECONDS)
        if self._database is not None:
            self._database.close()

    def iter_records(self) -> Iterator[AuditRecord]:
        """Yield all records, the oldest first: from the file if there is one, otherwise from the table."""
        if self._file is not None:
            yield from filter(None, map(_parse_line, self._file.iter_lines()))
        elif self._database is not None:
            with self._database.begin_read() as connection:
                columns = [_TABLE.c[each.name] for each in fields(AuditRecord)]
                for row in connection.execute(sa.select(*columns).order_by(_TABLE.c.number)).mappings():
                    yield AuditRecord(**row)

    def _write_all(self) -> None:
        while True:
            batch = [self._waiting.get()]
            self._is_closing.wait(_LINGER_SECONDS)
            with suppress(queue.Empty):
                while len(batch) < _BATCH_RECORDS and batch[-1] is not None:
                    batch.append(self._waiting.get_nowait())
            records = [record for record in batch if record is not None]
            while records and not self._write(records):
                if self._is_closing.wait(_RETRY_SECONDS):
                    break
            self._store(records)
            if None in batch:
                return

    def _write(self, records: Sequence[AuditRecord]) -> bool:
        if self._file is None:
            return True
        try:
            self._file.append(b"".join(map(format_line, records)))
        except OSError as error:
            _LOG.error("the audit cannot be written, %d records wait: %s", self._waiting.qsize(), error.strerror)
            return False
        if self._lost:
            _LOG.error("%d records of the audit were lost, as the disk did not take them", self._lost)
            self._lost = 0
        return True

    def _store(self, records: Sequence[AuditRecord]) -> None:
        """Store records in the table; those that the database does not take now are tried again with the next."""
        if self._database is None:
            return
        self._unstored.extend(records)
        if not self._unstored:
            return
        try:
            with self._database.begin() as connection:
                connection.execute(_TABLE.insert(), [vars(record) for record in self._unstored])
        except (SQLAlchemyError, OSError):
            _LOG.warning("the table of the audit cannot be written now", exc_info=True)
        else:
            self._unstored.clear()


def format_line(record: AuditRecord) -> bytes:
    """Return the line of a record; what is too long for a line is cut, with an ellipsis at its end."""
    values = {
        **vars(record),
        "user": _cut(record.user, _MAX_NAME_LENGTH),
        "client": _cut(record.client, _MAX_NAME_LENGTH),
    }
    line = b""
    for length in _LENGTHS:
        values |= {"path": _cut(record.path, length), "query": _cut(record.query, length)}
        line = f"{_ENCODER.encode(values)}\n".encode("ascii")
        if len(line) <= MAX_LINE_BYTES:
            break
    return line


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _parse_line(line: bytes) -> AuditRecord | None:
    """Parse a line; `None` for one that somebody else has written."""
    try:
        return AuditRecord(**json.loads(line))
    except (ValueError, TypeError):
        return None


def open_audit(settings: Settings) -> AuditLog:
    """Return the audit of a site, for reading.

    Raises:
        BadSettings: the site keeps none.
    """
    log = AuditLog.from_settings(settings)
    if log is None:
        raise BadSettings("This site keeps no audit: set audit.file, or audit.table = true.")
    return log
