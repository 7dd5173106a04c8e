"""Many images as one dataset: shots, with a group for each image, and stacks along shots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import QUICK, cuts

from shotdap.catalog import BadStack, Catalog, DirectoryArchive, Entry, NotFound, SqlIndex, TooMany, get_image_paths
from shotdap.catalog.collections.members import MAX_IMAGES
from shotdap.catalog.collections.shot_tree import combine_as_groups
from shotdap.catalog.index.records import Record
from shotdap.catalog.query import BadQuery
from shotdap.config.descriptions import load_diagnostics
from shotdap.transforms import BadVariant

SHOTS = (101, 103, 104)
SIZES = {101: (8, 6), 103: (8, 6), 104: (8, 6), 105: (5, 9)}


def frames(shot: int) -> NDArray[np.uint16]:
    return np.random.default_rng(shot).integers(0, 2**16, (2, *SIZES[shot])).astype("u2")


def difference(shot: int) -> NDArray[Any]:
    image, background = frames(shot).astype("f4")
    return np.asarray(image - background)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog of four shots; one has a file that is no image, and a missing file."""
    root = tmp_path_factory.mktemp("archive")
    for shot in SIZES:
        with h5py.File(root / f"{shot}.h5", "w") as file:
            file["Streak_array"] = frames(shot)
            file["Streak_array"].attrs["Gain"] = np.int16(shot % 2)
    (root / "page.hdf").write_text("<html></html>")
    index = SqlIndex.open_sqlite(tmp_path_factory.mktemp("catalog") / "catalog.db")
    records = [record(f"omega/{shot}/xrfc1/xrfc1-{shot}", f"{shot}.h5", shot, "XRFC1") for shot in SIZES]
    others = [record("omega/101/page/page", "page.hdf", 101, "PAGE"), record("omega/101/gone/gone", "x", 101, "GONE")]
    index.put_records([*records, *others], None)
    return Catalog(index, root, load_diagnostics())


def record(path: str, file: str, shot: int, diagnostic: str) -> Record:
    facts: dict[str, Any] = {"facility": "omega", "shot": shot, "diagnostic": diagnostic, "name": path}
    return Record(path, Entry(path, file, {**facts, "date": f"2022-03-{shot - 90:02}T10:00:00"}))


class TestShot:
    def test_groups(self, catalog: Catalog) -> None:
        """Each image is a group with its own dimensions, and a name that every client accepts."""
        shot = catalog.open("omega/103", chunked=False)

        assert shot["xrfc1/xrfc1_103/image"].dims == ("xrfc1/xrfc1_103/y", "xrfc1/xrfc1_103/x")
        assert np.array_equal(shot["xrfc1/xrfc1_103/background_subtracted"].values, difference(103))
        assert shot.attrs["xrfc1/xrfc1_103/path"] == "xrfc1/xrfc1-103"

    def test_unreadable(self, catalog: Catalog) -> None:
        """An image that cannot be read is left out, and named with the reason."""
        shot = catalog.open("omega/101")

        assert "xrfc1/xrfc1_101/image" in shot
        assert "omega/101/gone/gone: The file is missing" in shot.attrs["left_out"]
        assert "omega/101/page/page: The file is an HTML page" in shot.attrs["left_out"]

    def test_no_group_in_another(self) -> None:
        """No group is inside the group of another image, whose coordinates a client would let it inherit."""
        images = {name: xr.Dataset({"image": ("x", [1, 2])}, attrs={"path": "own"}) for name in ("a.b", "a_b/c", "d")}
        shot = combine_as_groups(images, {})

        assert set(shot.variables) == {"a_b_2/image", "a_b/c/image", "d/image"}
        assert shot.attrs["a_b_2/path"] == "a.b"
        assert shot.attrs["a_b_2/file_path"] == "own"

    def test_fingerprint(self, catalog: Catalog) -> None:
        """A shot's fingerprint depends on all its files."""
        shot, other, again = (catalog.image(path) for path in ("omega/103", "omega/104", "omega/103"))

        assert shot.fingerprint == again.fingerprint != other.fingerprint
        assert shot.modified > 0

    def test_images_of(self, catalog: Catalog) -> None:
        """Each variable records the image that it is read from."""
        shot = catalog.open("omega/101", chunked=False)

        assert get_image_paths(shot["xrfc1/xrfc1_101/image"].variable, (slice(0, 1),) * 2) == (
            "omega/101/xrfc1/xrfc1-101",
        )
        assert get_image_paths(catalog.open("omega/103/xrfc1/xrfc1-103")["image"].variable, (slice(0, 1),) * 2) is None

    def test_too_many(self, tmp_path: Path) -> None:
        """More images than can be opened as one are refused, before any is opened."""
        index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
        index.put_records([record(f"omega/{n}/d/i", "x", n % 100 + 91, "D") for n in range(MAX_IMAGES + 1)], None)

        with pytest.raises(TooMany, match=f"more than {MAX_IMAGES} images at 'omega'"):
            Catalog(index, tmp_path).open("omega")

    @pytest.mark.parametrize("path", ["", "nonesuch", "omega/103/nonesuch", "omega/103/~image~crop"])
    def test_not_found(self, catalog: Catalog, path: str) -> None:
        """A path that is no folder is not found; a folder has no variants except stacks."""
        with pytest.raises(NotFound):
            catalog.open(path)


class TestStack:
    PATH = "omega/~stack-diagnostic-XRFC1-shot-100_104"

    def test_values(self, catalog: Catalog) -> None:
        """Images are stacked in the order of their shots, whatever the order of the search."""
        stack = catalog.open(self.PATH)

        assert stack["shot"].values.tolist() == list(SHOTS)
        assert stack["path"].values.tolist() == [f"omega/{shot}/xrfc1/xrfc1-{shot}" for shot in SHOTS]
        assert stack["image"].dims == ("shot", "y", "x")
        assert np.array_equal(stack["background_subtracted"].values, np.stack([difference(shot) for shot in SHOTS]))

    def test_images_of(self, catalog: Catalog) -> None:
        """A part of a stack records the images that it is read from: those of its shots, none for their names."""
        stack = catalog.open(self.PATH, chunked=False)
        rest = (slice(0, 2), slice(0, 2))
        paths = get_image_paths(stack["background_subtracted"].variable, (slice(1, 3), *rest))

        assert paths == ("omega/103/xrfc1/xrfc1-103", "omega/104/xrfc1/xrfc1-104")
        assert get_image_paths(stack["y"].variable, (slice(0, 8),)) == ("omega/101/xrfc1/xrfc1-101",)
        assert get_image_paths(stack["path"].variable, (slice(0, 3),)) == ()

    @QUICK
    @given(data=st.data())
    def test_any_part(self, catalog: Catalog, data: st.DataObject) -> None:
        """Any part of a stack, padded or not, is the same part of a NumPy array."""
        padded = data.draw(st.booleans())
        shots = (*SHOTS, 105) if padded else SHOTS
        path = "omega/~stack-diagnostic-XRFC1-ragged-pad" if padded else self.PATH
        size = (len(shots), 8, 9 if padded else 6)
        whole = np.full(size, np.nan, "f4")
        for number, shot in enumerate(shots):
            image = difference(shot)
            whole[number, : image.shape[0], : image.shape[1]] = image
        part = tuple(data.draw(st.one_of(cuts(n), st.integers(0, n - 1))) for n in size)

        np.testing.assert_array_equal(catalog.open(path)["background_subtracted"].variable[part].values, whole[part])

    def test_replaced(self, tmp_path: Path) -> None:
        """A remembered stack is replaced when one of its files is."""

        def write(name: str, step: int) -> None:
            with h5py.File(tmp_path / "new", "w") as file:
                x = file.create_dataset("x", data=np.arange(3) * step)
                x.make_scale("x")
                file.create_dataset("image", data=np.full(3, step)).dims[0].attach_scale(x)
            (tmp_path / "new").replace(tmp_path / name)

        write("a.h5", 1)
        write("b.h5", 1)
        catalog = Catalog(DirectoryArchive(tmp_path), tmp_path)
        before = [catalog.open("~stack") for _ in range(2)]
        write("b.h5", 2)
        after = catalog.open("~stack")

        assert [each["x"].dims for each in before] == [("x",)] * 2
        assert before[0]["x"].variable is not before[1]["x"].variable
        assert after["x"].values.tolist() == [[0, 1, 2], [0, 2, 4]]
        assert after["image"].values.tolist() == [[1, 1, 1], [2, 2, 2]]

    def test_variant(self, catalog: Catalog) -> None:
        """Steps behind the stack are a variant of every image."""
        stack = catalog.open(f"{self.PATH}~background_subtracted-clip-true~crop-rows-1_2")

        assert np.array_equal(stack["result"].values[1], np.maximum(difference(103), 0)[1:3])

    def test_attributes(self, catalog: Catalog) -> None:
        """A variable of a stack has the attributes that all images share."""
        stack = catalog.open(self.PATH)
        virtual = stack["background_subtracted"].attrs

        assert stack["image"].attrs["units"] == "count"
        assert "derived_at" not in virtual
        assert "derived_at" in virtual["differing_attributes"].split(", ")
        assert stack.attrs["diagnostic"] == "XRFC1"
        assert "Gain" in stack.attrs["differing_attributes"].split(", ")

    @pytest.mark.parametrize(
        ("segment", "error", "words"),
        [
            ("~stack-diagnostic-XRFC1", BadStack, "omega/105/xrfc1/xrfc1-105 has"),
            ("~stack-diagnostic-NONE", BadStack, "No image matches"),
            ("~stack-diagnostic-XRFC1-ragged-cut", BadStack, "ragged-cut: it is refuse or pad"),
            ("~stack-diagnostic-XRFC1-differing-pad", BadStack, "differing-pad: it is refuse or omit"),
            ("~stack-shot-a_b", BadQuery, "shot"),
            ("~stack-diagnostic-XRFC1-shot-103~nonesuch", BadVariant, "no transform 'nonesuch'"),
            ("~stack-diagnostic", BadVariant, "is no step of a variant"),
        ],
    )
    def test_refused(self, catalog: Catalog, segment: str, error: type[Exception], words: str) -> None:
        """Images that cannot be stacked are refused with a message."""
        with pytest.raises(error, match=words):
            catalog.open(f"omega/{segment}")

    def test_canonical_path(self, catalog: Catalog) -> None:
        """Options of a canonical path are in the order of their names."""
        path = "omega/~stack-shot-100_104-diagnostic-XRFC1"

        assert catalog.image(path).path == self.PATH
