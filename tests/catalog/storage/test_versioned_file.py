"""One version of a file: reading returns the version that was looked at, or an error."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests import samples

from shotdap.catalog import (
    Catalog,
    Changed,
    DirectoryArchive,
    FileHandle,
    Unpacker,
    retry_if_changed,
)
from shotdap.catalog.readers import read
from shotdap.catalog.readers.lazy import FrameCache
from shotdap.catalog.storage import VersionedFile
from shotdap.config.descriptions import load_diagnostics

SHAPE = (2, 30, 40)
PATH = "image.h5"


def write(path: Path, number: int) -> None:
    samples.write_image(path, np.full(SHAPE, number, "u2"))


def replace(path: Path, number: int) -> None:
    write(path.with_name(".draft"), number)
    path.with_name(".draft").replace(path)


def rewrite(path: Path, number: int) -> None:
    """Overwrite a file with the same size and time of change."""
    status = path.stat()
    replaced = path.with_name(".draft")
    write(replaced, number)
    with path.open("r+b") as file:
        file.write(replaced.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "image.h5", 1)
    return tmp_path / "image.h5"


@pytest.fixture
def catalog(path: Path) -> Catalog:
    return Catalog(DirectoryArchive(path.parent), path.parent, load_diagnostics())


def test_version_of_a_replaced_file(catalog: Catalog, path: Path) -> None:
    """A version can be read after another file got its path; the next snapshot is of that file."""
    image = catalog.image(PATH)
    fingerprint = image.fingerprint
    replace(path, 2)
    dataset = image.open()

    assert (dataset.image.values == 1).all()
    assert (dataset.background.values == 1).all()
    assert (catalog.open(PATH).image.values == 2).all()
    assert catalog.image(PATH).fingerprint != fingerprint


def test_between_two_reads(catalog: Catalog, path: Path) -> None:
    """A dataset without an open file does not read values of a file that replaced its own."""
    dataset = catalog.open(PATH)
    assert (dataset.image.values == 1).all()
    replace(path, 2)

    with pytest.raises(Changed, match="changed"):
        _ = dataset.background.values


def test_rewritten_in_place(catalog: Catalog, path: Path) -> None:
    """Overwriting is detected although size and time are unchanged; a retry reads the new content."""
    image = catalog.image(PATH)
    fingerprint, dataset = image.fingerprint, image.open()
    rewrite(path, 2)

    with pytest.raises(Changed):
        _ = dataset.image.values
    assert catalog.image(PATH).fingerprint != fingerprint
    assert (catalog.open(PATH).image.values == 2).all()


def test_second_try(catalog: Catalog, path: Path) -> None:
    """At the second try a file is copied when it is looked at, so that overwriting does not matter."""
    tries: list[int] = []

    def read_and_overwrite() -> float:
        tries.append(len(tries) + 1)
        image = catalog.image(PATH)
        assert image.fingerprint  # looks at the file
        rewrite(path, 10 + len(tries))
        return float(image.open().image.values.max())

    assert retry_if_changed(read_and_overwrite) == 11
    assert tries == [1, 2]


def test_frames_of_another_version_are_not_cached(path: Path) -> None:
    """A frame that is decoded from a replaced file is neither returned nor cached."""
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=np.full(SHAPE[1:], 1, "u2"), chunks=SHAPE[1:], compression="gzip")
    cache = FrameCache(1 << 20)
    first = VersionedFile.from_path(path)
    dataset = read(first, cache.get_memo(first.version))
    good = path.read_bytes()
    with h5py.File(path.with_name(".draft"), "w") as file:
        file.create_dataset("image", data=np.full(SHAPE[1:], 2, "u2"), chunks=SHAPE[1:], compression="gzip")
    path.with_name(".draft").replace(path)
    for _ in range(2):
        with pytest.raises(Changed):
            _ = dataset.image.values
    path.write_bytes(good)

    with pytest.raises(Changed):  # equal bytes are still another version
        _ = dataset.image.values


def test_overwritten_before_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed file that is overwritten between hashing and unpacking leaves nothing under the old hash."""
    packed = tmp_path / "image.gz"
    packed.write_bytes(gzip.compress(b"a" * 1000, mtime=0))
    unpack = Unpacker(tmp_path / "cache", 1 << 20)
    original = gzip.open

    def overwrite_and_open(file: object) -> object:
        packed.write_bytes(gzip.compress(b"b" * 1000, mtime=0))
        return original(file)  # type: ignore[call-overload]  # whatever it is given

    monkeypatch.setattr(gzip, "open", overwrite_and_open)
    with pytest.raises(Changed):
        unpack(packed)
    monkeypatch.undo()

    assert [each for each in (tmp_path / "cache").iterdir() if each.is_file()] == []
    assert unpack(packed).read_bytes() == b"b" * 1000


def test_overwritten_before_hashing(tmp_path: Path) -> None:
    """A compressed file that is overwritten before it is hashed is not known by that hash afterwards."""
    packed, other = tmp_path / "image.gz", gzip.compress(b"b" * 1000, mtime=0)
    packed.write_bytes(gzip.compress(b"a" * 1000, mtime=0))
    unpack = Unpacker(tmp_path / "cache", 1 << 20)
    old = unpack(packed)
    first = VersionedFile.from_path(packed)

    def unpack_overwritten() -> None:
        with first.read_consistently():
            packed.write_bytes(other)
            unpack(first)

    with pytest.raises(Changed):
        unpack_overwritten()

    assert old.read_bytes() == b"a" * 1000
    assert unpack(VersionedFile.from_path(packed)).read_bytes() == b"b" * 1000


def test_look_waits_for_the_clock(tmp_path: Path) -> None:
    """After a look at a file, the next change gives another time, however soon it is."""
    path = tmp_path / "file"
    for number in range(50):
        path.write_bytes(bytes([number]))
        held = FileHandle(path)
        version = held.wait_until_settled()
        path.write_bytes(bytes([number + 1]))

        with pytest.raises(Changed):
            held.check_unchanged(version)


def test_pickle(path: Path) -> None:
    """A version can be pickled; the other process detects whether it still exists."""
    file = pickle.loads(pickle.dumps(VersionedFile.from_path(path)))  # noqa: S301 — our own

    with file.read_consistently():
        assert file.stat().st_size == path.stat().st_size
    replace(path, 2)
    with pytest.raises(Changed), file.read_consistently():
        pass
