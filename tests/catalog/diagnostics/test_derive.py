"""Derived variables: virtual ones, inputs of related images, variants; and their provenance."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from shotdap.catalog import Catalog, Diagnostic, Entry, Match, Related, Rule, SqlIndex
from shotdap.catalog.entry import FileInspection, Health
from shotdap.catalog.index.records import InspectionResult, Record
from shotdap.catalog.readers.lazy import FrameCache
from shotdap.transforms import BadVariant, FromAttribute, create_recipe

RULES = {"image": Rule("Streak_array", frame=0), "background": Rule("Streak_array", frame=1)}
CAMERA = Diagnostic(
    "camera",
    "a camera",
    Match({"Streak_array": (2, 0, 0)}),
    variables=RULES,
    dimensions={"image": ("y", "x"), "background": ("y", "x")},
    recipes=(
        create_recipe("difference", "subtract_background"),
        create_recipe("flattened", "flat_field", ["difference", "flat.difference"]),
        create_recipe("part", "crop", ["difference"], {"rows": FromAttribute("area")}),
    ),
    related={"flat": Related({"diagnostic": "{diagnostic}", "name": "*flat*"}, within_days=30)},
)
DAYS = {
    "omega/1/cam/flat": "2011-05-01",
    "omega/2/cam/flat": "2011-05-10",
    "omega/3/cam/image": "2011-05-19",
    "omega/4/cam/flat": "2011-05-20",
    "omega/5/other/flat": "2011-05-18",
    "omega-ep/5/cam/flat": "2011-05-18",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(len(DAYS)):
        write(tmp_path / f"{number}.h5", number)
    return tmp_path


def write(path: Path, seed: int, shape: tuple[int, int] = (8, 6)) -> None:
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        background, light = rng.integers(1000, 2000, (2, *shape))
        file["Streak_array"] = np.stack([light + 20_000, background]).astype("u2")
        file.attrs["area"] = [2, 5]


@pytest.fixture
def index(tmp_path: Path) -> SqlIndex:
    index = SqlIndex.open_sqlite(tmp_path / "catalog" / "catalog.db")
    records = [
        Record(str(number), Entry(path, f"{number}.h5", make_facts(path, day)))
        for number, (path, day) in enumerate(DAYS.items())
    ]
    index.put_records(records, None)
    return index


def make_facts(path: str, day: str) -> dict[str, str]:
    facility, _, diagnostic, name = path.split("/")
    return {"facility": facility, "diagnostic": diagnostic, "name": f"{name}.h5", "date": f"{day}T10:00:00"}


@pytest.fixture
def catalog(root: Path, index: SqlIndex) -> Catalog:
    return Catalog(index, root, (CAMERA,))


def compute_difference(root: Path, number: int) -> NDArray[np.float32]:
    image, background = read_frames(root, number)
    return np.asarray(image - background)


def read_frames(root: Path, number: int) -> NDArray[np.float32]:
    """Read a file with another library than the catalog's."""
    return np.asarray(
        xr.load_dataset(root / f"{number}.h5", engine="h5netcdf", phony_dims="sort")["Streak_array"], "f4"
    )


class TestRelated:
    def test_nearest_earlier(self, catalog: Catalog, root: Path) -> None:
        """The flat field is the last one of the same facility and diagnostic before the shot."""
        flattened = catalog.open("omega/3/cam/image").flattened
        flat = compute_difference(root, 1)

        assert np.allclose(flattened.values, compute_difference(root, 2) * flat.mean() / flat)
        assert flattened.attrs["input_files"] == "omega/3/cam/image; omega/2/cam/flat"

    def test_no_flat_field(self, catalog: Catalog) -> None:
        """Without a flat field the variable is left out, and the dataset gives the reason."""
        dataset = catalog.open("omega/1/cam/flat")

        assert "flattened" not in dataset
        assert dataset.attrs["left_out"] == "flattened: the archive has no flat for this image"
        assert "part" in dataset

    def test_too_long_ago(self, root: Path, index: SqlIndex) -> None:
        """A flat field outside the maximum distance in time is ignored."""
        index.put_records(
            [Record("9", Entry("omega/9/cam/image", "2.h5", make_facts("omega/9/cam/image", "2011-08-01")))], None
        )
        catalog = Catalog(index, root, (CAMERA,))

        assert "flattened" not in catalog.open("omega/9/cam/image")

    def test_unreadable(self, catalog: Catalog, root: Path, index: SqlIndex) -> None:
        """A missing flat field is named; once an inspection has recorded it, the previous one replaces it."""
        (root / "1.h5").unlink()

        assert "omega/2/cam/flat: The file is missing" in catalog.open("omega/3/cam/image").attrs["left_out"]

        index.record_inspections([(index.find_entry("omega/2/cam/flat"), InspectionResult(Health.MISSING))])

        assert "omega/1/cam/flat" in catalog.open("omega/3/cam/image").flattened.attrs["input_files"]

    def test_another_size(self, catalog: Catalog, root: Path) -> None:
        """A flat field of another size is not used."""
        write(root / "1.h5", 1, (8, 7))

        assert "differ along x: 6 and 7" in catalog.open("omega/3/cam/image").attrs["left_out"]

    def test_state(self, catalog: Catalog, root: Path) -> None:
        """A change of a related file changes the values, and the fingerprint that caches compare."""
        before = catalog.image("omega/3/cam/image")
        values = before.open().flattened.values
        write(root / "1.h5", 77)
        os.utime(root / "1.h5", ns=(before.modified + 10**9, before.modified + 10**9))
        after = catalog.image("omega/3/cam/image")

        assert after.fingerprint != before.fingerprint
        assert after.modified == before.modified + 10**9
        assert not np.array_equal(after.open().flattened.values, values)

    def test_new_flat(self, catalog: Catalog, root: Path, index: SqlIndex) -> None:
        """A nearer flat field that is added later is used from then on."""
        before = catalog.image("omega/3/cam/image").fingerprint
        write(root / "8.h5", 8)
        index.put_records(
            [Record("8", Entry("omega/2/cam/flat_2", "8.h5", make_facts("omega/2/cam/flat_2", "2011-05-11")))], None
        )

        image = catalog.image("omega/3/cam/image")
        assert image.fingerprint != before
        assert "omega/2/cam/flat_2" in image.open().flattened.attrs["input_files"]


class TestVariants:
    def test_result(self, catalog: Catalog, root: Path) -> None:
        """A chain of transforms becomes the variable `result`, beside all others, with its provenance."""
        dataset = catalog.open("omega/3/cam/image/~difference-scale-2~crop-columns-1_3")
        image, background = read_frames(root, 2)

        assert np.array_equal(dataset.result.values, (image - 2 * background)[:, 1:4])
        assert {"image", "background", "difference", "flattened", "part"} <= set(dataset.data_vars)
        assert dataset.result.attrs["derived_at"].startswith("omega/3/cam/image/~difference-scale-2~crop-columns-1_3.")

    def test_options_affect_derived_variables(self, catalog: Catalog) -> None:
        """Another option of a variable changes everything that is derived from it."""
        usual = catalog.open("omega/3/cam/image").part.values
        other = catalog.open("omega/3/cam/image/~difference-scale-0").part.values

        assert not np.array_equal(usual, other)
        assert (other > 20_000).all()

    def test_other_images_inputs(self, catalog: Catalog, root: Path) -> None:
        """A variable of a related image can be an input."""
        result = catalog.open("omega/3/cam/image/~image~subtract_background-background-flat.background").result
        expected = read_frames(root, 2)[0] - read_frames(root, 1)[1]

        assert np.array_equal(result.values, expected)

    def test_of_the_raw_file(self, catalog: Catalog) -> None:
        """The unmodified file has variants, too."""
        path = "omega/3/cam/image/raw/~Streak_array~crop-rows-0_1"

        assert catalog.image(path).path == path
        assert catalog.open(path).result.shape == (2, 2, 6)

    @pytest.mark.parametrize(
        ("segment", "words"),
        [
            ("~nonesuch", "no variable and no transform 'nonesuch'"),
            ("~image~crop-rows-0_99", "99 is beyond it"),
            ("~part-rows-0_99", "99 is beyond it"),
            ("~y~crop", "needs an image"),
            ("~image~flat_field-flat-dark", "needs dark, which is not there"),
        ],
    )
    def test_refused(self, catalog: Catalog, segment: str, words: str) -> None:
        """A variant that does not fit the image is refused, at the latest when it is opened."""
        with pytest.raises(BadVariant, match=words):
            catalog.open(f"omega/3/cam/image/{segment}")

    def test_without_a_flat_field(self, catalog: Catalog) -> None:
        """A requested variable that cannot be derived is refused with the reason."""
        with pytest.raises(BadVariant, match="the archive has no flat for this image"):
            catalog.open("omega/1/cam/flat/~flattened~crop")


class TestOrigins:
    def test_tree(self, catalog: Catalog) -> None:
        """Each variable can be traced to the arrays of files that it is derived from."""
        origin = catalog.image("omega/3/cam/image").list_origins()["flattened"]
        own, flat = origin.inputs

        assert [each.array for each in own.inputs] == ["Streak_array[0]", "Streak_array[1]"]
        assert [each.source.path for each in flat.inputs] == ["omega/2/cam/flat"] * 2
        assert [source.path for source in origin.sources()] == ["omega/3/cam/image", "omega/2/cam/flat"]

    def test_hashes(self, catalog: Catalog, index: SqlIndex, root: Path) -> None:
        """Inspected files are named with the hash of their bytes."""
        status = (root / "1.h5").stat()
        seen = FileInspection("5ca1ab1e", status.st_size, status.st_mtime_ns, {})
        index.record_inspections(
            [(index.find_entry("omega/2/cam/flat"), InspectionResult(Health.OK, file_inspection=seen))]
        )
        attributes = catalog.open("omega/3/cam/image").flattened.attrs

        assert attributes["input_files"] == "omega/3/cam/image; omega/2/cam/flat sha256:5ca1ab1e"


class TestRemembered:
    def test_whole_results(self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
        """A result that needs whole images is computed once for many slices."""
        dataset = catalog.open("omega/3/cam/image", chunked=False)
        calls = []
        transform = next(recipe.transform for recipe in CAMERA.recipes if recipe.name == "flattened")
        function = transform.function

        def count_call(*arrays: xr.DataArray, **options: float) -> xr.DataArray:
            calls.append(1)
            return function(*arrays, **options)

        monkeypatch.setitem(transform.__dict__, "function", count_call)
        for row in range(8):
            dataset.flattened[row].load()
        catalog.open("omega/3/cam/image", chunked=False).flattened.load()

        assert calls == [1]

    def test_no_two_wait_for_each_other(self) -> None:
        """Results that depend on each other, computed by many threads at once, cause no deadlock."""
        cache = FrameCache(1 << 20).get_memo("file")
        gate = threading.Barrier(8)

        def compute(number: int) -> float:
            gate.wait(5)
            names = [f"{depth}/{number % 3}" for depth in range(6)]

            def make(depth: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
                below = cache(names[depth + 1], lambda: make(depth + 1)) if depth < 5 else np.zeros(1)
                return np.asarray(below + 1)

            return float(cache(names[0], lambda: make(0))[0])

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(compute, range(8), timeout=20)) == [6.0] * 8
