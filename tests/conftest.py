"""Servers that many tests share, each started once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

import pytest
from hypothesis import settings
from tests import postgres as postgresql
from tests import samples
from tests.serving import Server, run_shotdap, serving

from shotdap.server.demo.instructions import prepare_demo

# No test asserts a time: a busy machine takes longer than the deadline of an example.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
settings.register_profile("thorough", max_examples=3000)  # for a night: pytest --hypothesis-profile=thorough
REAL: Final = Path(__file__).resolve().parents[1] / "../shared/data/real"
"""Images of real shots, beside the checkout, never in it."""


def skip_absent(what: str) -> NoReturn:
    """Skip the test because something is missing; with ``SHOTDAP_REQUIRE_ALL=1``, fail."""
    if os.environ.get("SHOTDAP_REQUIRE_ALL") == "1":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def require() -> Callable[[str], None]:
    """A function that skips the test if a program is not installed: ``require("ncdump")``."""

    def insist(program: str) -> None:
        if shutil.which(program) is None:
            skip_absent(f"{program} is not installed")

    return insist


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the synthetic archive, its catalog built by the command; each process of the tests has a copy."""
    made = made_once("archive", tmp_path_factory, build_archive)
    return shutil.copytree(made, tmp_path_factory.mktemp("archive") / made.name)


def build_archive(folder: Path) -> None:
    """Create the synthetic archive and its catalog."""
    built = run_shotdap("catalog", "build", "--config", prepare_demo(folder))
    assert built.returncode == 0, built.stdout + built.stderr


def made_once(name: str, tmp_path_factory: pytest.TempPathFactory, make: Callable[[Path], None]) -> Path:
    """Return a folder that the first process of the tests creates, and that no test changes afterwards."""
    above = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        above = above.parent  # the parent of the folders of all processes
    made = above / "made" / name
    made.parent.mkdir(exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = tmp_path_factory.mktemp("unfinished") / name
            make(unfinished)
            unfinished.rename(made)
    return made


@pytest.fixture(scope="session")
def demo(archive: Path) -> Iterator[Server]:
    """A server of the synthetic archive."""
    with serving(archive / "server.log", "--config", archive / "shotdap.toml") as server:
        yield server


@pytest.fixture(scope="session")
def every_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that hold one of everything."""
    folder = tmp_path_factory.mktemp("every")
    samples.write_hdf5(folder / "every.h5")
    samples.write_hdf4(folder / "every.hdf")
    return folder


@pytest.fixture(scope="session")
def every(every_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of `every_folder`."""
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", every_folder) as server:
        yield server


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The folder of real images."""
    if not REAL.is_dir():
        skip_absent(f"real images are not beside the checkout: {REAL.name}")
    return REAL


@pytest.fixture(scope="session")
def real(real_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the real images."""
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", real_folder) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.Postgres]:
    """A PostgreSQL server; each test makes databases of its own in it."""
    programs = postgresql.find_binaries()
    if programs is None:
        skip_absent("PostgreSQL is not installed")
    with postgresql.running(programs) as server:
        yield server
