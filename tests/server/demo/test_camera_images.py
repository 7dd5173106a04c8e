"""The synthetic archive's pictures have the features of real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyhdf.SD import SD, SDC
from tests.server.demo.reading import find_shot, open_hdf5, read_array

from shotdap.server import demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

WRAPPING = ("ASBO1", "ASBO2", "SOP", "P510_2", "EPW_CCD")  # PTD's camera is of another kind
CALIBRATIONS = (25384, 62326)  # the numbers without a shot


class TestPictures:
    @pytest.mark.parametrize("diagnostic", WRAPPING)
    def test_unsigned_subtraction_wraps(
        self, rows: list[dict[str, Any]], paths: dict[tuple[str, str], Path], diagnostic: str
    ) -> None:
        """Subtracting the background as uint16 would wrap around for a fifth to under a half of the pixels."""
        for row in (row for row in rows if row["DIAGNOSTIC"] == diagnostic and row["SHOT_NUMBER"] not in CALIBRATIONS):
            signal, background = read_array(paths[row["FACILITY"], row["SOURCE_FILE"]])

            assert 0.19 < (signal < background).mean() < 0.46

    def test_hot_pixels_of_their_own(self, paths: dict[tuple[str, str], Path]) -> None:
        """Signal and background have hot pixels at different places, so that some differences are far below zero."""
        signal, background = read_array(paths["OMEGA EP", "sop_s25386.hdf"]).astype(int)
        hot = background > np.median(background) + 500

        assert 20 < hot.sum() < 1000
        assert (signal - background).min() < -1000

    def test_overscan(self, paths: dict[tuple[str, str], Path]) -> None:
        """Outside the active 1049 × 1024 pixels there is no light, and not even dark current."""
        background = read_array(paths["OMEGA", "asbo1_s62328.hdf"])[1]
        active, overscan = np.median(background[:1024, :1049]), np.median(background[:, 1049:])

        assert overscan < active

    def test_facilities_differ(self, paths: dict[tuple[str, str], Path]) -> None:
        """The two pictures with the name sop_s25386.hdf differ."""
        omega, omega_ep = (read_array(paths[facility, "sop_s25386.hdf"]) for facility in ("OMEGA", "OMEGA EP"))

        assert (omega != omega_ep).mean() > 0.5

    @pytest.mark.parametrize(
        ("edge", "period", "least"),
        [(slice(820, 905), demo.COMB_PERIOD, 9), (slice(70, 120), demo.FIDUCIAL_PERIOD, 7)],
        ids=["comb", "fiducial"],
    )
    @pytest.mark.parametrize("speed", [3, 4])
    def test_peaks_measure_time(self, speed: int, edge: slice, period: float, least: int) -> None:
        """The camera's comb along the lower edge and the laser's fiducials along the upper have their periods."""
        image = {3: ("ASBO1", find_shot("OMEGA", 62328)), 4: ("SOP", find_shot("OMEGA EP", 25386))}[speed]
        signal, background = demo.make_image(*image)["Streak_array"].values.astype(float)
        profile = np.median(np.sort((signal - background)[edge, :1024], axis=0)[-12:], axis=0)
        columns = np.array([centre for centre in compute_centroids(profile) if 10 < centre < 1010])
        times = demo.SWEEPS[speed].get_time(columns)

        assert len(times) >= least
        assert np.diff(times) == pytest.approx(period, abs=0.015)

    def test_sweep_inverts(self) -> None:
        """A sweep's column and time are inverse to each other, and its time is a quadratic function of the column."""
        sweep = demo.SWEEPS[3]
        columns = np.arange(0.0, 1049)

        assert sweep.get_column(sweep.get_time(columns)) == pytest.approx(columns)
        assert np.diff(sweep.get_time(columns), n=3) == pytest.approx(0, abs=1e-9)
        assert sweep.get_time(np.array([1049.0])) == pytest.approx(17)

    def test_visar_phase_step(self) -> None:
        """A VISAR's fringes equal those of its reference until the shock breaks out, and are displaced afterwards."""
        image = demo.make_image("ASBO1", find_shot("OMEGA", 62328))
        signal, reference = image["Streak_array"].values[0], image["Reference"].values
        before, after = (compute_fringe_phase(signal, at) - compute_fringe_phase(reference, at) for at in (100, 450))

        assert abs(np.angle(np.exp(1j * before))) < 0.1
        assert abs(np.angle(np.exp(1j * after))) > 0.5

    def test_ten_beams(self) -> None:
        """A P510 shows ten separate beams, one above the other."""
        signal = demo.make_image("P510_2", find_shot("OMEGA", 103741))["Streak_array"].values[0]
        bright = np.median(signal[:, 200:225], axis=1) > 5000

        assert np.count_nonzero(np.diff(bright.astype(int)) == 1) == 10

    def test_two_resonances(self) -> None:
        """An EPW spectrum has two bands, one on either side of the notch."""
        signal, background = demo.make_image("EPW_CCD", find_shot("OMEGA", 112059))["Streak_array"].values.astype(float)
        spectrum = np.median(signal[480:540] - background[480:540], axis=0)
        blue, red = spectrum[:460].max(), spectrum[460:].max()

        assert min(blue, red) > 3 * np.median(spectrum)
        assert np.median(spectrum[450:475]) < 0.2 * np.median(spectrum)


def make_active_area(facility: str, number: int, diagnostic: str, subject: demo.Subject) -> NDArray[Any]:
    """Return the active area of a streak without its background."""
    image = demo.make_image(diagnostic, find_shot(facility, number), subject=subject)
    signal, unlit = image["Streak_array"].values.astype(float)
    return np.asarray((signal - unlit)[:1024, :1049])


class TestFlatField:
    @pytest.mark.parametrize(
        ("facility", "number", "diagnostic"), [("OMEGA", 62326, "ASBO1"), ("OMEGA EP", 25384, "SOP")]
    )
    def test_flat_is_the_sensitivity(self, facility: str, number: int, diagnostic: str) -> None:
        """A flat shows the sensitivity of its camera, to within the noise of its photoelectrons."""
        flat = make_active_area(facility, number, diagnostic, demo.Subject.FLAT) / demo.LAMP_COUNTS
        quotient = flat / demo.compute_sensitivity(facility, diagnostic)

        assert np.median(quotient) == pytest.approx(1, abs=1e-3)
        assert np.median(np.abs(quotient - 1)) < 0.012

    def test_sensitivity_is_uneven(self) -> None:
        """A camera's corners, dust, amplifiers and columns differ in sensitivity, around a mean of 1."""
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
        """Each camera has its own sensitivity, whatever the shot and the seed."""
        maps = [
            demo.compute_sensitivity(*camera) for camera in (("OMEGA", "ASBO1"), ("OMEGA", "ASBO2"), ("OMEGA", "SOP"))
        ]

        assert not np.allclose(maps[0], maps[1])
        assert not np.allclose(maps[1], maps[2])
        assert np.array_equal(maps[0], demo.compute_sensitivity("OMEGA", "ASBO1"))

    def test_even_camera(self) -> None:
        """The sensitivity of a uniform camera is unknown."""
        with pytest.raises(LookupError):
            demo.compute_sensitivity("OMEGA", "PTD")

    def test_dividing_flattens(self) -> None:
        """Divided by its flat, a VISAR's reference has no step where the second amplifier begins."""
        image = demo.make_image("ASBO1", find_shot("OMEGA", 62328))
        unlit = image["Streak_array"].values[1].astype(float)
        fringes = (image["Reference"].values - unlit)[:1024, :1049]
        flat = make_active_area("OMEGA", 62326, "ASBO1", demo.Subject.FLAT)
        before, after = (compute_amplifier_step(each) for each in (fringes, fringes / flat))

        assert before == pytest.approx(1.06, abs=0.015)
        assert after == pytest.approx(1, abs=0.004)


def compute_amplifier_step(picture: NDArray[Any]) -> float:
    """Return the ratio of the fringes' brightness right and left of column 550."""
    fringes = picture[300:550]
    return float(fringes[:, 550:562].sum() / fringes[:, 538:550].sum())


def make_film_scan(subject: demo.Subject) -> NDArray[Any]:
    return demo.make_image("XRFC_FILM", find_shot("OMEGA", 103741), subject=subject)["pds_image"].values


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
        """The scan of a wedge states the number of steps and their difference."""
        dataset = SD(str(paths["OMEGA", "xrfc_film_s103741_swedge.hdf"])).select("pds_image")

        assert dataset.info()[2:4] == ([120, 960], SDC.INT16)
        assert dataset.attributes() == {"OD_per_count": 1 / 800, "wedge_steps": 21, "wedge_step_OD": 0.15}

    def test_wedge_is_the_curve(self) -> None:
        """Each of the 21 steps has the density that the curve gives for its exposure."""
        density = make_film_scan(demo.Subject.WEDGE) / demo.COUNTS_PER_OD
        wedge = demo.WEDGE
        steps = [np.mean(density[:, wedge.get_step_columns(k)][:, 4:-4]) for k in range(wedge.step_count)]

        assert steps == pytest.approx(demo.compute_film_density(wedge.compute_log_exposure()), abs=2e-3)
        assert wedge.compute_log_exposure() == pytest.approx(np.linspace(0, -3, 21))

    def test_lines_between_steps(self) -> None:
        """Between two steps the film is less dense than on either, and at the ends it has only fog."""
        density = make_film_scan(demo.Subject.WEDGE) / demo.COUNTS_PER_OD
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
        """The exposure of a density inverts the curve, and is NaN for densities without an exposure."""
        exposures = np.linspace(-3, 0, 31)

        assert demo.compute_film_log_exposure(demo.compute_film_density(exposures)) == pytest.approx(exposures)
        assert np.isnan(demo.compute_film_log_exposure(np.array([0.1, demo.FOG, 3.4]))).all()

    def test_sixteen_images(self) -> None:
        """A film has sixteen images of a shell, each smaller than the one before, within the wedge's densities."""
        density = make_film_scan(demo.Subject.SHOT) / demo.COUNTS_PER_OD
        tiles = density[:, :900].reshape(4, 175, 4, 225).swapaxes(1, 2).reshape(16, 175, 225)
        areas = [(tile > 0.6).sum() for tile in tiles]

        assert all(np.diff(areas) < 0)
        assert 3.0 < np.percentile(density, 99.9) < demo.compute_film_density(np.array(0.0))


class TestImagePlate:
    def test_layout(self, paths: dict[tuple[str, str], Path]) -> None:
        """A plate has its PSL as float32, the scan that gave it, and pixels that are not square."""
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
        """The PSL is what Fuji's formula gives for the scan."""
        image = demo.make_image("PCIS", find_shot("OMEGA", 103955))
        raw = image["raw_scan"].values.astype(float)
        psl = (25 / 100) ** 2 * (4000 / 4000) * 10 ** (5 * (raw / 65535 - 0.5))

        assert np.allclose(image["PSL_per_px"].values, psl, rtol=1e-6, atol=0)
        assert 0 < raw.min() < raw.max() < 65535

    def test_scanner_inverts(self) -> None:
        """A raw value's PSL gives that raw value; values outside the scale are clipped."""
        raw = np.arange(65536)

        assert np.array_equal(demo.SCANNER.compute_raw(demo.SCANNER.compute_psl(raw)), raw)
        assert demo.SCANNER.compute_raw(np.array([-1.0, 0.0, 1e6])).tolist() == [0, 0, 65535]

    def test_fading(self) -> None:
        """The plate's content at the shot is the scan, divided by the fading until then."""
        shown = demo.make_image("PCIS", find_shot("OMEGA", 103955))["PSL_per_px"].values
        quotient = shown / demo.compute_fading(2700) / demo.draw_plate_exposure()

        assert demo.compute_fading(0) == pytest.approx(1)
        assert demo.compute_fading(2700) == pytest.approx(0.436 * 0.092457 + 0.403 * 0.972961 + 0.161, abs=1e-5)
        assert quotient.mean() == pytest.approx(1, abs=1e-3)


class TestGrid:
    def test_layout(self, paths: dict[tuple[str, str], Path]) -> None:
        """A grid is one uint16 frame, which states the dots' positions without distortion."""
        dataset = SD(str(paths["OMEGA", "asbo1_grid_s62326.hdf"])).select("Grid")

        assert dataset.info()[2:4] == ([1100, 1100], SDC.UINT16)
        assert dataset.attributes() == {"first_dot_px": [50, 50], "pitch_px": [48, 48]}

    def test_dots_are_where_the_polynomial_says(self) -> None:
        """Each dot is where the distortion puts it, to a tenth of a pixel."""
        image = demo.make_image("ASBO1", find_shot("OMEGA", 62326), subject=demo.Subject.GRID)["Grid"].values
        columns, rows = demo.DISTORTION(*demo.GRID.compute_points())
        found = [compute_centre_of_mass(image, row, column) for row, column in zip(rows, columns, strict=True)]
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


def compute_centre_of_mass(image: NDArray[np.uint16], row: float, column: float) -> tuple[float, float]:
    """Return row and column of a dot near a place, without hot pixels."""
    top, left = round(row) - 9, round(column) - 9
    window = image[top : top + 19, left : left + 19].astype(float)
    weights = np.clip(window - np.median(window) - 500, 0, 9000)
    y, x = np.mgrid[top : top + 19, left : left + 19]
    return float(np.average(y, weights=weights)), float(np.average(x, weights=weights))


def compute_centroids(profile: NDArray[np.floating[Any]]) -> Iterator[float]:
    """Return the centres of the runs above half of the highest peak."""
    above = profile > np.median(profile) + (profile.max() - np.median(profile)) / 2
    edges = np.flatnonzero(np.diff(above.astype(int)))
    edges = edges[1:] if above[0] else edges
    for start, stop in zip(edges[::2] + 1, edges[1::2] + 1, strict=False):
        yield float(np.average(np.arange(start, stop), weights=profile[start:stop]))


def compute_fringe_phase(frame: NDArray[np.uint16], column: int) -> float:
    """Return the phase (radians) of the fringes around a column, near the middle of the picture."""
    lineout = np.median(frame[320:520, column : column + 20].astype(float), axis=1)
    spectrum = np.fft.rfft((lineout - lineout.mean()) * np.hanning(len(lineout)))
    return float(np.angle(spectrum[3 + np.argmax(np.abs(spectrum[3:10]))]))
