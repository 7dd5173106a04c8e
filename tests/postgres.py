"""A real PostgreSQL server for tests, of the machine's own binaries, in a folder of its own."""

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
from tests.serving import free_port

__all__ = ["Postgres", "find_binaries", "running"]

_NUMBERS: Final = count()
_UNPRIVILEGED: Final = ("postgres", "nobody")  # initdb refuses to run as root
_FAST: Final = "-c fsync=off"  # nothing here has to outlive the machine


@dataclass(frozen=True)
class Postgres:
    """A server that listens at loopback, and trusts everybody there."""

    binaries: Path
    folder: Path
    port: int

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """SQLAlchemy's URL of one of its databases."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """Make an empty database; its URL."""
        name = f"test_{next(_NUMBERS)}"
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} {_FAST}"
        self._control("-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """Stop it at once; whoever is connected loses the connection."""
        self._control("-m", "immediate", "stop")

    def initialise(self) -> None:
        """Make its files."""
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust", "-N", "-E", "UTF8", "--locale=C")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs; not through pipes, which the server would keep open."""
        log = self.folder.with_suffix(".log")
        command = [*_as_somebody(), str(self.binaries / program), *arguments]
        with log.open("wb") as output:
            done = subprocess.run(command, check=False, stdout=output, stderr=output, cwd="/")
        said = log.read_text()
        log.unlink()
        assert done.returncode == 0, said


def find_binaries() -> Path | None:
    """The folder of PostgreSQL's programs, where they are installed: Debian's, or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    path = found[-1] if found else Path(on_path) if on_path else None
    return path.parent if path else None


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    """A server for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="shotdap-postgres-"))  # pytest's own folders are closed to other users
    server = Postgres(programs, folder, free_port())
    try:
        shutil.chown(folder, _somebody())
        server.initialise()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _somebody() -> str:
    """Who may run the server."""
    if os.geteuid():
        return getpass.getuser()
    known = {user.pw_name for user in pwd.getpwall()}
    return next(user for user in _UNPRIVILEGED if user in known)


def _as_somebody() -> list[str]:
    return [] if os.geteuid() else ["runuser", "-u", _somebody(), "--"]
