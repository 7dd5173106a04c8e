"""The synthetic archive looks, to its users, like a real one: layouts, types, pictures and faults."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import h5py
import numpy as np
import pytest
from pyhdf.SD import SD, SDC
from sqlalchemy import create_engine, select

from shotdap.catalog.readers import read
from shotdap.catalog.readers.hdf4 import library
from shotdap.server import demo
from shotdap.server.demo import synthetic_archive as archive_module
from shotdap.server.demo.image_files import DEFLATE_LEVEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAGIC = {"HDF4": b"\x0e\x03\x13\x01", "HDF5": b"\x89HDF\r\n\x1a\n"}
WRAPPING = ("ASBO1", "ASBO2", "SOP", "P510_2", "EPW_CCD")  # PTD's camera is of another kind
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
CALIBRATIONS = (25384, 62326)  # the shots that were none
SMALL = tuple(  # the shot whose files are quickly made, without its summary and one twin
    demo.Shot(shot.facility, shot.number, shot.when, (shot.files[0], shot.files[3]))
    for shot in demo.SHOTS
    if shot.number == 103741
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.make_archive(tmp_path_factory.mktemp("archive") / "demo")


@pytest.fixture(scope="module")
def rows(database: Path) -> list[dict[str, Any]]:
    return read_rows(database)


@pytest.fixture(scope="module")
def paths(database: Path, rows: list[dict[str, Any]]) -> dict[tuple[str, str], Path]:
    """The stored files by (facility, user's name)."""
    root = database.parent / demo.FILES_FOLDER
    return {(row["FACILITY"], row["SOURCE_FILE"]): root / row["ARCHIVE_FILE"] for row in rows}


def read_rows(database: Path) -> list[dict[str, Any]]:
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        table = demo.ARCHIVE_FILES
        found = [dict(row) for row in connection.execute(select(table).order_by(table.c.IMAGE_ID)).mappings()]
    engine.dispose()
    return found


def open_hdf5(path: Path) -> Any:  # noqa: ANN401 - what h5py gives is too wide a union to index
    return h5py.File(path)


def read_array(path: Path, name: str = "Streak_array") -> NDArray[Any]:
    if path.read_bytes()[:4] == MAGIC["HDF4"]:
        values: NDArray[Any] = SD(str(path)).select(name).get()
        return values
    with open_hdf5(path) as file:
        return np.asarray(file[name])


def hdf4_attributes(path: Path, name: str = "Streak_array") -> dict[str, tuple[Any, int]]:
    """Value and HDF4 type of each attribute."""
    full = SD(str(path)).select(name).attributes(full=1)
    return {key: (value, kind) for key, (value, _index, kind, _length) in full.items()}


def read_attributes(path: Path, name: str = "Streak_array") -> dict[str, Any]:
    """Value of each attribute, as plain Python, from either container."""
    if path.read_bytes()[:4] == MAGIC["HDF4"]:
        return {key: value for key, (value, _) in hdf4_attributes(path, name).items()}
    with open_hdf5(path) as file:
        found = {key: value for key, value in file[name].attrs.items() if key != "DIMENSION_LIST"}
    return {key: v.decode() if isinstance(v, bytes) else v.tolist() for key, v in found.items()}


def interrupt(*_arguments: object) -> NoReturn:
    raise KeyboardInterrupt


def shot(facility: str, number: int) -> demo.Shot:
    return next(shot for shot in demo.SHOTS if (shot.facility, shot.number) == (facility, number))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestDatabase:
    def test_columns(self, rows: list[dict[str, Any]]) -> None:
        """The table has the columns that the portal's links hint at, with times as times."""
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
        """Each row is modified later than the one before it, and after its shot."""
        times = [row["MODIFIED"] for row in rows]

        assert times == sorted(set(times))
        assert all(row["MODIFIED"] > row["SHOT_DATE"] for row in rows)

    def test_modified_rises_for_shots_in_one_minute(self, tmp_path: Path) -> None:
        """Shots a moment apart, given in any order, still have rows that rise."""
        faulty = (demo.StoredFile("SOP", "sop.hdf", fault=demo.Fault.MISSING),) * 5
        moments = ("2020-01-01T10:00:02", "2020-01-01T10:00:00")
        shots = [demo.Shot("OMEGA", n, datetime.fromisoformat(t), faulty) for n, t in enumerate(moments)]
        times = [row["MODIFIED"] for row in read_rows(demo.make_archive(tmp_path / "a", shots=shots))]

        assert len(times) == 10
        assert times == sorted(set(times))

    def test_stored_names_hide_user_names(self, rows: list[dict[str, Any]]) -> None:
        """A stored name tells the day and the time, not the shot, the diagnostic or the format."""
        stored = {row["SOURCE_FILE"]: row["ARCHIVE_FILE"] for row in rows if row["SHOT_NUMBER"] == 103741}

        assert stored["p510_2_s103741.hdf"] == "22/03/24/HDF.20220324.092644.1"
        assert stored["P510_2-s103741.h5"] == "22/03/24/HDF.20220324.092644.2"

    def test_number_is_no_key(self, rows: list[dict[str, Any]]) -> None:
        """OMEGA and OMEGA EP both have a shot 25386 with a file of the same name."""
        colliding = [(row["FACILITY"], row["SOURCE_FILE"]) for row in rows if row["SHOT_NUMBER"] == 25386]

        assert sorted(colliding) == [("OMEGA", "sop_s25386.hdf"), ("OMEGA EP", "sop_s25386.hdf")]

    def test_formats(self, database: Path, rows: list[dict[str, Any]]) -> None:
        """Exactly two rows do not hold what they say: one file is missing, one is a login page."""
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
        """An ASBO holds one frame more, without attributes."""
        path = paths["OMEGA", "asbo1_s62328.hdf"]

        assert list(SD(str(path)).datasets()) == ["Streak_array", "Reference"]
        assert read_array(path, "Reference").shape == (1100, 1100)
        assert hdf4_attributes(path, "Reference") == {}

    def test_hdf4_is_deflated(self, paths: dict[tuple[str, str], Path]) -> None:
        """HDF4 arrays are deflated, a frame in a chunk, and their dimensions have names that say nothing."""
        dataset = SD(str(paths["OMEGA", "asbo1_s62328.hdf"])).select("Streak_array")

        assert dataset.getcompress() == (SDC.COMP_DEFLATE, DEFLATE_LEVEL)
        assert library.get_chunk_shape(dataset._id or 0, 3) == (1, 1100, 1100)  # noqa: SLF001 - pyhdf tells no chunks
        assert [dataset.dim(axis).info()[0] for axis in range(3)] == ["fakeDim0", "fakeDim1", "fakeDim2"]

    @pytest.mark.parametrize("key", [key for key in STREAKS if key[1].startswith(("asbo", "sop"))], ids=str)
    def test_ross_attributes(self, paths: dict[tuple[str, str], Path], key: tuple[str, str]) -> None:
        """A ROSS says much about itself: times and truths as text, numbers in many types, calibrations as paths."""
        attributes = hdf4_attributes(paths[key])

        assert 100 <= len(attributes) <= 130
        assert attributes["CCD_CCDSize"] == ([2098, 2048], SDC.INT32)
        assert attributes["CCD_Binning"] == ([2, 2], SDC.INT32)
        assert attributes["CCD_CoolerOn"] == ("True", SDC.CHAR8)
        assert attributes["OCM_CombFrequency"] == (2.0, SDC.FLOAT32)
        assert attributes["FFFile"][0].startswith("Y:\\")
        assert datetime.strptime(attributes["TimeStamp"][0], "%Y-%b-%d %H:%M:%S.%f")  # noqa: DTZ007 - it has no zone
        assert {kind for _, kind in attributes.values()} >= {SDC.UINT8, SDC.INT16, SDC.UINT16, SDC.UINT32}

    def test_file_attributes(self, paths: dict[tuple[str, str], Path]) -> None:
        """The file of a ROSS says where it stood; of a Thomson spectrometer, only how to turn it."""
        streak = SD(str(paths["OMEGA EP", "sop_s25386.hdf"])).attributes()
        spectrum = SD(str(paths["OMEGA", "EPW_CCD-s112059.hdf"])).attributes()

        assert (streak["Location"], streak["ImageDisplay"], streak["TIM"]) == ("EP SPDP", "RotateNoneFlipNone", 0)
        assert spectrum == {"ImageDisplay": "RotateNoneFlipNone"}

    def test_epw_attributes(self, paths: dict[tuple[str, str], Path]) -> None:
        """An EPW has no time stamp and a temperature that is not a number."""
        attributes = hdf4_attributes(paths["OMEGA", "EPW_CCD-s112059.hdf"])

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
        """A PTD keeps 12 bits and saturates, in one chunk, and writes its units into its texts."""
        with open_hdf5(paths["OMEGA", "PTD_s103741_ptd.h5"]) as file:
            assert file["Streak_array"].chunks == (2, 341, 512)
            assert file.attrs["NTD_Target_to_Scintillator_Distance"] == b"9 cm"
            assert file.attrs["Binnin"] == b"3 X 3"
        streak = read_array(paths["OMEGA", "PTD_s103741_ptd.h5"])

        assert streak.max() == 4095
        assert (streak[0] == 4095).sum() > 100


class TestTwins:
    def test_equal_pixels(self, paths: dict[tuple[str, str], Path]) -> None:
        """The HDF4 file and its HDF5 twin show the same picture."""
        hdf4, hdf5 = paths["OMEGA", "p510_2_s103741.hdf"], paths["OMEGA", "P510_2-s103741.h5"]

        assert np.array_equal(read_array(hdf4), read_array(hdf5))

    def test_equal_attributes(self, paths: dict[tuple[str, str], Path]) -> None:
        """The twins have the same attributes, texts of fixed length and big-endian numbers in HDF5."""
        hdf4, hdf5 = paths["OMEGA", "p510_2_s103741.hdf"], paths["OMEGA", "P510_2-s103741.h5"]
        with open_hdf5(hdf5) as file:
            attributes = file["Streak_array"].attrs
            kinds = {attributes.get_id(name).dtype.str[:2] for name in attributes}

        assert read_attributes(hdf5) == read_attributes(hdf4)
        assert kinds == {"|S", "|O", ">f", ">i", ">u"}  # the object is DIMENSION_LIST

    def test_dimension_scales(self, paths: dict[tuple[str, str], Path]) -> None:
        """The HDF5 twin is big-endian, one chunk a frame, its dimensions scaled by references to empty datasets."""
        with open_hdf5(paths["OMEGA", "P510_2-s103741.h5"]) as file:
            streak = file["Streak_array"]

            assert (streak.dtype.str, streak.chunks) == (">u2", (1, 512, 548))
            assert [streak.dims[axis][0].name for axis in range(3)] == ["/fakeDim0", "/fakeDim1", "/fakeDim2"]
            assert isinstance(streak.attrs["DIMENSION_LIST"][0][0], h5py.Reference)
            assert file["fakeDim1"].is_scale
            assert not file["fakeDim1"][()].any()


class TestPictures:
    @pytest.mark.parametrize("diagnostic", WRAPPING)
    def test_unsigned_subtraction_wraps(
        self, rows: list[dict[str, Any]], paths: dict[tuple[str, str], Path], diagnostic: str
    ) -> None:
        """Subtracting the background as uint16 would wrap on a fifth to under a half of the pixels."""
        for row in (row for row in rows if row["DIAGNOSTIC"] == diagnostic and row["SHOT_NUMBER"] not in CALIBRATIONS):
            signal, background = read_array(paths[row["FACILITY"], row["SOURCE_FILE"]])

            assert 0.19 < (signal < background).mean() < 0.46

    def test_hot_pixels_of_their_own(self, paths: dict[tuple[str, str], Path]) -> None:
        """Signal and background have bright pixels in different places, so that one difference is far below zero."""
        signal, background = read_array(paths["OMEGA EP", "sop_s25386.hdf"]).astype(int)
        hot = background > np.median(background) + 500

        assert 20 < hot.sum() < 1000
        assert (signal - background).min() < -1000

    def test_overscan(self, paths: dict[tuple[str, str], Path]) -> None:
        """Outside the active 1049 × 1024 pixels no light is seen, not even the dark current's."""
        background = read_array(paths["OMEGA", "asbo1_s62328.hdf"])[1]
        active, overscan = np.median(background[:1024, :1049]), np.median(background[:, 1049:])

        assert overscan < active

    def test_facilities_differ(self, paths: dict[tuple[str, str], Path]) -> None:
        """The two pictures that are both called sop_s25386.hdf differ."""
        omega, omega_ep = (read_array(paths[facility, "sop_s25386.hdf"]) for facility in ("OMEGA", "OMEGA EP"))

        assert (omega != omega_ep).mean() > 0.5

    @pytest.mark.parametrize(
        ("edge", "period", "least"),
        [(slice(820, 905), demo.COMB_PERIOD, 9), (slice(70, 120), demo.FIDUCIAL_PERIOD, 7)],
        ids=["comb", "fiducial"],
    )
    @pytest.mark.parametrize("speed", [3, 4])
    def test_peaks_measure_time(self, speed: int, edge: slice, period: float, least: int) -> None:
        """The camera's comb along the lower edge, the laser's fiducials along the upper: each has its period."""
        image = {3: ("ASBO1", shot("OMEGA", 62328)), 4: ("SOP", shot("OMEGA EP", 25386))}[speed]
        signal, background = demo.make_image(*image)["Streak_array"].values.astype(float)
        profile = np.median(np.sort((signal - background)[edge, :1024], axis=0)[-12:], axis=0)
        columns = np.array([centre for centre in centroids(profile) if 10 < centre < 1010])
        times = demo.SWEEPS[speed].get_time(columns)

        assert len(times) >= least
        assert np.diff(times) == pytest.approx(period, abs=0.015)

    def test_sweep_inverts(self) -> None:
        """A sweep's column and time are inverse to each other, and its time is a quadratic of the column."""
        sweep = demo.SWEEPS[3]
        columns = np.arange(0.0, 1049)

        assert sweep.get_column(sweep.get_time(columns)) == pytest.approx(columns)
        assert np.diff(sweep.get_time(columns), n=3) == pytest.approx(0, abs=1e-9)
        assert sweep.get_time(np.array([1049.0])) == pytest.approx(17)

    def test_visar_phase_step(self) -> None:
        """A VISAR's fringes stand as in its reference until the shock breaks out, and elsewhere afterwards."""
        image = demo.make_image("ASBO1", shot("OMEGA", 62328))
        signal, reference = image["Streak_array"].values[0], image["Reference"].values
        before, after = (fringe_phase(signal, at) - fringe_phase(reference, at) for at in (100, 450))

        assert abs(np.angle(np.exp(1j * before))) < 0.1
        assert abs(np.angle(np.exp(1j * after))) > 0.5

    def test_ten_beams(self) -> None:
        """A P510 shows ten beams one above the other, apart from each other."""
        signal = demo.make_image("P510_2", shot("OMEGA", 103741))["Streak_array"].values[0]
        bright = np.median(signal[:, 200:225], axis=1) > 5000

        assert np.count_nonzero(np.diff(bright.astype(int)) == 1) == 10

    def test_two_resonances(self) -> None:
        """An EPW spectrum has two bands, one on either side of the notch."""
        signal, background = demo.make_image("EPW_CCD", shot("OMEGA", 112059))["Streak_array"].values.astype(float)
        spectrum = np.median(signal[480:540] - background[480:540], axis=0)
        blue, red = spectrum[:460].max(), spectrum[460:].max()

        assert min(blue, red) > 3 * np.median(spectrum)
        assert np.median(spectrum[450:475]) < 0.2 * np.median(spectrum)


def lit(facility: str, number: int, diagnostic: str, subject: demo.Subject) -> NDArray[Any]:
    """The active area of a streak, its background subtracted."""
    image = demo.make_image(diagnostic, shot(facility, number), subject=subject)
    signal, unlit = image["Streak_array"].values.astype(float)
    return np.asarray((signal - unlit)[:1024, :1049])


class TestFlatField:
    @pytest.mark.parametrize(
        ("facility", "number", "diagnostic"), [("OMEGA", 62326, "ASBO1"), ("OMEGA EP", 25384, "SOP")]
    )
    def test_flat_is_the_sensitivity(self, facility: str, number: int, diagnostic: str) -> None:
        """A flat shows the sensitivity of its camera, to within the noise of its photoelectrons."""
        flat = lit(facility, number, diagnostic, demo.Subject.FLAT) / demo.LAMP_COUNTS
        quotient = flat / demo.compute_sensitivity(facility, diagnostic)

        assert np.median(quotient) == pytest.approx(1, abs=1e-3)
        assert np.median(np.abs(quotient - 1)) < 0.012

    def test_sensitivity_is_uneven(self) -> None:
        """A camera's corners, its dust, its two amplifiers and its columns differ, about a mean of 1."""
        seen = demo.compute_sensitivity("OMEGA", "ASBO1")
        middle = seen[500:520]
        left, right = middle[:, 530:550].mean(), middle[:, 550:570].mean()

        assert seen.shape == (1024, 1049)
        assert seen.mean() == pytest.approx(1, abs=1e-5)
        assert seen[:40, :40].mean() < 0.9
        assert seen.min() < 0.8
        assert right / left == pytest.approx(1.06, abs=0.02)
        assert 0.007 < np.diff(seen.mean(axis=0)).std() / np.sqrt(2) < 0.013

    def test_cameras_differ(self) -> None:
        """Each camera has a sensitivity of its own, whatever the shot and the seed."""
        maps = [
            demo.compute_sensitivity(*camera) for camera in (("OMEGA", "ASBO1"), ("OMEGA", "ASBO2"), ("OMEGA", "SOP"))
        ]

        assert not np.allclose(maps[0], maps[1])
        assert not np.allclose(maps[1], maps[2])
        assert np.array_equal(maps[0], demo.compute_sensitivity("OMEGA", "ASBO1"))

    def test_even_camera(self) -> None:
        """The sensitivity of a camera that sees evenly is not known."""
        with pytest.raises(LookupError):
            demo.compute_sensitivity("OMEGA", "PTD")

    def test_dividing_flattens(self) -> None:
        """Divided by its flat, a VISAR's reference no longer steps where the second amplifier takes over."""
        image = demo.make_image("ASBO1", shot("OMEGA", 62328))
        unlit = image["Streak_array"].values[1].astype(float)
        fringes = (image["Reference"].values - unlit)[:1024, :1049]
        flat = lit("OMEGA", 62326, "ASBO1", demo.Subject.FLAT)
        before, after = (amplifier_step(each) for each in (fringes, fringes / flat))

        assert before == pytest.approx(1.06, abs=0.015)
        assert after == pytest.approx(1, abs=0.004)


def amplifier_step(picture: NDArray[Any]) -> float:
    """How much brighter the fringes are right of column 550 than left of it."""
    fringes = picture[300:550]
    return float(fringes[:, 550:562].sum() / fringes[:, 538:550].sum())


def film_scan(subject: demo.Subject) -> NDArray[Any]:
    return demo.make_image("XRFC_FILM", shot("OMEGA", 103741), subject=subject)["pds_image"].values


class TestFilm:
    def test_layout(self, paths: dict[tuple[str, str], Path]) -> None:
        """A scan is int16, with the distance on the film (um) along both dimensions and the density of a count."""
        dataset = SD(str(paths["OMEGA", "xrfc_film_s103741.hdf"])).select("pds_image")

        assert dataset.info()[2:4] == ([700, 900], SDC.INT16)
        assert dataset.dim(0).getscale() == list(40.0 * np.arange(700))
        assert dataset.dim(1).getscale() == list(40.0 * np.arange(900))
        assert dataset.dim(1).attributes() == {"units": "um"}
        assert dataset.attributes() == {"OD_per_count": 1 / 800}

    def test_wedge_layout(self, paths: dict[tuple[str, str], Path]) -> None:
        """The scan of a wedge says how many steps it has, and how they differ."""
        dataset = SD(str(paths["OMEGA", "xrfc_film_s103741_swedge.hdf"])).select("pds_image")

        assert dataset.info()[2:4] == ([120, 960], SDC.INT16)
        assert dataset.attributes() == {"OD_per_count": 1 / 800, "wedge_steps": 21, "wedge_step_OD": 0.15}

    def test_wedge_is_the_curve(self) -> None:
        """Each of the 21 steps has the density that the curve gives for its exposure."""
        density = film_scan(demo.Subject.WEDGE) / demo.COUNTS_PER_OD
        wedge = demo.WEDGE
        steps = [np.mean(density[:, wedge.get_step_columns(k)][:, 4:-4]) for k in range(wedge.step_count)]

        assert steps == pytest.approx(demo.compute_film_density(wedge.compute_log_exposure()), abs=2e-3)
        assert wedge.compute_log_exposure() == pytest.approx(np.linspace(0, -3, 21))

    def test_lines_between_steps(self) -> None:
        """Between two steps the film is less dense than on either, and at the ends it is fogged only."""
        density = film_scan(demo.Subject.WEDGE) / demo.COUNTS_PER_OD
        for k in range(15):
            line = slice(demo.WEDGE.get_step_columns(k).stop + 1, demo.WEDGE.get_step_columns(k + 1).start - 1)

            assert density[:, line].mean() < density[:, demo.WEDGE.get_step_columns(k + 1)].mean()
        assert density[:, :10].mean() == pytest.approx(demo.FOG, abs=2e-3)

    def test_curve(self) -> None:
        """The curve has a toe at the fog, a straight middle of slope 1.96 and a shoulder below 3.32."""
        density = demo.compute_film_density(np.array([-9.0, -1.201, -1.199, 9.0]))

        assert density[[0, 3]] == pytest.approx([0.22, 3.32])
        assert (density[2] - density[1]) / 0.002 == pytest.approx(1.963, abs=1e-3)

    def test_curve_inverts(self) -> None:
        """The exposure of a density is the inverse of the curve, and not a number where no exposure gives it."""
        exposures = np.linspace(-3, 0, 31)

        assert demo.compute_film_log_exposure(demo.compute_film_density(exposures)) == pytest.approx(exposures)
        assert np.isnan(demo.compute_film_log_exposure(np.array([0.1, demo.FOG, 3.4]))).all()

    def test_sixteen_images(self) -> None:
        """A film holds sixteen images of a shell, each smaller than the one before, within the wedge's densities."""
        density = film_scan(demo.Subject.SHOT) / demo.COUNTS_PER_OD
        tiles = density[:, :900].reshape(4, 175, 4, 225).swapaxes(1, 2).reshape(16, 175, 225)
        areas = [(tile > 0.6).sum() for tile in tiles]

        assert all(np.diff(areas) < 0)
        assert 3.0 < np.percentile(density, 99.9) < demo.compute_film_density(np.array(0.0))


class TestImagePlate:
    def test_layout(self, paths: dict[tuple[str, str], Path]) -> None:
        """A plate has its PSL as float32, the scan that it was made of, and pixels that are not square."""
        with open_hdf5(paths["OMEGA", "PCIS-s103955_pcis1_-1-[phosphor].h5"]) as file:
            assert (file["PSL_per_px"].dtype.str, file["PSL_per_px"].shape) == (">f4", (400, 800))
            assert (file["raw_scan"].dtype.str, file["raw_scan"].shape) == (">u2", (400, 800))
            assert dict(file.attrs) == {
                "pixelSizeX": 25,
                "pixelSizeY": 50,
                "scanDelaySeconds": 2700,
                "latitude": 5,
                "shotNum": 103955,
                "instrument": b"PCIS",
            }
            described = {name: value for name, value in file["raw_scan"].attrs.items() if name != "DIMENSION_LIST"}
            assert described == {"resolution": 25, "sensitivity": 4000, "latitude": 5, "bits": 16}

    def test_psl_is_the_formula(self) -> None:
        """The PSL is what Fuji's formula makes of the scan."""
        image = demo.make_image("PCIS", shot("OMEGA", 103955))
        raw = image["raw_scan"].values.astype(float)
        psl = (25 / 100) ** 2 * (4000 / 4000) * 10 ** (5 * (raw / 65535 - 0.5))

        assert np.allclose(image["PSL_per_px"].values, psl, rtol=1e-6, atol=0)
        assert 0 < raw.min() < raw.max() < 65535

    def test_scanner_inverts(self) -> None:
        """A raw value's PSL has that raw value; what is beyond the scale is at its ends."""
        raw = np.arange(65536)

        assert np.array_equal(demo.SCANNER.compute_raw(demo.SCANNER.compute_psl(raw)), raw)
        assert demo.SCANNER.compute_raw(np.array([-1.0, 0.0, 1e6])).tolist() == [0, 0, 65535]

    def test_fading(self) -> None:
        """What the plate held at the shot is what the scan shows, over the fading until then."""
        shown = demo.make_image("PCIS", shot("OMEGA", 103955))["PSL_per_px"].values
        quotient = shown / demo.compute_fading(2700) / demo.draw_plate_exposure()

        assert demo.compute_fading(0) == pytest.approx(1)
        assert demo.compute_fading(2700) == pytest.approx(0.436 * 0.092457 + 0.403 * 0.972961 + 0.161, abs=1e-5)
        assert quotient.mean() == pytest.approx(1, abs=1e-3)


class TestGrid:
    def test_layout(self, paths: dict[tuple[str, str], Path]) -> None:
        """A grid is one uint16 frame, which says where its dots would be if nothing were warped."""
        dataset = SD(str(paths["OMEGA", "asbo1_grid_s62326.hdf"])).select("Grid")

        assert dataset.info()[2:4] == ([1100, 1100], SDC.UINT16)
        assert dataset.attributes() == {"first_dot_px": [50, 50], "pitch_px": [48, 48]}

    def test_dots_are_where_the_polynomial_says(self) -> None:
        """Each dot is seen where the distortion puts it, to a tenth of a pixel."""
        image = demo.make_image("ASBO1", shot("OMEGA", 62326), subject=demo.Subject.GRID)["Grid"].values
        columns, rows = demo.DISTORTION(*demo.GRID.compute_points())
        found = [centre_of_mass(image, row, column) for row, column in zip(rows, columns, strict=True)]
        off = np.hypot(*(np.array(found) - np.stack([rows, columns], axis=1)).T)

        assert len(off) == 400
        assert np.median(off) < 0.05
        assert np.percentile(off, 95) < 0.2

    def test_distortion(self) -> None:
        """The distortion is the polynomial of its coefficients, and moves points by up to 33 pixels."""
        x, y = demo.GRID.compute_points()
        a, b = demo.DISTORTION.column_coefficients, demo.DISTORTION.row_coefficients
        terms = np.stack([x**0, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3])
        column, row = demo.DISTORTION(x, y)

        assert column == pytest.approx(np.array(a) @ terms)
        assert row == pytest.approx(np.array(b) @ terms)
        assert 20 < np.hypot(column - x, row - y).max() < 60


def centre_of_mass(image: NDArray[np.uint16], row: float, column: float) -> tuple[float, float]:
    """Row and column of a dot near a place, hot pixels aside."""
    top, left = round(row) - 9, round(column) - 9
    window = image[top : top + 19, left : left + 19].astype(float)
    weights = np.clip(window - np.median(window) - 500, 0, 9000)
    y, x = np.mgrid[top : top + 19, left : left + 19]
    return float(np.average(y, weights=weights)), float(np.average(x, weights=weights))


def centroids(profile: NDArray[np.floating[Any]]) -> Iterator[float]:
    """Centres of the runs above half of the highest peak."""
    above = profile > np.median(profile) + (profile.max() - np.median(profile)) / 2
    edges = np.flatnonzero(np.diff(above.astype(int)))
    edges = edges[1:] if above[0] else edges
    for start, stop in zip(edges[::2] + 1, edges[1::2] + 1, strict=False):
        yield float(np.average(np.arange(start, stop), weights=profile[start:stop]))


def fringe_phase(frame: NDArray[np.uint16], column: int) -> float:
    """Phase (radians) of the fringes about a column, near the middle of the picture."""
    lineout = np.median(frame[320:520, column : column + 20].astype(float), axis=1)
    spectrum = np.fft.rfft((lineout - lineout.mean()) * np.hanning(len(lineout)))
    return float(np.angle(spectrum[3 + np.argmax(np.abs(spectrum[3:10]))]))


class TestMaking:
    def test_same_seed_same_bytes(self, tmp_path: Path) -> None:
        """The same seed gives the same bytes, in whatever folder."""
        demo.make_archive(tmp_path / "one", seed=3, shots=SMALL)
        demo.make_archive(tmp_path / "another" / "of a longer name", seed=3, shots=SMALL)

        assert contents(tmp_path / "one") == contents(tmp_path / "another" / "of a longer name")

    def test_other_seed_other_pixels(self) -> None:
        """Another seed gives another picture."""
        first, second = (demo.make_image("PTD", SMALL[0], seed=seed)["Streak_array"].values for seed in (0, 1))

        assert not np.array_equal(first, second)

    def test_order_is_immaterial(self, paths: dict[tuple[str, str], Path]) -> None:
        """An image made alone is the one that the archive holds."""
        alone = demo.make_image("EPW_CCD", shot("OMEGA", 112059))["Streak_array"].values

        assert np.array_equal(alone, read_array(paths["OMEGA", "EPW_CCD-s112059.hdf"]))

    def test_second_start_makes_nothing(self, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An archive that is there already is not made again."""
        monkeypatch.setattr(archive_module, "write_image", pytest.fail)
        before = database.stat().st_mtime_ns

        assert demo.make_archive(database.parent) == database
        assert database.stat().st_mtime_ns == before

    def test_relative_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The folder may be relative, and may be there, empty."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "demo").mkdir()
        database = demo.make_archive(Path("demo"), shots=())

        assert read_rows(database) == []
        assert sorted(path.name for path in database.parent.iterdir()) == ["archive.db", "files", "recipe.json"]

    def test_other_recipe_replaces(self, tmp_path: Path) -> None:
        """Another seed replaces the archive, and nothing else of the folder."""
        demo.make_archive(tmp_path, seed=0, shots=SMALL)
        (tmp_path / "notes.txt").write_text("mine")
        before = contents(tmp_path)
        demo.make_archive(tmp_path, seed=1, shots=SMALL)
        after = contents(tmp_path)
        stored = "files/22/03/24/HDF.20220324.092644.1"

        assert after.keys() == before.keys()
        assert after["notes.txt"] == b"mine"
        assert after[stored] != before[stored]

    def test_foreign_archive_is_refused(self, tmp_path: Path) -> None:
        """An archive that was not made here is never touched."""
        (tmp_path / "archive.db").write_text("precious")

        with pytest.raises(FileExistsError, match="not made by"):
            demo.make_archive(tmp_path, shots=SMALL)

        assert contents(tmp_path) == {"archive.db": b"precious"}

    def test_interrupted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interrupted run leaves nothing, and the next one makes the archive."""
        with monkeypatch.context() as patch:
            patch.setattr(archive_module, "_write_database", interrupt)
            with pytest.raises(KeyboardInterrupt):
                demo.make_archive(tmp_path / "demo", shots=SMALL)

        assert contents(tmp_path) == {}
        assert demo.make_archive(tmp_path / "demo", shots=SMALL).exists()

    def test_interrupted_while_replacing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run interrupted among its renames leaves no database that speaks of other files; the next one mends it."""
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
        """A diagnostic that is not known is a failed look-up, and so is a calibration that it does not have."""
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
        """A written file does not hold the path that it was written to."""
        image = demo.SyntheticImage((demo.Variable("pixels", np.zeros((2, 2), np.uint16)),))
        for container in ("HDF4", "HDF5"):
            demo.write_image(tmp_path / container, image, container)

            assert tmp_path.name.encode() not in (tmp_path / container).read_bytes()
