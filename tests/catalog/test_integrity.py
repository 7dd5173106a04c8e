"""A file that is not what was inspected is told from one that is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np
import pytest

from shotdap.catalog import (
    Catalog,
    DirectoryArchive,
    Health,
    Inspector,
    PathTemplate,
    Sandbox,
    SqlIndex,
    Undecided,
    Unreadable,
    build_catalog,
    inspect_catalog,
)
from shotdap.catalog.inspection.sandbox import SandboxCall
from shotdap.catalog.readers.gunzip import refuse_packed_file
from shotdap.catalog.storage.raw_bytes import hash_file

NAME = "image.h5"
Result = TypeVar("Result")


@pytest.fixture(scope="module")
def isolation() -> Iterator[Sandbox]:
    isolation = Sandbox()
    yield isolation
    isolation.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    with h5py.File(tmp_path / "root" / NAME, "w") as file:
        file["counts"] = np.arange(1000, dtype="u2").reshape(20, 50)
    return tmp_path / "root"


@pytest.fixture
def index(tmp_path: Path, root: Path) -> SqlIndex:
    index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
    build_catalog(DirectoryArchive(root), index, PathTemplate("{name}"))
    return index


def flip(path: Path, *, quietly: bool) -> None:
    """Turn over one bit of the values, perhaps without touching the file's times."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(500, 510, dtype="u2").tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    if quietly:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def look(index: SqlIndex, root: Path, isolation: Sandbox, *, again: bool = False) -> None:
    inspect_catalog(index, Inspector(Catalog(index, root).locate_file, isolation, refuse_packed_file), again=again)


def test_source(index: SqlIndex, root: Path, isolation: Sandbox) -> None:
    """An inspected image says the hash of its file, and nothing is read for that."""
    look(index, root, isolation)
    dataset = Catalog(index, root).open("image")

    assert dataset.attrs["source"] == f"sha256:{hash_file(root / NAME)}"
    assert index.find_entry("image").first_inspection.structure == {"counts": "uint16[20,50]"}  # type: ignore[union-attr]


def test_silent_flip(index: SqlIndex, root: Path, isolation: Sandbox) -> None:
    """A bit that turned over without a trace in the file's times is found by the next full inspection."""
    look(index, root, isolation)
    flip(root / NAME, quietly=True)
    look(index, root, isolation, again=True)

    assert index.find_entry("image").health is Health.CHANGED


@pytest.mark.parametrize("quietly", [True, False])
def test_changed_file(index: SqlIndex, root: Path, isolation: Sandbox, *, quietly: bool) -> None:
    """A file that changed since its inspection is served with a warning, or refused, as the settings say."""
    look(index, root, isolation)
    flip(root / NAME, quietly=quietly)
    if quietly:
        look(index, root, isolation, again=True)
    warned = Catalog(index, root, isolation=isolation).open("image")

    assert "not those that were inspected" in warned.attrs["integrity_warning"]
    with pytest.raises(Unreadable, match="not those that were inspected"):
        Catalog(index, root, isolation=isolation, refuse_changed=True).open("image")


def test_found_while_serving(index: SqlIndex, root: Path, isolation: Sandbox) -> None:
    """A catalog that has the image open warns as soon as an inspection finds that it changed."""
    look(index, root, isolation)
    catalog = Catalog(index, root, isolation=isolation)
    before = catalog.open("image")
    flip(root / NAME, quietly=True)
    look(index, root, isolation, again=True)

    assert "integrity_warning" not in before.attrs
    assert "integrity_warning" in catalog.open("image").attrs


class Counting(Sandbox):
    """Counts its calls."""

    calls = 0

    def __call__(self, function: Callable[..., Result], *arguments: object) -> Result:
        self.calls += 1
        return super().__call__(function, *arguments)


def test_bad_file_is_tried_once(root: Path) -> None:
    """A file that cannot be read whole is tried in isolation once, not at each request."""
    content = (root / NAME).read_bytes()
    (root / NAME).write_bytes(content[:-500])
    isolation = Counting()
    catalog = Catalog(DirectoryArchive(root), root, isolation=isolation)
    for _ in range(3):
        with pytest.raises(Unreadable):
            catalog.open(NAME)
    isolation.close()

    assert isolation.calls == 1


def test_touched_file(index: SqlIndex, root: Path, isolation: Sandbox) -> None:
    """A file whose times changed and whose bytes did not is what it was."""
    look(index, root, isolation)
    os.utime(root / NAME, (1, 1))
    dataset = Catalog(index, root, isolation=isolation, refuse_changed=True).open("image")

    assert "integrity_warning" not in dataset.attrs


def test_restored_file(index: SqlIndex, root: Path, isolation: Sandbox) -> None:
    """A changed file that is put back as it was is good again after a full inspection."""
    good = (root / NAME).read_bytes()
    look(index, root, isolation)
    flip(root / NAME, quietly=False)
    look(index, root, isolation, again=True)
    (root / NAME).write_bytes(good)
    look(index, root, isolation, again=True)

    assert index.find_entry("image").health is Health.OK


class Lost(Sandbox):
    """Loses its process at the first call."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.calls = 0

    def __call__(self, function: Callable[..., Result], *arguments: object) -> Result:
        self.calls += 1
        if self.calls == 1:
            raise Undecided("The isolated process that read the file was killed; ask again.", self.seconds)
        return super().__call__(function, *arguments)


class Slow(Sandbox):
    """Finds nothing out."""

    def wait_for_result(self, call: SandboxCall[Result]) -> Result:
        super().wait_for_result(call)
        raise Undecided("Reading the file takes longer than 60 s of the processor's time.", 60)


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_undecided_is_not_remembered(root: Path, seconds: float) -> None:
    """A good file whose process was killed or too slow is served the next time, or after a moment."""
    isolation = Lost(seconds)
    catalog = Catalog(DirectoryArchive(root), root, isolation=isolation)
    with pytest.raises(Undecided):
        catalog.open(NAME)
    if seconds:
        with pytest.raises(Undecided):
            catalog.open(NAME)
    assert isolation.calls == 1

    time.sleep(2 * seconds)
    assert catalog.open(NAME).counts.shape == (20, 50)
    isolation.close()


def test_undecided_inspection(index: SqlIndex, root: Path) -> None:
    """An inspection that finds nothing out of a file leaves what was known of it."""
    good = Sandbox()
    look(index, root, good)
    good.close()
    known = index.find_entry("image")
    slow = Slow()
    look(index, root, slow, again=True)
    slow.close()

    assert index.find_entry("image").health is Health.OK
    assert index.find_entry("image").first_inspection == known.first_inspection
