"""Files that reader processes open: the same arrays as in this process, and failures that stay where they are."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from tests import samples
from tests.surroundings import drop_rights

from shotdap.catalog import (
    CallLimits,
    Catalog,
    Changed,
    DirectoryArchive,
    FrameStore,
    LocalStore,
    Missing,
    NotFound,
    PooledFiles,
    ProcessPool,
    ReaderState,
    ResultsAtHand,
    StoredFrames,
    Undecided,
    Unpacker,
    Unreadable,
    Version,
    WaitingIndex,
    ask_in_process,
    initialize_reader,
    run_suspending,
)
from shotdap.catalog.reading import reader_process
from shotdap.catalog.reading.header_record import HeaderRecord
from shotdap.catalog.reading.reader_process import read_headers
from shotdap.catalog.storage import begin_attempt
from shotdap.server.http.errors import to_problem

LIMITS: Final = CallLimits(cpu_seconds=4, wall_seconds=6, memory_bytes=1 << 30)
FRAME: Final = np.arange(1024 * 1100, dtype="u2").reshape(1024, 1100)


@dataclass(frozen=True)
class PooledFolder:
    """A folder whose files are read by reader processes."""

    folder: Path
    store: FrameStore
    frames: Path
    readers: ProcessPool

    def open(self, name: str) -> xr.Dataset:
        """Open a file."""
        return self.catalog.open(name, chunked=False)

    @property
    def catalog(self) -> Catalog:
        """A catalog that remembers nothing yet but what is in the store."""
        stored = StoredFrames(self.store)
        files = PooledFiles(self.readers, stored, None, refuse_changed=False)
        return Catalog.from_files(DirectoryArchive(self.folder), files, (), ResultsAtHand(stored))

    def count_frames(self) -> int:
        """Return the bytes of all frames of images in the store."""
        return sum(file.stat().st_size >= FRAME.nbytes for file in self.frames.iterdir() if file.is_file())


def make_state(folder: Path, frames: Path, limit: int, unpacked: Path) -> ReaderState:
    """Make what a reader process needs."""
    return ReaderState(LocalStore(folder), Unpacker(unpacked, 64 << 20), StoredFrames(FrameStore(frames, limit)))


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., PooledFolder]]:
    """A maker of folders that reader processes read, with a limit of their frames."""
    pools: list[ProcessPool] = []

    def make(limit: int = 64 << 20) -> PooledFolder:
        folder, frames = tmp_path / "archive", tmp_path / "frames"
        folder.mkdir()
        state = partial(make_state, folder, frames, limit, tmp_path / "unpacked")
        pools.append(ProcessPool(2, LIMITS, initialize=partial(initialize_reader, state), passes=(LookupError,)))
        return PooledFolder(folder, FrameStore(frames, limit), frames, pools[-1])

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
def site(make_site: Callable[..., PooledFolder]) -> PooledFolder:
    """A folder that reader processes read."""
    return make_site()


def write_frame(path: Path, values: NDArray[np.uint16] = FRAME, **storage: Any) -> None:  # noqa: ANN401 — as h5py's
    """Write an image as HDF5."""
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=values, **storage)


@pytest.mark.parametrize("write", [samples.write_hdf4, samples.write_hdf5])
@pytest.mark.parametrize("packed", [False, True])
def test_the_same_values(site: PooledFolder, write: Callable[[Path], None], *, packed: bool) -> None:
    """A reader process gives the same headers and values as a reader in this process, of a gzip file too."""
    write(site.folder / "every")
    expected = Catalog(DirectoryArchive(site.folder), site.folder).open("every", chunked=False).load()
    if packed:
        content = (site.folder / "every").read_bytes()
        (site.folder / "every").write_bytes(gzip.compress(content, 1))
    found = site.open("every")

    assert repr(found.attrs) == repr(expected.attrs)
    assert [*found.variables] == [*expected.variables]
    for name, variable in expected.variables.items():
        assert (found.variables[name].dims, found.variables[name].dtype) == (variable.dims, variable.dtype)
        assert repr(found.variables[name].attrs) == repr(variable.attrs)
        np.testing.assert_array_equal(found.variables[name].values, variable.values, strict=True)


def test_the_second_small_part_fills_the_store(site: PooledFolder) -> None:
    """The first small part of an image that is stored as it is costs itself, the second has the image remembered."""
    write_frame(site.folder / "plain.h5")
    image = site.open("plain.h5").variables["image"]

    np.testing.assert_array_equal(image[3:5, 7].values, FRAME[3:5, 7])
    assert site.count_frames() == 0
    np.testing.assert_array_equal(image[4:6, 8:9].values, FRAME[4:6, 8:9])
    assert site.count_frames() == 1
    (site.folder / "plain.h5").unlink()
    np.testing.assert_array_equal(image[::-7, 5].values, FRAME[::-7, 5])


def test_a_compressed_image_fills_the_store(site: PooledFolder) -> None:
    """Any part of a compressed image costs the whole, so it is remembered at once; a large part of any is, too."""
    write_frame(site.folder / "deflated.h5", chunks=FRAME.shape, compression="gzip")
    write_frame(site.folder / "plain.h5")

    np.testing.assert_array_equal(site.open("deflated.h5").variables["image"][9, :5].values, FRAME[9, :5])
    assert site.count_frames() == 1
    np.testing.assert_array_equal(site.open("plain.h5").variables["image"].values, FRAME)
    assert site.count_frames() == 2


def test_no_room(make_site: Callable[..., PooledFolder]) -> None:
    """An image that the store has no room for is read from the file each time."""
    site = make_site(4 << 20)
    write_frame(site.folder / "plain.h5")
    write_frame(site.folder / "deflated.h5", chunks=FRAME.shape, compression="gzip")

    for name in ("plain.h5", "deflated.h5"):
        image = site.open(name).variables["image"]
        np.testing.assert_array_equal(image[:].values, FRAME)
        np.testing.assert_array_equal(image[5:7, 3].values, FRAME[5:7, 3])
    assert site.count_frames() == 0


def test_a_replaced_file(site: PooledFolder) -> None:
    """A dataset is of one version of its file: when another is there, it says so, and a new one has the new values."""
    write_frame(site.folder / "image.h5")
    catalog = site.catalog
    before = catalog.open("image.h5", chunked=False).variables["image"]
    write_frame(site.folder / "other.h5", FRAME[::-1])
    shutil.move(site.folder / "other.h5", site.folder / "image.h5")
    after = catalog.open("image.h5", chunked=False).variables["image"]

    np.testing.assert_array_equal(after.values, FRAME[::-1])
    with suppress(Changed):  # a reader may still hold the version that was there
        np.testing.assert_array_equal(before.values, FRAME)


def test_files_that_cannot_be_read(site: PooledFolder) -> None:
    """The reasons are those of a reader in this process."""
    (site.folder / "text").write_text("no image")
    (site.folder / "empty").write_bytes(b"")
    write_frame(site.folder / "cut.h5")
    os.truncate(site.folder / "cut.h5", 2000)
    plain = Catalog(DirectoryArchive(site.folder), site.folder)

    for name in ("text", "empty", "cut.h5"):
        with pytest.raises(Unreadable) as expected:
            plain.open(name, chunked=False)["image"].load()
        with pytest.raises(Unreadable) as found, begin_attempt(2):
            site.open(name)["image"].load()
        assert str(found.value) == str(expected.value)
    image = site.catalog.image("text")
    (site.folder / "text").unlink()
    with pytest.raises(Missing):
        image.open()


def test_a_folder_drop_rights(site: PooledFolder) -> None:
    """A folder that may not be read is said to be one."""
    (site.folder / "closed").mkdir()
    write_frame(site.folder / "closed" / "image.h5")
    (site.folder / "closed").chmod(0)
    try:
        with drop_rights(), pytest.raises(Unreadable, match="may not be read"):
            site.open("closed/image.h5")
    finally:
        (site.folder / "closed").chmod(0o700)


def test_an_entry_and_its_file_are_one_call(
    make_site: Callable[..., PooledFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an event loop, a reader that finds an entry looks at its file, too; each request sees the present version."""
    site = make_site()
    write_frame(site.folder / "image.h5")
    files = PooledFiles(site.readers, StoredFrames(site.store), None, refuse_changed=False)
    index = WaitingIndex(DirectoryArchive(site.folder), partial(ask_in_process, site.readers), files.find_entry)
    catalog = Catalog.from_files(index, files, (), ResultsAtHand(StoredFrames(site.store)))
    calls = list[object]()
    call = site.readers.call

    async def count_and_call(function: partial[Any], **choices: Any) -> object:  # noqa: ANN401 — as the pool's
        calls.append(function.func)
        return await call(function, **choices)

    monkeypatch.setattr(site.readers, "call", count_and_call)

    async def look() -> list[Version | None]:
        versions = [await run_suspending(lambda: catalog.image("image.h5").version)]
        write_frame(site.folder / "new", FRAME[::-1])
        (site.folder / "new").replace(site.folder / "image.h5")
        versions.append(await run_suspending(lambda: catalog.image("image.h5").version))
        assert calls == [reader_process.find_entry] * 2
        with pytest.raises(NotFound):
            await run_suspending(lambda: catalog.image("missing.h5").version)
        site.readers.close()  # it belongs to this loop
        return versions

    first, second = asyncio.run(look())
    assert first != second


def hang(*_arguments: object) -> None:
    """Compute for ever."""
    while True:
        pass


def test_what_hangs_is_not_tried_again(site: PooledFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes too long twice is refused at once the next time, and other files are read."""
    write_frame(site.folder / "bad.h5")
    write_frame(site.folder / "good.h5")
    catalog, calls = site.catalog, list[object]()
    call = site.readers.call_from_thread

    def count_and_call(function: partial[object], **choices: Any) -> object:  # noqa: ANN401 — as the pool's
        calls.append(function.func)
        return call(function, **choices)

    monkeypatch.setattr(site.readers, "call_from_thread", count_and_call)
    with monkeypatch.context() as patch:
        patch.setattr(reader_process, "read_headers", hang)
        for _ in range(3):
            with pytest.raises(Undecided, match="takes longer than"):
                catalog.open("bad.h5")
    np.testing.assert_array_equal(catalog.open("good.h5")["image"].values, FRAME)

    assert calls.count(hang) == 2


def crash(*_arguments: object) -> None:
    """End this process as a fault in a library does."""
    os.abort()


def lack_space_once(file: str, version: Version, attempt: reader_process.Attempt) -> HeaderRecord:
    """Read headers, but fail the first time, because a disk is full."""
    mark = version.path.with_suffix(".mark")
    if not mark.exists():
        mark.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return read_headers(file, version, attempt)


def test_what_is_tried_again(site: PooledFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that crashes its readers is refused at once the next time; a shortage of the machine is no fault of it."""
    write_frame(site.folder / "image.h5")
    catalog, calls = site.catalog, list[object]()
    call = site.readers.call_from_thread

    def count_and_call(function: partial[object], **choices: Any) -> object:  # noqa: ANN401 — as the pool's
        calls.append(function.func)
        return call(function, **choices)

    monkeypatch.setattr(site.readers, "call_from_thread", count_and_call)
    monkeypatch.setattr(reader_process, "read_headers", lack_space_once)
    with pytest.raises(Unreadable) as caught:
        catalog.open("image.h5")
    assert to_problem(caught.value).status == 503
    np.testing.assert_array_equal(catalog.open("image.h5")["image"].values, FRAME)

    write_frame(site.folder / "other.h5")
    monkeypatch.setattr(reader_process, "read_headers", crash)
    for _ in range(3):
        with pytest.raises(Unreadable, match="crashed"):
            catalog.open("other.h5")
    assert calls.count(crash) == 1
