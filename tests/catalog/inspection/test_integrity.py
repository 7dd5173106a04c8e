"""Files that differ from their inspection are detected."""

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
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


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
    """Flip one bit of the values, perhaps without changing the file's times."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(500, 510, dtype="u2").tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    if quietly:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def look(index: SqlIndex, root: Path, sandbox: Sandbox, *, again: bool = False) -> None:
    inspect_catalog(index, Inspector(Catalog(index, root).locate_file, sandbox, refuse_packed_file), again=again)


def test_source(index: SqlIndex, root: Path, sandbox: Sandbox) -> None:
    """An inspected image has the hash of its file, and the file is not read for it."""
    look(index, root, sandbox)
    dataset = Catalog(index, root).open("image")

    assert dataset.attrs["source"] == f"sha256:{hash_file(root / NAME)}"
    assert index.find_entry("image").last_good_inspection.structure == {"counts": "uint16[20,50]"}  # type: ignore[union-attr]


def test_silent_flip(index: SqlIndex, root: Path, sandbox: Sandbox) -> None:
    """A flipped bit that left the file's times unchanged is detected by the next full inspection."""
    look(index, root, sandbox)
    flip(root / NAME, quietly=True)
    look(index, root, sandbox, again=True)

    assert index.find_entry("image").health is Health.CHANGED


@pytest.mark.parametrize("quietly", [True, False])
def test_changed_file(index: SqlIndex, root: Path, sandbox: Sandbox, *, quietly: bool) -> None:
    """A file that changed since its inspection is served with a warning or refused, according to the settings."""
    look(index, root, sandbox)
    flip(root / NAME, quietly=quietly)
    if quietly:
        look(index, root, sandbox, again=True)
    warned = Catalog(index, root, sandbox=sandbox).open("image")

    assert "not those that were inspected" in warned.attrs["integrity_warning"]
    with pytest.raises(Unreadable, match="not those that were inspected"):
        Catalog(index, root, sandbox=sandbox, refuse_changed=True).open("image")


def test_found_while_serving(index: SqlIndex, root: Path, sandbox: Sandbox) -> None:
    """A catalog that has the image open warns as soon as an inspection detects the change."""
    look(index, root, sandbox)
    catalog = Catalog(index, root, sandbox=sandbox)
    before = catalog.open("image")
    flip(root / NAME, quietly=True)
    look(index, root, sandbox, again=True)

    assert "integrity_warning" not in before.attrs
    assert "integrity_warning" in catalog.open("image").attrs


class Counting(Sandbox):
    """A sandbox that counts its calls."""

    calls = 0

    def __call__(self, function: Callable[..., Result], *arguments: object) -> Result:
        self.calls += 1
        return super().__call__(function, *arguments)


def test_bad_file_is_tried_once(root: Path) -> None:
    """A file that cannot be read whole is tried in the sandbox once, not at each request."""
    content = (root / NAME).read_bytes()
    (root / NAME).write_bytes(content[:-500])
    sandbox = Counting()
    catalog = Catalog(DirectoryArchive(root), root, sandbox=sandbox)
    for _ in range(3):
        with pytest.raises(Unreadable):
            catalog.open(NAME)
    sandbox.close()

    assert sandbox.calls == 1


def test_touched_file(index: SqlIndex, root: Path, sandbox: Sandbox) -> None:
    """A file with the same bytes and other times is unchanged."""
    look(index, root, sandbox)
    os.utime(root / NAME, (1, 1))
    dataset = Catalog(index, root, sandbox=sandbox, refuse_changed=True).open("image")

    assert "integrity_warning" not in dataset.attrs


def test_restored_file(index: SqlIndex, root: Path, sandbox: Sandbox) -> None:
    """A changed file that is restored is good again after a full inspection."""
    good = (root / NAME).read_bytes()
    look(index, root, sandbox)
    flip(root / NAME, quietly=False)
    look(index, root, sandbox, again=True)
    (root / NAME).write_bytes(good)
    look(index, root, sandbox, again=True)

    assert index.find_entry("image").health is Health.OK


class Lost(Sandbox):
    """A sandbox that loses its process at the first call."""

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
    """A sandbox that never gets a result."""

    def wait_for_result(self, call: SandboxCall[Result]) -> Result:
        super().wait_for_result(call)
        raise Undecided("Reading the file takes longer than 60 s of the processor's time.", 60)


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_undecided_is_not_remembered(root: Path, seconds: float) -> None:
    """A good file whose process was killed or too slow is served at the next request, or after a moment."""
    sandbox = Lost(seconds)
    catalog = Catalog(DirectoryArchive(root), root, sandbox=sandbox)
    with pytest.raises(Undecided):
        catalog.open(NAME)
    if seconds:
        with pytest.raises(Undecided):
            catalog.open(NAME)
    assert sandbox.calls == 1

    time.sleep(2 * seconds)
    assert catalog.open(NAME).counts.shape == (20, 50)
    sandbox.close()


def test_undecided_inspection(index: SqlIndex, root: Path) -> None:
    """An inspection without a result leaves the recorded state of a file unchanged."""
    good = Sandbox()
    look(index, root, good)
    good.close()
    known = index.find_entry("image")
    slow = Slow()
    look(index, root, slow, again=True)
    slow.close()

    assert index.find_entry("image").health is Health.OK
    assert index.find_entry("image").last_good_inspection == known.last_good_inspection
