"""A catalog that is kept up to date while it is served."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.serving import SHOTDAP, Server, make_environment, run_shotdap, serving

from shotdap.config import Site, load_settings
from shotdap.server.catalog_poller import poll_catalog

SECONDS = 60  # on a machine that does other things too; it takes one or two


@pytest.fixture
def site(archive: Path, tmp_path: Path) -> Path:
    """The settings of a small archive whose rows all are away but a few; looked at twice a second."""
    shutil.copytree(archive, tmp_path, ignore=shutil.ignore_patterns("catalog.db*", "server.log"), dirs_exist_ok=True)
    config = tmp_path / "shotdap.toml"
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection, connection:
        connection.execute("CREATE TABLE AWAY AS SELECT * FROM ARCHIVE_FILES WHERE IMAGE_ID > 3")
        connection.execute("DELETE FROM ARCHIVE_FILES WHERE IMAGE_ID > 3")
    config.write_text(config.read_text() + "watch_seconds = 0.5\n")
    built = run_shotdap("catalog", "build", "--config", config, "--no-inspect")
    assert built.returncode == 0, built.stderr
    return config


def come(folder: Path) -> None:
    """The rows that were away."""
    with closing(sqlite3.connect(folder / "archive.db")) as connection, connection:
        connection.execute("INSERT INTO ARCHIVE_FILES SELECT * FROM AWAY")


def within(is_so: Callable[[], bool]) -> bool:
    """Whether something becomes so in time."""
    deadline = time.monotonic() + SECONDS
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_so()


def is_there(server: Server, path: str) -> bool:
    try:
        with urlopen(f"{server.dap(path)}.dds") as reply:  # noqa: S310 — our own, over http
            return bool(reply.status == 200)
    except HTTPError:
        return False


def test_new_shot(site: Path, tmp_path: Path) -> None:
    """A row that comes while the server serves is an image within seconds, in every worker."""
    image = "omega-ep/25386/sop/sop_s25386"
    with serving(tmp_path / "log", "--config", site, "--workers", "2") as server:
        before = is_there(server, image)
        come(tmp_path)

        assert not before
        assert within(lambda: is_there(server, image))


def test_archive_goes_and_comes(site: Path, tmp_path: Path) -> None:
    """While the archive is away the server serves what it knows and says what is wrong; then it sees what is new."""
    known, new = "omega/62326/asbo1/asbo1_flat_s62326", "omega-ep/25386/sop/sop_s25386"
    log, archive, away = tmp_path / "log", tmp_path / "archive.db", tmp_path / "away"
    file = file_of(tmp_path, 25386, "SOP")
    file.rename(tmp_path / "file")
    with serving(log, "--config", site) as server:
        archive.rename(away)
        said = within(lambda: "The archive's database does not answer" in log.read_text())
        meanwhile = is_there(server, known), is_there(server, new)
        (tmp_path / "file").rename(file)
        away.rename(archive)
        come(tmp_path)

        assert said
        assert meanwhile == (True, False)
        assert within(lambda: is_there(server, new))


def file_of(folder: Path, shot: int, diagnostic: str) -> Path:
    """Where a row that is away has its file."""
    statement = "SELECT ARCHIVE_FILE FROM AWAY WHERE SHOT_NUMBER = ? AND DIAGNOSTIC = ?"
    with closing(sqlite3.connect(folder / "archive.db")) as connection:
        (name,) = connection.execute(statement, (shot, diagnostic)).fetchone()
    return folder / "files" / str(name)


def test_command(site: Path, tmp_path: Path) -> None:
    """`shotdap catalog watch` says which rows came, whatever there was in between, until it is interrupted."""
    log = tmp_path / "log"
    command = ["env", "--default-signal=INT", SHOTDAP, "catalog", "watch", "--seconds", "0.3", "--config", str(site)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, env=make_environment(), start_new_session=True
        ) as process,
    ):
        try:
            began = within(lambda: "Files looked into: 3 good" in log.read_text())
            (tmp_path / "archive.db").rename(tmp_path / "away")
            lost = within(lambda: "The archive's database does not answer" in log.read_text())
            (tmp_path / "away").rename(tmp_path / "archive.db")
            come(tmp_path)
            came = within(lambda: "images added, 0 changed" in log.read_text())
            process.send_signal(signal.SIGINT)
            code = process.wait(SECONDS)
        finally:
            process.kill()

    assert (began, lost, came, code) == (True, True, True, 0)


def test_lost_archive(site: Path, tmp_path: Path) -> None:
    """An archive that goes away costs a line in the log; when it comes back, so do its new rows."""
    said = list[str]()
    away = tmp_path / "archive.db.away"
    turns = iter((lambda: (tmp_path / "archive.db").rename(away), lambda: away.rename(tmp_path / "archive.db"), None))

    def wait() -> bool:
        turn = next(turns)
        if turn is None:
            return False
        turn()
        if not away.exists():
            come(tmp_path)
        return True

    poll_catalog(Site(load_settings(site)), said.append, wait, inspect=False)

    assert "archive" in said[0]
    assert said[1].startswith("Catalog: ")
    assert len(said) == 2


def test_server_that_is_killed(site: Path, tmp_path: Path) -> None:
    """When the server is killed, its poller ends by itself."""
    killed: list[int] = []

    def kill() -> None:
        with serving(tmp_path / "log", "--config", site) as server:
            killed.extend(pollers(server.process.pid))
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()

    with pytest.raises(pytest.fail.Exception):  # the server ended before the block did
        kill()

    assert len(killed) == 1
    assert within(lambda: not Path(f"/proc/{killed[0]}").exists())


def pollers(parent: int) -> list[int]:
    """The processes that a process started for polling."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
