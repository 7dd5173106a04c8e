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

SECONDS = 60  # on a busy machine; it takes one or two


@pytest.fixture
def site(archive: Path, tmp_path: Path) -> Path:
    """The settings of a small archive from which all rows but a few are withheld; it is polled twice a second."""
    shutil.copytree(archive, tmp_path, ignore=shutil.ignore_patterns("catalog.db*", "server.log"), dirs_exist_ok=True)
    config = tmp_path / "shotdap.toml"
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection, connection:
        connection.execute("CREATE TABLE AWAY AS SELECT * FROM ARCHIVE_FILES WHERE IMAGE_ID > 3")
        connection.execute("DELETE FROM ARCHIVE_FILES WHERE IMAGE_ID > 3")
    config.write_text(config.read_text() + "watch_seconds = 0.5\n")
    built = run_shotdap("catalog", "build", "--config", config, "--no-inspect")
    assert built.returncode == 0, built.stderr
    return config


def insert_withheld(folder: Path) -> None:
    """Insert the rows that were withheld."""
    with closing(sqlite3.connect(folder / "archive.db")) as connection, connection:
        connection.execute("INSERT INTO ARCHIVE_FILES SELECT * FROM AWAY")


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Wait until a condition holds; return whether it does in time."""
    deadline = time.monotonic() + SECONDS
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_so()


def is_served(server: Server, path: str) -> bool:
    try:
        with urlopen(f"{server.dap(path)}.dds") as reply:  # noqa: S310 — our own, over http
            return bool(reply.status == 200)
    except HTTPError:
        return False


def test_new_shot(site: Path, tmp_path: Path) -> None:
    """A row that is added while the server runs is an image within seconds, in every worker."""
    image = "omega-ep/25386/sop/sop_s25386"
    with serving(tmp_path / "log", "--config", site, "--workers", "2") as server:
        before = is_served(server, image)
        insert_withheld(tmp_path)

        assert not before
        assert wait_until(lambda: is_served(server, image))


def test_archive_is_unreachable_for_a_while(site: Path, tmp_path: Path) -> None:
    """While the archive is unreachable, the server serves its catalog and reports the fault; then it sees new rows."""
    known, new = "omega/62326/asbo1/asbo1_flat_s62326", "omega-ep/25386/sop/sop_s25386"
    log, archive, away = tmp_path / "log", tmp_path / "archive.db", tmp_path / "away"
    file = find_file(tmp_path, 25386, "SOP")
    file.rename(tmp_path / "file")
    with serving(log, "--config", site) as server:
        archive.rename(away)
        said = wait_until(lambda: "The archive's database does not answer" in log.read_text())
        meanwhile = is_served(server, known), is_served(server, new)
        (tmp_path / "file").rename(file)
        away.rename(archive)
        insert_withheld(tmp_path)

        assert said
        assert meanwhile == (True, False)
        assert wait_until(lambda: is_served(server, new))


def find_file(folder: Path, shot: int, diagnostic: str) -> Path:
    """Return the path of the file of a withheld row."""
    statement = "SELECT ARCHIVE_FILE FROM AWAY WHERE SHOT_NUMBER = ? AND DIAGNOSTIC = ?"
    with closing(sqlite3.connect(folder / "archive.db")) as connection:
        (name,) = connection.execute(statement, (shot, diagnostic)).fetchone()
    return folder / "files" / str(name)


def test_command(site: Path, tmp_path: Path) -> None:
    """`shotdap catalog watch` reports new rows, whatever happens in between, until it is interrupted."""
    log = tmp_path / "log"
    command = ["env", "--default-signal=INT", SHOTDAP, "catalog", "watch", "--seconds", "0.3", "--config", str(site)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, env=make_environment(), start_new_session=True
        ) as process,
    ):
        try:
            began = wait_until(lambda: "Files looked into: 3 good" in log.read_text())
            (tmp_path / "archive.db").rename(tmp_path / "away")
            lost = wait_until(lambda: "The archive's database does not answer" in log.read_text())
            (tmp_path / "away").rename(tmp_path / "archive.db")
            insert_withheld(tmp_path)
            came = wait_until(lambda: "images added, 0 changed" in log.read_text())
            process.send_signal(signal.SIGINT)
            code = process.wait(SECONDS)
        finally:
            process.kill()

    assert (began, lost, came, code) == (True, True, True, 0)


def test_lost_archive(site: Path, tmp_path: Path) -> None:
    """An unreachable archive costs one line in the log; when it is back, its new rows are read."""
    said = list[str]()
    away = tmp_path / "archive.db.away"
    turns = iter((lambda: (tmp_path / "archive.db").rename(away), lambda: away.rename(tmp_path / "archive.db"), None))

    def wait() -> bool:
        turn = next(turns)
        if turn is None:
            return False
        turn()
        if not away.exists():
            insert_withheld(tmp_path)
        return True

    poll_catalog(Site(load_settings(site)), said.append, wait, inspect=False)

    assert "archive" in said[0]
    assert said[1].startswith("Catalog: ")
    assert len(said) == 2


def test_killed_server(site: Path, tmp_path: Path) -> None:
    """If the server is killed, its poller ends by itself."""
    killed: list[int] = []

    def kill() -> None:
        with serving(tmp_path / "log", "--config", site) as server:
            killed.extend(server.find_children("shotdap watch"))
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()

    with pytest.raises(pytest.fail.Exception):  # the server ended before the block did
        kill()

    assert len(killed) == 1
    assert wait_until(lambda: not Path(f"/proc/{killed[0]}").exists())
