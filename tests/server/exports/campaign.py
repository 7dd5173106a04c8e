"""A campaign: an archive of many rows and a few small files, with its catalog; and clusters that export it."""

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
from tests.serving import find_free_port, make_environment

from shotdap.config import Site, load_settings

__all__ = ["QUERY", "SHAPE", "Campaign", "Cluster", "make_campaign", "start_cluster", "wait_until"]

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
    """The content of each file; the images use the files in rotation."""
    images: int

    @property
    def config(self) -> Path:
        """The settings' file."""
        return self.folder / "shotdap.toml"

    @property
    def exports(self) -> Path:
        """The folder of the servers' jobs."""
        return self.folder / "exports"

    def get_path(self, number: int) -> str:
        """Return the public path of an image."""
        return f"omega/{FIRST_SHOT + number}/cam/cam_s{FIRST_SHOT + number}"

    def compute_subtracted(self, number: int) -> NDArray[np.float32]:
        """Return the image without its background, as the server should compute it."""
        light, dark = self.frames[number % len(self.frames)].astype("f4")
        difference: NDArray[np.float32] = light - dark
        return difference

    def add_settings(self, settings: str) -> None:
        """Append lines to the section [exports]."""
        self.config.write_text(self.config.read_text() + settings)

    def spoil(self, number: int) -> None:
        """Make a file of the archive unreadable."""
        (self.folder / "files" / f"{number}.h5").write_bytes(b"\x89HDF\r\n\x1a\n, and no more")


def make_campaign(folder: Path, images: int, files: int | None = None) -> Campaign:
    """Make a campaign of some images, in as many files or fewer."""
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
    rows = [_build_row(number, number % files) for number in range(images)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_TABLE)
        connection.executemany(f"INSERT INTO ARCHIVE_FILES VALUES ({', '.join('?' * 9)})", rows)  # noqa: S608 — marks


def _build_row(number: int, file: int) -> tuple[Any, ...]:
    shot = FIRST_SHOT + number
    return number + 1, "OMEGA", shot, "2022-03-24", "CAM", f"cam_s{shot}.h5", f"{file}.h5", "HDF5", number + 1


def wait_until(condition: Any, seconds: float = 60) -> bool:  # noqa: ANN401 — anything that can be asked
    """Wait until a condition holds; return whether it does in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster of processes that know only the site's settings."""

    address: str
    nannies: subprocess.Popen[bytes]

    def find_workers(self) -> list[int]:
        """Return the worker processes; each is a child of a nanny, which would replace it."""
        children = Path(f"/proc/{self.nannies.pid}/task")
        pids = [int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()]
        return [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextmanager
def start_cluster(config: Path, log: Path, workers: int = 2) -> Iterator[Cluster]:
    """Run a scheduler, and workers that know only the site's settings, while the block lasts."""
    port = find_free_port()
    address = f"tcp://127.0.0.1:{port}"
    worker_environment = make_environment() | {"SHOTDAP_CONFIG": str(config)}
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    nannies = ("worker", address, "--nworkers", str(workers), "--nthreads", "1", "--host", "127.0.0.1",
               "--no-dashboard", "--memory-limit", "1GiB", "--local-directory", str(log.parent))  # fmt: skip
    with (
        log.open("wb") as output,
        _run_dask(scheduler, make_environment(), output),
        _run_dask(nannies, worker_environment, output) as process,
    ):
        cluster = Cluster(address, process)
        if not wait_until(
            lambda: log.read_text().count("Starting established connection") >= workers, _SECONDS_TO_START
        ):
            pytest.fail(f"There is no cluster:\n{log.read_text()}")
        yield cluster


@contextmanager
def _run_dask(
    arguments: tuple[str, ...], worker_environment: dict[str, str], output: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "dask", *arguments]
    with subprocess.Popen(
        command, stdout=output, stderr=output, env=worker_environment, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
