"""A real PostgreSQL server for tests, run from the machine's own binaries, in its own folder."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from tests.serving import find_free_port

__all__ = ["Postgres", "find_binaries", "running"]

_NUMBERS: Final = count()
_UNPRIVILEGED: Final = ("postgres", "nobody")  # initdb refuses to run as root
_FAST: Final = "-c fsync=off"  # no data has to survive a crash of the machine


@dataclass(frozen=True)
class Postgres:
    """A server that listens on loopback, and accepts every user there."""

    binaries: Path
    folder: Path
    port: int

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return SQLAlchemy's URL of one of its databases."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """Create an empty database; return its URL."""
        name = f"test_{next(_NUMBERS)}"
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return self.url(name)

    def start(self) -> None:
        """Start the server, and wait until it responds."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} {_FAST}"
        self._run_control("-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """Stop the server at once; its clients lose their connections."""
        self._run_control("-m", "immediate", "stop")

    def initialise(self) -> None:
        """Create the server's files."""
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust", "-N", "-E", "UTF8", "--locale=C")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run_control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs, without pipes, which the server would keep open."""
        log = self.folder.with_suffix(".log")
        command = [*_make_user_prefix(), str(self.binaries / program), *arguments]
        with log.open("wb") as output:
            done = subprocess.run(command, check=False, stdout=output, stderr=output, cwd="/")
        said = log.read_text()
        log.unlink()
        assert done.returncode == 0, said


def find_binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, if they are installed: Debian's, or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    path = found[-1] if found else Path(on_path) if on_path else None
    return path.parent if path else None


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    """Run a server while the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="shotdap-postgres-"))  # other users cannot enter pytest's own folders
    server = Postgres(programs, folder, find_free_port())
    try:
        shutil.chown(folder, _find_user())
        server.initialise()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_user() -> str:
    """Return the name of a user who may run the server."""
    if os.geteuid():
        return getpass.getuser()
    known = {user.pw_name for user in pwd.getpwall()}
    return next(user for user in _UNPRIVILEGED if user in known)


def _make_user_prefix() -> list[str]:
    return [] if os.geteuid() else ["runuser", "-u", _find_user(), "--"]
