"""A campaign: many rows of an archive that lead to some small files, and its catalog; and clusters to export it on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from tests import samples
from tests.serving import environment, free_port

from shotdap.config import Site, load_settings

__all__ = ["QUERY", "SHAPE", "Campaign", "Cluster", "clustered", "made", "within"]

SHAPE: Final = (2, 12, 16)
QUERY: Final = "facility:omega"
FIRST_SHOT: Final = 50_000

_SETTINGS: Final = """\
[archive]
url = "sqlite:///archive.db"
root = "files"

[catalog]
index = "catalog.db"
isolate = false

[exports]
folder = "exports"
memory_mib = 1024
"""
_TABLE: Final = (
    "CREATE TABLE ARCHIVE_FILES (IMAGE_ID INTEGER PRIMARY KEY, FACILITY TEXT, SHOT_NUMBER INTEGER, SHOT_DATE TEXT,"
    " DIAGNOSTIC TEXT, SOURCE_FILE TEXT, ARCHIVE_FILE TEXT, FORMAT TEXT, MODIFIED INTEGER)"
)
_SECONDS_TO_START: Final = 60


@dataclass(frozen=True)
class Campaign:
    """An archive with its catalog."""

    folder: Path
    frames: list[NDArray[np.uint16]]
    """What each file holds; the images take them by turns."""
    images: int

    @property
    def config(self) -> Path:
        """The settings."""
        return self.folder / "shotdap.toml"

    @property
    def exports(self) -> Path:
        """Where servers keep their jobs."""
        return self.folder / "exports"

    def path(self, number: int) -> str:
        """The public path of an image."""
        return f"omega/{FIRST_SHOT + number}/cam/cam_s{FIRST_SHOT + number}"

    def subtracted(self, number: int) -> NDArray[np.float32]:
        """What the server should make of an image."""
        light, dark = self.frames[number % len(self.frames)].astype("f4")
        difference: NDArray[np.float32] = light - dark
        return difference

    def add(self, settings: str) -> None:
        """Put lines behind those of [exports]."""
        self.config.write_text(self.config.read_text() + settings)

    def spoil(self, number: int) -> None:
        """Make a file of the archive one that cannot be read."""
        (self.folder / "files" / f"{number}.h5").write_bytes(b"\x89HDF\r\n\x1a\n, and no more")


def made(folder: Path, images: int, files: int | None = None) -> Campaign:
    """Make a campaign of some images, which lie in as many files or in fewer."""
    files = files or images
    (folder / "files").mkdir(parents=True)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 2**16, SHAPE, "u2") for _ in range(files)]
    for number, each in enumerate(frames):
        samples.write_image(folder / "files" / f"{number}.h5", each)
    _write_rows(folder / "archive.db", images, files)
    campaign = Campaign(folder, frames, images)
    campaign.config.write_text(_SETTINGS)
    Site(load_settings(campaign.config)).build_catalog()
    return campaign


def _write_rows(path: Path, images: int, files: int) -> None:
    rows = [_row(number, number % files) for number in range(images)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_TABLE)
        connection.executemany(f"INSERT INTO ARCHIVE_FILES VALUES ({', '.join('?' * 9)})", rows)  # noqa: S608 — marks


def _row(number: int, file: int) -> tuple[Any, ...]:
    shot = FIRST_SHOT + number
    return number + 1, "OMEGA", shot, "2022-03-24", "CAM", f"cam_s{shot}.h5", f"{file}.h5", "HDF5", number + 1


def within(is_so: Any, seconds: float = 60) -> bool:  # noqa: ANN401 — anything that can be asked
    """Whether something becomes so in time."""
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(is_so())


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster of processes that know nothing of an export but the site's settings."""

    address: str
    nannies: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        """The processes that do the work; each is a child of one that would replace it."""
        children = Path(f"/proc/{self.nannies.pid}/task")
        found = [int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()]
        return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextmanager
def clustered(config: Path, log: Path, workers: int = 2) -> Iterator[Cluster]:
    """A scheduler, and workers that have been told of the site's settings only, for as long as the block lasts."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    surroundings = environment() | {"SHOTDAP_CONFIG": str(config)}
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    nannies = ("worker", address, "--nworkers", str(workers), "--nthreads", "1", "--host", "127.0.0.1",
               "--no-dashboard", "--memory-limit", "1GiB", "--local-directory", str(log.parent))  # fmt: skip
    with (
        log.open("wb") as output,
        _running(scheduler, environment(), output),
        _running(nannies, surroundings, output) as process,
    ):
        cluster = Cluster(address, process)
        if not within(lambda: log.read_text().count("Starting established connection") >= workers, _SECONDS_TO_START):
            pytest.fail(f"There is no cluster:\n{log.read_text()}")
        yield cluster


@contextmanager
def _running(
    arguments: tuple[str, ...], surroundings: dict[str, str], output: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "dask", *arguments]
    with subprocess.Popen(command, stdout=output, stderr=output, env=surroundings, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
