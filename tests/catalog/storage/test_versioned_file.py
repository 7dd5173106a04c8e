"""One version of a file: what was looked at is what is read, or reading it is an error."""

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
    """Write over a file, its size and time of change as before."""
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


def test_a_state_is_opened_after_the_file_was_replaced(catalog: Catalog, path: Path) -> None:
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
    """Of an open dataset that nobody holds a file for, what is read later is not the new file's."""
    dataset = catalog.open(PATH)
    assert (dataset.image.values == 1).all()
    replace(path, 2)

    with pytest.raises(Changed, match="changed"):
        _ = dataset.background.values


def test_rewritten_in_place(catalog: Catalog, path: Path) -> None:
    """Writing over a file is noticed though size and time are as before; asked again, there is the new content."""
    image = catalog.image(PATH)
    fingerprint, dataset = image.fingerprint, image.open()
    rewrite(path, 2)

    with pytest.raises(Changed):
        _ = dataset.image.values
    assert catalog.image(PATH).fingerprint != fingerprint
    assert (catalog.open(PATH).image.values == 2).all()


def test_second_try(catalog: Catalog, path: Path) -> None:
    """In a second try a file is copied when it is looked at, so that writing over it does not matter."""
    tries: list[int] = []

    def answer() -> float:
        tries.append(len(tries) + 1)
        image = catalog.image(PATH)
        assert image.fingerprint  # looks at the file
        rewrite(path, 10 + len(tries))
        return float(image.open().image.values.max())

    assert retry_if_changed(answer) == 11
    assert tries == [1, 2]


def test_frames_of_another_version_are_not_remembered(path: Path) -> None:
    """A frame that is decoded when the file is another one is neither given nor kept."""
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

    with pytest.raises(Changed):  # the same bytes are another version
        _ = dataset.image.values


def test_unpacked_under_the_hash_of_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed file that is written over between hashing and unpacking leaves nothing under the old hash."""
    packed = tmp_path / "image.gz"
    packed.write_bytes(gzip.compress(b"a" * 1000, mtime=0))
    unpack = Unpacker(tmp_path / "cache", 1 << 20)
    original = gzip.open

    def written_over(file: object) -> object:
        packed.write_bytes(gzip.compress(b"b" * 1000, mtime=0))
        return original(file)  # type: ignore[call-overload]  # whatever it is given

    monkeypatch.setattr(gzip, "open", written_over)
    with pytest.raises(Changed):
        unpack(packed)
    monkeypatch.undo()

    assert [each for each in (tmp_path / "cache").iterdir() if each.is_file()] == []
    assert unpack(packed).read_bytes() == b"b" * 1000


def test_hashes_of_another_version_are_not_remembered(tmp_path: Path) -> None:
    """A packed file that is written over before it is hashed is not known by that hash when it is looked at again."""
    packed, other = tmp_path / "image.gz", gzip.compress(b"b" * 1000, mtime=0)
    packed.write_bytes(gzip.compress(b"a" * 1000, mtime=0))
    unpack = Unpacker(tmp_path / "cache", 1 << 20)
    old = unpack(packed)
    first = VersionedFile.from_path(packed)

    def unpack_what_is_written_over() -> None:
        with first.read_consistently():
            packed.write_bytes(other)
            unpack(first)

    with pytest.raises(Changed):
        unpack_what_is_written_over()

    assert old.read_bytes() == b"a" * 1000
    assert unpack(VersionedFile.from_path(packed)).read_bytes() == b"b" * 1000


def test_a_look_waits_for_the_clock(tmp_path: Path) -> None:
    """Once a look has ended, the next change leaves another time, however soon it comes."""
    path = tmp_path / "file"
    for number in range(50):
        path.write_bytes(bytes([number]))
        held = FileHandle(path)
        version = held.wait_until_settled()
        path.write_bytes(bytes([number + 1]))

        with pytest.raises(Changed):
            held.check_unchanged(version)


def test_pickle(path: Path) -> None:
    """A version travels to other processes, which find out whether it is still there."""
    file = pickle.loads(pickle.dumps(VersionedFile.from_path(path)))  # noqa: S301 — our own

    with file.read_consistently():
        assert file.stat().st_size == path.stat().st_size
    replace(path, 2)
    with pytest.raises(Changed), file.read_consistently():
        pass
