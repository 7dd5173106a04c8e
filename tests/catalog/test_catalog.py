"""The catalog opens the images of its index: labelled, lazy, up to date, and never outside the archive."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.strategies import make_numbered

from shotdap.catalog import Catalog, DirectoryArchive, Entry, Fact, FolderPage, Missing, NotFound, Unreadable
from shotdap.catalog.entry import TimeDirection
from shotdap.config.descriptions import load_diagnostics


class Rows:
    """An index of a few entries."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = {entry.path: entry for entry in entries}

    def find_entry(self, path: str) -> Entry:
        if path not in self.entries:
            raise NotFound(f"There is no image at {path!r}.")
        return self.entries[path]

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        raise NotFound(f"There is no folder at {path!r}, {after}, {limit}.")

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """Return nothing: these entries have no neighbours."""


def make_frames(seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 2**16, (2, 40, 50)).astype("u2")


def write(path: Path, stack: NDArray[Any], **others: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("Streak_array", data=stack, chunks=(1, *stack.shape[1:]), compression="gzip")
        file["Streak_array"].attrs["CCD_Gain"] = np.int16(3)
        file["Streak_array"].attrs["facility"] = "as the camera says"
        file.attrs["Unit"] = "ASBO1"
        for name, values in others.items():
            file[name] = values


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    write(tmp_path / "root" / "asbo1.hdf", make_frames(), Reference=make_numbered(40, 50), time=make_numbered(40))
    (tmp_path / "secret.hdf").write_bytes((tmp_path / "root" / "asbo1.hdf").read_bytes())
    return tmp_path / "root"


@pytest.fixture
def catalog(root: Path) -> Catalog:
    return Catalog(DirectoryArchive(root), root, load_diagnostics())


class TestLayout:
    def test_frames(self, catalog: Catalog) -> None:
        """The frames of one array become the image, its background and their difference, on the same pixels."""
        stack = make_frames()
        dataset = catalog.open("asbo1.hdf")

        assert np.array_equal(dataset.image.values, stack[0])
        assert np.array_equal(dataset.background.values, stack[1])
        assert np.array_equal(dataset.background_subtracted.values, stack[0].astype("f4") - stack[1].astype("f4"))
        assert dataset.image.dims == dataset.background.dims == dataset.background_subtracted.dims == ("y", "x")
        assert "Streak_array" not in dataset.variables

    def test_pixels(self, catalog: Catalog) -> None:
        """Pixels have numbers, from 0, and units; no index is created, which would need memory."""
        dataset = catalog.open("asbo1.hdf")

        assert dataset.y.values.tolist() == list(range(40))
        assert (dataset.x.attrs["units"], dataset.image.attrs["units"]) == ("pixel", "count")
        assert dict(dataset.xindexes) == {}

    def test_attributes(self, catalog: Catalog) -> None:
        """The attributes of the file and of its frames describe the dataset."""
        attributes = catalog.open("asbo1.hdf").attrs

        assert (attributes["Unit"], attributes["CCD_Gain"]) == ("ASBO1", 3)

    def test_facts(self, root: Path) -> None:
        """Values of the archive's row have precedence over the file's attributes, which are not lost."""
        facts: dict[str, Fact] = {"facility": "OMEGA", "shot": 62328, "diagnostic": "ASBO1", "name": "asbo1_s62328.hdf"}
        catalog = Catalog(Rows(Entry("omega/asbo1", "asbo1.hdf", facts)), root, load_diagnostics())
        attributes = catalog.open("omega/asbo1").attrs
        texts = [value for value in attributes.values() if isinstance(value, str)]

        assert (attributes["facility"], attributes["shot"]) == ("OMEGA", 62328)
        assert "as the camera says" in texts
        assert "asbo1_s62328.hdf" in texts

    def test_opening_reads_no_pixel(self, catalog: Catalog) -> None:
        """An opened dataset has no pixels in memory."""
        dataset = catalog.open("asbo1.hdf", chunked=False)
        lazy = ("image", "background", "background_subtracted", "despeckled")

        assert not any(dataset.variables[name]._in_memory for name in lazy)  # noqa: SLF001 — no public way to ask

    def test_dask(self, catalog: Catalog) -> None:
        """Virtual variables are dask arrays, and on request are not; the numbers are the same."""
        chunked, bare = catalog.open("asbo1.hdf"), catalog.open("asbo1.hdf", chunked=False)

        assert chunked.background_subtracted.chunks == ((40,), (50,))
        assert bare.background_subtracted.chunks is None
        assert chunked.background_subtracted.equals(bare.background_subtracted)

    @pytest.mark.parametrize("name", ["image", "background_subtracted", "y"])
    def test_names_that_are_taken(self, root: Path, catalog: Catalog, name: str) -> None:
        """A file that uses one of the assigned names is served, with nothing lost."""
        write(root / "own.hdf", make_frames(), **{name: np.full(7, 77)})
        dataset = catalog.open("own.hdf").load()
        values = [variable.values for variable in dataset.variables.values()]

        assert any(np.array_equal(each, np.full(7, 77)) for each in values)
        assert any(np.array_equal(each, make_frames()[0]) or np.array_equal(each, make_frames()) for each in values)

    def test_turned_dimensions(self, root: Path, catalog: Catalog) -> None:
        """A file whose dimensions have the assigned names in another order is served with correct numbers."""
        with h5py.File(root / "turned.hdf", "w") as file:
            stack = file.create_dataset("Streak_array", data=make_frames())
            for axis, (name, size) in enumerate({"frame": 2, "x": 40, "y": 50}.items()):
                scale = file.create_dataset(name, data=np.zeros(size))
                scale.make_scale("This is a netCDF dimension but not a netCDF variable.")
                stack.dims[axis].attach_scale(scale)
        dataset = catalog.open("turned.hdf").load()

        assert any(np.array_equal(v.values, make_frames()[1]) for v in dataset.variables.values())

    def test_other_content(self, root: Path, catalog: Catalog) -> None:
        """A file of any other content is served as it is."""
        with h5py.File(root / "other.h5", "w") as file:
            file["Streak_array"] = make_numbered(3, 4, 5)
            file["DATA/SHOT"] = make_numbered(2)
        dataset = catalog.open("other.h5")

        assert set(dataset.variables) == {"Streak_array", "DATA/SHOT"}


class TestBounds:
    @pytest.mark.parametrize(
        "file",
        ["../secret.hdf", "/etc/passwd", "sub/../../secret.hdf", "link.hdf", "", ".", "a\0b", "ring", "x" * 5000],
    )
    def test_outside(self, root: Path, file: str) -> None:
        """A row with a path outside the archive, or of no file, is unreadable; the message contains no path."""
        (root / "link.hdf").symlink_to(root.parent / "secret.hdf")
        (root / "ring").symlink_to("ring")
        catalog = Catalog(Rows(Entry("image", file)), root)
        with pytest.raises(Unreadable, match=r"\.$") as caught:
            catalog.open("image")

        assert str(root.parent) not in str(caught.value)
        assert not isinstance(caught.value, Missing)

    def test_missing(self, root: Path) -> None:
        """A row whose file does not exist is missing."""
        with pytest.raises(Missing, match="missing from the archive"):
            Catalog(Rows(Entry("image", "nonesuch.hdf")), root).open("image")

    def test_unknown(self, catalog: Catalog) -> None:
        """An unknown path is not found."""
        with pytest.raises(NotFound, match=r"\.$"):
            catalog.open("nonesuch.hdf")

    def test_root_behind_a_link(self, root: Path, tmp_path: Path) -> None:
        """The archive's folder may itself be behind a link."""
        (tmp_path / "mounted").symlink_to(root)
        catalog = Catalog(DirectoryArchive(tmp_path / "mounted"), tmp_path / "mounted", load_diagnostics())

        assert np.array_equal(catalog.open("asbo1.hdf").image.values, make_frames()[0])


class TestCaching:
    def test_replaced(self, root: Path, catalog: Catalog) -> None:
        """A replaced file is opened again, and none of its old frames is served."""
        _ = catalog.open("asbo1.hdf").image.values
        write(root / "new", make_frames(seed=1))
        (root / "new").replace(root / "asbo1.hdf")

        assert np.array_equal(catalog.open("asbo1.hdf").image.values, make_frames(seed=1)[0])

    def test_written_over_in_place(self, root: Path, catalog: Catalog) -> None:
        """A file that is overwritten with the same number of bytes is opened again."""
        _ = catalog.open("asbo1.hdf").image.values
        write(root / "asbo1.hdf", make_frames(seed=1))
        os.utime(root / "asbo1.hdf", ns=(1, 1))

        assert np.array_equal(catalog.open("asbo1.hdf").image.values, make_frames(seed=1)[0])

    def test_removed(self, root: Path, catalog: Catalog) -> None:
        """A removed file is not found, although it was opened before."""
        catalog.open("asbo1.hdf")
        (root / "asbo1.hdf").unlink()

        with pytest.raises(NotFound):
            catalog.open("asbo1.hdf")

    def test_facts_change(self, root: Path) -> None:
        """A change of the archive's row changes the dataset, although the file is the same."""
        index = Rows(Entry("image", "asbo1.hdf", {"shot": 1}))
        catalog = Catalog(index, root, load_diagnostics())
        before = catalog.open("image").attrs["shot"]
        index.entries["image"] = Entry("image", "asbo1.hdf", {"shot": 2})

        assert (before, catalog.open("image").attrs["shot"]) == (1, 2)

    def test_the_callers_own(self, catalog: Catalog) -> None:
        """A caller may load, rename, drop and describe its dataset; the next caller gets an unchanged one."""
        mine = catalog.open("asbo1.hdf")
        mine.load()
        mine.attrs["Unit"] = "mine"
        mine["image"].attrs["units"] = "mine"
        del mine["background"]
        mine["image"] = mine.image + 1
        theirs = catalog.open("asbo1.hdf")

        assert np.array_equal(theirs.image.values, make_frames()[0])
        assert (theirs.attrs["Unit"], theirs.image.attrs["units"]) == ("ASBO1", "count")
        assert "background" in theirs
        assert not theirs.variables["image"]._in_memory  # noqa: SLF001 — no public way to ask

    @pytest.mark.parametrize("name", ["image", "background_subtracted", "y"])
    def test_written_into(self, catalog: Catalog, name: str) -> None:
        """Writing into the values of a dataset does not change those of another caller."""
        mine = catalog.open("asbo1.hdf")
        right = np.array(mine[name].values)
        try:
            mine.load()[name].values[...] = 99
        except ValueError as error:
            assert "read-only" in str(error)  # noqa: PT017 — either is right: a copy, or a refusal

        assert np.array_equal(catalog.open("asbo1.hdf")[name].values, right)
