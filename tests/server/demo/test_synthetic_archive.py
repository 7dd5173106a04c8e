"""The synthetic archive looks like a real one to its users: its database, layouts, types and faults."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn

import h5py
import numpy as np
import pytest
from pyhdf.SD import SD, SDC
from tests.server.demo.reading import (
    MAGIC,
    find_shot,
    open_hdf5,
    read_array,
    read_attributes,
    read_hdf4_attributes,
    read_rows,
)

from shotdap.catalog.readers import read
from shotdap.catalog.readers.hdf4 import library
from shotdap.server import demo
from shotdap.server.demo import synthetic_archive as archive_module
from shotdap.server.demo.image_files import DEFLATE_LEVEL

STREAKS = {
    ("OMEGA", "asbo1_flat_s62326.hdf"): (2, 1100, 1100),
    ("OMEGA", "asbo1_s62328.hdf"): (2, 1100, 1100),
    ("OMEGA", "asbo2_s62328.hdf"): (2, 1100, 1100),
    ("OMEGA", "sop_s25386.hdf"): (2, 1100, 1100),
    ("OMEGA EP", "sop_flat_s25384.hdf"): (2, 1100, 1100),
    ("OMEGA EP", "sop_s25386.hdf"): (2, 1100, 1100),
    ("OMEGA", "p510_2_s103741.hdf"): (2, 512, 548),
    ("OMEGA", "P510_2-s103741.h5"): (2, 512, 548),
    ("OMEGA", "EPW_CCD-s112059.hdf"): (2, 1024, 1024),
    ("OMEGA", "PTD_s103741_ptd.h5"): (2, 341, 512),
}
SMALL = tuple(  # a shot whose files are made quickly, without its summary and one twin
    demo.Shot(shot.facility, shot.number, shot.when, (shot.files[0], shot.files[3]))
    for shot in demo.SHOTS
    if shot.number == 103741
)


def interrupt(*_arguments: object) -> NoReturn:
    raise KeyboardInterrupt


def hash_contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestDatabase:
    def test_columns(self, rows: list[dict[str, Any]]) -> None:
        """The table has the columns of the portal's links, with times as times."""
        assert list(rows[0]) == [
            "IMAGE_ID",
            "FACILITY",
            "SHOT_NUMBER",
            "SHOT_DATE",
            "DIAGNOSTIC",
            "SOURCE_FILE",
            "ARCHIVE_FILE",
            "FORMAT",
            "MODIFIED",
        ]
        assert {type(row[name]) for row in rows for name in ("SHOT_DATE", "MODIFIED")} == {datetime}

    def test_modified_rises(self, rows: list[dict[str, Any]]) -> None:
        """Each row is modified later than the row before, and after its shot."""
        times = [row["MODIFIED"] for row in rows]

        assert times == sorted(set(times))
        assert all(row["MODIFIED"] > row["SHOT_DATE"] for row in rows)

    def test_modified_rises_for_shots_in_one_minute(self, tmp_path: Path) -> None:
        """Shots a moment apart, in any order, still have rows with increasing times."""
        faulty = (demo.StoredFile("SOP", "sop.hdf", fault=demo.Fault.MISSING),) * 5
        moments = ("2020-01-01T10:00:02", "2020-01-01T10:00:00")
        shots = [demo.Shot("OMEGA", n, datetime.fromisoformat(t), faulty) for n, t in enumerate(moments)]
        times = [row["MODIFIED"] for row in read_rows(demo.make_archive(tmp_path / "a", shots=shots))]

        assert len(times) == 10
        assert times == sorted(set(times))

    def test_stored_names_hide_user_names(self, rows: list[dict[str, Any]]) -> None:
        """A stored name contains the day and the time, not the shot, the diagnostic or the format."""
        stored = {row["SOURCE_FILE"]: row["ARCHIVE_FILE"] for row in rows if row["SHOT_NUMBER"] == 103741}

        assert stored["p510_2_s103741.hdf"] == "22/03/24/HDF.20220324.092644.1"
        assert stored["P510_2-s103741.h5"] == "22/03/24/HDF.20220324.092644.2"

    def test_number_is_no_key(self, rows: list[dict[str, Any]]) -> None:
        """OMEGA and OMEGA EP both have a shot 25386 with a file of the same name."""
        colliding = [(row["FACILITY"], row["SOURCE_FILE"]) for row in rows if row["SHOT_NUMBER"] == 25386]

        assert sorted(colliding) == [("OMEGA", "sop_s25386.hdf"), ("OMEGA EP", "sop_s25386.hdf")]

    def test_formats(self, database: Path, rows: list[dict[str, Any]]) -> None:
        """Exactly two rows have a wrong format: one file is missing, one is a login page."""
        root = database.parent / demo.FILES_FOLDER
        wrong = {
            row["SOURCE_FILE"]: (root / row["ARCHIVE_FILE"]).exists()
            for row in rows
            if not (root / row["ARCHIVE_FILE"]).exists()
            or not (root / row["ARCHIVE_FILE"]).read_bytes().startswith(MAGIC[row["FORMAT"]])
        }

        assert wrong == {"IAW_CCD-s112059.hdf": False, "ATS_CCD-s112059.hdf": True}

    def test_login_page(self, paths: dict[tuple[str, str], Path]) -> None:
        """The login page is HTML."""
        assert paths["OMEGA", "ATS_CCD-s112059.hdf"].read_text().startswith("<!DOCTYPE html>")


class TestLayouts:
    @pytest.mark.parametrize(("key", "shape"), STREAKS.items(), ids=str)
    def test_streaks(self, paths: dict[tuple[str, str], Path], key: tuple[str, str], shape: tuple[int, ...]) -> None:
        """A streak is uint16, two frames of the diagnostic's own size."""
        streak = read_array(paths[key])

        assert streak.shape == shape
        assert streak.dtype.newbyteorder("=") == np.uint16

    def test_asbo_has_a_reference(self, paths: dict[tuple[str, str], Path]) -> None:
        """An ASBO has one more frame, without attributes."""
        path = paths["OMEGA", "asbo1_s62328.hdf"]

        assert list(SD(str(path)).datasets()) == ["Streak_array", "Reference"]
        assert read_array(path, "Reference").shape == (1100, 1100)
        assert read_hdf4_attributes(path, "Reference") == {}

    def test_hdf4_is_deflated(self, paths: dict[tuple[str, str], Path]) -> None:
        """HDF4 arrays are deflated, with one frame per chunk, and the names of their dimensions are meaningless."""
        dataset = SD(str(paths["OMEGA", "asbo1_s62328.hdf"])).select("Streak_array")

        assert dataset.getcompress() == (SDC.COMP_DEFLATE, DEFLATE_LEVEL)
        assert library.get_chunk_shape(dataset._id or 0, 3) == (1, 1100, 1100)  # noqa: SLF001 - pyhdf tells no chunks
        assert [dataset.dim(axis).info()[0] for axis in range(3)] == ["fakeDim0", "fakeDim1", "fakeDim2"]

    @pytest.mark.parametrize("key", [key for key in STREAKS if key[1].startswith(("asbo", "sop"))], ids=str)
    def test_ross_attributes(self, paths: dict[tuple[str, str], Path], key: tuple[str, str]) -> None:
        """A ROSS has many attributes: times and booleans as text, numbers of many types, calibrations as paths."""
        attributes = read_hdf4_attributes(paths[key])

        assert 100 <= len(attributes) <= 130
        assert attributes["CCD_CCDSize"] == ([2098, 2048], SDC.INT32)
        assert attributes["CCD_Binning"] == ([2, 2], SDC.INT32)
        assert attributes["CCD_CoolerOn"] == ("True", SDC.CHAR8)
        assert attributes["OCM_CombFrequency"] == (2.0, SDC.FLOAT32)
        assert attributes["FFFile"][0].startswith("Y:\\")
        assert datetime.strptime(attributes["TimeStamp"][0], "%Y-%b-%d %H:%M:%S.%f")  # noqa: DTZ007 - it has no zone
        assert {kind for _, kind in attributes.values()} >= {SDC.UINT8, SDC.INT16, SDC.UINT16, SDC.UINT32}

    def test_file_attributes(self, paths: dict[tuple[str, str], Path]) -> None:
        """The file of a ROSS states its position; that of a Thomson spectrometer only its orientation."""
        streak = SD(str(paths["OMEGA EP", "sop_s25386.hdf"])).attributes()
        spectrum = SD(str(paths["OMEGA", "EPW_CCD-s112059.hdf"])).attributes()

        assert (streak["Location"], streak["ImageDisplay"], streak["TIM"]) == ("EP SPDP", "RotateNoneFlipNone", 0)
        assert spectrum == {"ImageDisplay": "RotateNoneFlipNone"}

    def test_epw_attributes(self, paths: dict[tuple[str, str], Path]) -> None:
        """An EPW has no time stamp, and a temperature of NaN."""
        attributes = read_hdf4_attributes(paths["OMEGA", "EPW_CCD-s112059.hdf"])

        assert np.isnan(attributes["CCD_BackPlateTemperature"][0])
        assert attributes["CentralWavelength"] == (540.0, SDC.FLOAT64)
        assert "TimeStamp" not in attributes

    def test_summary(self, paths: dict[tuple[str, str], Path]) -> None:
        """A P510 summary is 26 arrays of big-endian float32, none of them a picture; a missing peak is -1."""
        with open_hdf5(paths["OMEGA", "P510-p510_data_103741.h5"]) as file:
            arrays = {name: item for name, item in file.items() if not name.startswith("fakeDim")}

            assert len(arrays) == 26
            assert {item.dtype.str for item in arrays.values()} == {">f4"}
            assert (arrays["SUMMARY_DATA_UV"].shape, arrays["DATA_CL3"].shape) == ((512, 60), (512, 10))
            assert np.all(np.diff(arrays["SUMMARY_DATA_TIME"][()]) > 0)
            assert (arrays["DATA_CL1_FIDU_PEAKS"][()] == -1).sum() == 1
            assert arrays["SUMMARY_DATA_UV"].attrs["BEAMS"][-1] == 69
            assert file.attrs["LOG_NUM"] == 103741
            assert b"out of spec" in arrays["DATA_CL1"].attrs["WARNING"]
            assert arrays["DATA_CL1"].dims[0][0].name == arrays["SUMMARY_DATA_TIME"].dims[0][0].name

    def test_ptd(self, paths: dict[tuple[str, str], Path]) -> None:
        """A PTD has 12 bits, saturated pixels and one chunk, and writes units into its texts."""
        with open_hdf5(paths["OMEGA", "PTD_s103741_ptd.h5"]) as file:
            assert file["Streak_array"].chunks == (2, 341, 512)
            assert file.attrs["NTD_Target_to_Scintillator_Distance"] == b"9 cm"
            assert file.attrs["Binnin"] == b"3 X 3"
        streak = read_array(paths["OMEGA", "PTD_s103741_ptd.h5"])

        assert streak.max() == 4095
        assert (streak[0] == 4095).sum() > 100


class TestTwins:
    def test_equal_pixels(self, paths: dict[tuple[str, str], Path]) -> None:
        """The HDF4 file and its HDF5 twin have the same pixels."""
        hdf4, hdf5 = paths["OMEGA", "p510_2_s103741.hdf"], paths["OMEGA", "P510_2-s103741.h5"]

        assert np.array_equal(read_array(hdf4), read_array(hdf5))

    def test_equal_attributes(self, paths: dict[tuple[str, str], Path]) -> None:
        """The twins have the same attributes; in HDF5, texts have fixed lengths and numbers are big-endian."""
        hdf4, hdf5 = paths["OMEGA", "p510_2_s103741.hdf"], paths["OMEGA", "P510_2-s103741.h5"]
        with open_hdf5(hdf5) as file:
            attributes = file["Streak_array"].attrs
            kinds = {attributes.get_id(name).dtype.str[:2] for name in attributes}

        assert read_attributes(hdf5) == read_attributes(hdf4)
        assert kinds == {"|S", "|O", ">f", ">i", ">u"}  # the object is DIMENSION_LIST

    def test_dimension_scales(self, paths: dict[tuple[str, str], Path]) -> None:
        """The HDF5 twin is big-endian, one chunk per frame, with dimension scales that are empty datasets."""
        with open_hdf5(paths["OMEGA", "P510_2-s103741.h5"]) as file:
            streak = file["Streak_array"]

            assert (streak.dtype.str, streak.chunks) == (">u2", (1, 512, 548))
            assert [streak.dims[axis][0].name for axis in range(3)] == ["/fakeDim0", "/fakeDim1", "/fakeDim2"]
            assert isinstance(streak.attrs["DIMENSION_LIST"][0][0], h5py.Reference)
            assert file["fakeDim1"].is_scale
            assert not file["fakeDim1"][()].any()


class TestMaking:
    def test_same_seed_same_bytes(self, tmp_path: Path) -> None:
        """The same seed gives the same bytes, in any folder."""
        demo.make_archive(tmp_path / "one", seed=3, shots=SMALL)
        demo.make_archive(tmp_path / "another" / "of a longer name", seed=3, shots=SMALL)

        assert hash_contents(tmp_path / "one") == hash_contents(tmp_path / "another" / "of a longer name")

    def test_other_seed_other_pixels(self) -> None:
        """Another seed gives another picture."""
        first, second = (demo.make_image("PTD", SMALL[0], seed=seed)["Streak_array"].values for seed in (0, 1))

        assert not np.array_equal(first, second)

    def test_order_is_immaterial(self, paths: dict[tuple[str, str], Path]) -> None:
        """An image that is made alone equals the one in the archive."""
        alone = demo.make_image("EPW_CCD", find_shot("OMEGA", 112059))["Streak_array"].values

        assert np.array_equal(alone, read_array(paths["OMEGA", "EPW_CCD-s112059.hdf"]))

    def test_second_start_makes_nothing(self, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An existing archive is not made again."""
        monkeypatch.setattr(archive_module, "write_image", pytest.fail)
        before = database.stat().st_mtime_ns

        assert demo.make_archive(database.parent) == database
        assert database.stat().st_mtime_ns == before

    def test_relative_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The folder may be relative, and may exist if it is empty."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "demo").mkdir()
        database = demo.make_archive(Path("demo"), shots=())

        assert read_rows(database) == []
        assert sorted(path.name for path in database.parent.iterdir()) == ["archive.db", "files", "recipe.json"]

    def test_other_recipe_replaces(self, tmp_path: Path) -> None:
        """Another seed replaces the archive, and nothing else in the folder."""
        demo.make_archive(tmp_path, seed=0, shots=SMALL)
        (tmp_path / "notes.txt").write_text("mine")
        before = hash_contents(tmp_path)
        demo.make_archive(tmp_path, seed=1, shots=SMALL)
        after = hash_contents(tmp_path)
        stored = "files/22/03/24/HDF.20220324.092644.1"

        assert after.keys() == before.keys()
        assert after["notes.txt"] == b"mine"
        assert after[stored] != before[stored]

    def test_foreign_archive_is_refused(self, tmp_path: Path) -> None:
        """An archive that was not made by this program is never changed."""
        (tmp_path / "archive.db").write_text("precious")

        with pytest.raises(FileExistsError, match="not made by"):
            demo.make_archive(tmp_path, shots=SMALL)

        assert hash_contents(tmp_path) == {"archive.db": b"precious"}

    def test_interrupted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interrupted run leaves nothing, and the next one makes the archive."""
        with monkeypatch.context() as patch:
            patch.setattr(archive_module, "_write_database", interrupt)
            with pytest.raises(KeyboardInterrupt):
                demo.make_archive(tmp_path / "demo", shots=SMALL)

        assert hash_contents(tmp_path) == {}
        assert demo.make_archive(tmp_path / "demo", shots=SMALL).exists()

    def test_interrupted_while_replacing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run interrupted among its renames leaves no database that lists other files; the next one repairs it."""
        database = demo.make_archive(tmp_path, seed=0, shots=SMALL)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", interrupt)
            with pytest.raises(KeyboardInterrupt):
                demo.make_archive(tmp_path, seed=1, shots=SMALL)

        assert not database.exists()
        assert demo.make_archive(tmp_path, seed=1, shots=SMALL).exists()

    @pytest.mark.parametrize(
        ("diagnostic", "subject"),
        [("NONESUCH", demo.Subject.SHOT), ("NONESUCH", demo.Subject.FLAT), ("PTD", demo.Subject.FLAT)],
    )
    def test_unknown_diagnostic(self, diagnostic: str, subject: demo.Subject) -> None:
        """An unknown diagnostic or calibration raises LookupError."""
        with pytest.raises(LookupError):
            demo.make_image(diagnostic, SMALL[0], subject=subject)


class TestWriters:
    @pytest.mark.parametrize("container", ["HDF4", "HDF5"])
    def test_any_image(self, tmp_path: Path, container: Literal["HDF4", "HDF5"]) -> None:
        """Either writer stores any arrays and attributes, whole and with their types."""
        values = np.arange(12, dtype=np.float64).reshape(3, 4)
        described: dict[str, Any] = {"gain": np.float32(2), "box": np.array([1, 2], np.int16), "note": "nothing"}
        image = demo.SyntheticImage((demo.Variable("pixels", values, described),), {"made": "here"})
        demo.write_image(tmp_path / "image", image, container)

        assert (tmp_path / "image").read_bytes().startswith(MAGIC[container])
        assert np.array_equal(read_array(tmp_path / "image", "pixels"), values)
        assert read_attributes(tmp_path / "image", "pixels") == {"gain": 2, "box": [1, 2], "note": "nothing"}

    def test_scales(self, tmp_path: Path) -> None:
        """Either writer scales the dimensions of an array, in units, and the reader finds the scales."""
        scales = (demo.Scale(np.array([0.0, 2.5]), "um"), demo.Scale(np.array([1, 2, 4], np.int32), "ns"))
        image = demo.SyntheticImage((demo.Variable("pixels", np.zeros((2, 3), np.uint16), scales=scales),))
        for container in ("HDF4", "HDF5"):
            demo.write_image(tmp_path / container, image, container)
            found = read(tmp_path / container)

            assert found["pixels"].dims == ("pixels_0", "pixels_1")
            assert found["pixels_0"].values.tolist() == [0.0, 2.5]
            assert found["pixels_1"].values.tolist() == [1, 2, 4]
            assert [found[name].attrs["units"] for name in ("pixels_0", "pixels_1")] == ["um", "ns"]

    def test_file_forgets_its_folder(self, tmp_path: Path) -> None:
        """A written file does not contain the path that it was written to."""
        image = demo.SyntheticImage((demo.Variable("pixels", np.zeros((2, 2), np.uint16)),))
        for container in ("HDF4", "HDF5"):
            demo.write_image(tmp_path / container, image, container)

            assert tmp_path.name.encode() not in (tmp_path / container).read_bytes()
