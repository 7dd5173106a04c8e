"""Time axes of streaks, compared with known sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from shotdap.server.demo import FIDUCIAL_PERIOD, Sweep
from shotdap.transforms import TRANSFORMS, BadOptions, BadRecipe, add_variables, create_recipe
from shotdap.transforms.streak.time_axis import comb_fit, comb_peaks, comb_residuals, comb_time, nominal_time
from shotdap.transforms.testing import TransformContract

SWEEP = Sweep(window=7.4, column_count=400)
"""7.4 ns with a curvature of 6 %: 13 fiducials, some 30 pixels apart."""

PERIOD = 1000 * FIDUCIAL_PERIOD


def make_streak(
    rng: np.random.Generator, sweep: Sweep = SWEEP, *, rows: slice = slice(30, 56), width: float = 2.5
) -> xr.DataArray:
    """Return a frame of 64 rows, uint16, with noise and a fiducial along some rows."""
    x = np.arange(sweep.column_count)[:, None]
    light = 900 * np.exp(-0.5 * ((x - sweep.get_peak_columns(FIDUCIAL_PERIOD)) / width) ** 2).sum(axis=1)
    counts = rng.normal(600, 8, (64, sweep.column_count))
    counts[rows] += light
    return xr.DataArray(np.rint(counts).astype("u2"), dims=("y", "x"))


def make_peaks(centres: ArrayLike, room: int = 60) -> xr.DataArray:
    """Return centres in the form of `comb_peaks`."""
    values = np.full(room, np.nan)
    values[: np.size(centres)] = centres
    return xr.DataArray(values, dims="peak")


def compute_coefficients(sweep: Sweep) -> NDArray[np.float64]:
    """Return a sweep's ``t = c + b x + a x²`` in ps; the time is 0 at the first fiducial."""
    b = 1000 * sweep.window * (1 - sweep.curvature) / sweep.column_count
    a = 1000 * sweep.window * sweep.curvature / sweep.column_count**2
    return np.array([-PERIOD, b, a])


class TestCombPeaks(TransformContract):
    transform = TRANSFORMS["comb_peaks"]
    variants: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"band": (24, 60), "height": 8}, {"along": "rows"})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (xr.concat([make_streak(rng), make_streak(rng, rows=slice(0, 0))], "frame"),)

    def test_peaks_are_the_fiducials(self) -> None:
        """Each fiducial is found to a fifth of a pixel; the rest is NaN."""
        peaks = comb_peaks(make_streak(np.random.default_rng(1)))
        centres = SWEEP.get_peak_columns(FIDUCIAL_PERIOD)

        np.testing.assert_allclose(peaks[: len(centres)], centres, atol=0.2)
        assert peaks[len(centres) :].isnull().all()

    @pytest.mark.parametrize("dtype", ["<u2", ">u2", "i4", ">f4", "f8"])
    def test_any_type_of_counts(self, dtype: str) -> None:
        """Peaks do not depend on the type of the counts."""
        image = make_streak(np.random.default_rng(1))

        np.testing.assert_array_equal(comb_peaks(image.astype(dtype)), comb_peaks(image))

    def test_time_along_rows(self) -> None:
        """A transposed picture has the same peaks along its rows."""
        image = make_streak(np.random.default_rng(1))
        on_its_side = xr.DataArray(image.values.T, dims=("time", "slit"))

        np.testing.assert_array_equal(
            comb_peaks(on_its_side, along="rows", band=(20, 63)), comb_peaks(image, band=(20, 63))
        )

    def test_no_peaks_without_a_comb(self) -> None:
        """A frame of NaN, a saturated one and one of zeros contain no peak."""
        for value in (np.nan, np.inf, 65_535.0, 0.0):
            assert comb_peaks(xr.DataArray(np.full((64, 400), value), dims=("y", "x"))).isnull().all()

    @pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 3), (3, 12)])
    def test_no_peaks_in_a_small_picture(self, shape: tuple[int, int]) -> None:
        """A picture too small for a comb contains no peak, and the result has a place for every four pixels."""
        counts = np.random.default_rng(1).integers(0, 4096, shape, dtype="u2")
        peaks = comb_peaks(xr.DataArray(counts, dims=("y", "x")))

        assert peaks.shape == (shape[1] // 4,)
        assert peaks.isnull().all()

    def test_a_band_beyond_the_image_is_refused(self) -> None:
        """The message says where the image ends."""
        with pytest.raises(ValueError, match="y ends with 63, and 64 is beyond it"):
            TRANSFORMS["comb_peaks"].apply(make_streak(np.random.default_rng(1)), band=(30, 64))


class TestCombFit(TransformContract):
    transform = TRANSFORMS["comb_fit"]
    variants = ({}, {"order": 4}, {"frequency": 2.0}, {"origin": 10.0, "start": -250.0})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        centres = SWEEP.get_peak_columns(FIDUCIAL_PERIOD)
        return (xr.concat([make_peaks(centres + rng.normal(0, 0.1, len(centres))), make_peaks([])], "frame"),)

    def test_the_sweep_is_found(self) -> None:
        """Exact peaks give the sweep's own coefficients, no residual, and the number of all peaks."""
        fit = comb_fit(make_peaks(SWEEP.get_peak_columns(FIDUCIAL_PERIOD))).values

        np.testing.assert_allclose(fit[:3], compute_coefficients(SWEEP), rtol=1e-9)
        assert fit[3] < 1e-8
        assert fit[4] == len(SWEEP.get_peak_columns(FIDUCIAL_PERIOD))

    def test_least_squares(self) -> None:
        """Coefficients and residual equal NumPy's solution of the least-squares problem."""
        rng = np.random.default_rng(3)
        x = SWEEP.get_peak_columns(FIDUCIAL_PERIOD) + rng.normal(0, 0.1, len(SWEEP.get_peak_columns(FIDUCIAL_PERIOD)))
        terms = np.vander(x / 400, 3, increasing=True)
        times = PERIOD * np.arange(len(x))
        solution = np.linalg.lstsq(terms, times, rcond=None)[0]
        fit = comb_fit(make_peaks(x), origin=0, start=solution[0]).values

        np.testing.assert_allclose(fit[:3], solution / 400.0 ** np.arange(3), rtol=1e-9)
        assert fit[3] == pytest.approx(np.sqrt(np.mean((times - terms @ solution) ** 2)))

    def test_frequency_equals_period(self) -> None:
        """2 GHz equal 500 ps, and time is proportional to the period."""
        peaks = make_peaks(SWEEP.get_peak_columns(FIDUCIAL_PERIOD))

        np.testing.assert_array_equal(comb_fit(peaks, frequency=2), comb_fit(peaks, period=500))
        np.testing.assert_allclose(comb_fit(peaks, period=500)[:3], comb_fit(peaks)[:3] * 500 / PERIOD, rtol=1e-12)

    def test_origin_and_start(self) -> None:
        """The time at the origin is the start, and nothing else changes."""
        peaks = make_peaks(SWEEP.get_peak_columns(FIDUCIAL_PERIOD))
        fit, moved = comb_fit(peaks), comb_fit(peaks, origin=123.5, start=450)

        assert comb_time(xr.DataArray([123.5], dims="x"), moved).item() == pytest.approx(450, abs=1e-9)
        np.testing.assert_array_equal(moved[1:], fit[1:])

    @settings(deadline=None)
    @given(missing=st.sets(st.integers(1, 11), max_size=3))
    def test_missing_peaks_change_nothing(self, missing: set[int]) -> None:
        """A comb without some of its peaks gives the same axis."""
        left = np.delete(SWEEP.get_peak_columns(FIDUCIAL_PERIOD), list(missing))
        fit = comb_fit(make_peaks(left)).values

        np.testing.assert_allclose(fit[:3], compute_coefficients(SWEEP), rtol=1e-8)
        assert fit[4] == len(left)

    @settings(deadline=None)
    @given(which=st.integers(1, 11), by=st.floats(3, 9))
    def test_an_outlier_is_rejected(self, which: int, by: float) -> None:
        """A peak that is off by a tenth to a third of the spacing is left out of the fit."""
        centres = SWEEP.get_peak_columns(FIDUCIAL_PERIOD)
        centres[which] += by
        fit = comb_fit(make_peaks(centres)).values

        np.testing.assert_allclose(fit[:3], compute_coefficients(SWEEP), rtol=1e-8)
        assert fit[4] == len(centres) - 1

    @pytest.mark.parametrize("order", range(1, 10))
    def test_too_few_peaks_make_no_axis(self, order: int) -> None:
        """With fewer than order + 2 peaks, all is NaN; without values, too, and the number of peaks is zero."""
        for count in (0, order + 1):
            fit = comb_fit(make_peaks(30.0 * np.arange(count)), order=order).values

            assert fit[order + 2] == 0
            assert np.isnan(np.delete(fit, order + 2)).all()

    def test_random_peaks_make_no_axis(self) -> None:
        """Peaks at random places are not fitted."""
        rng = np.random.default_rng(5)
        fits = [comb_fit(make_peaks(np.sort(rng.uniform(0, 400, 12)))) for _ in range(20)]

        assert sum(int(fit[4]) for fit in fits) == 0

    def test_a_number_is_no_comb(self) -> None:
        """A single number is refused, with what would be valid."""
        with pytest.raises(ValueError, match="it needs the peaks of a comb, as comb_peaks gives them"):
            TRANSFORMS["comb_fit"].apply(xr.DataArray(3.0))

    def test_options_out_of_range_are_refused(self) -> None:
        """The message names the option and its range."""
        with pytest.raises(BadOptions, match=r"order: .*less than or equal to 9"):
            TRANSFORMS["comb_fit"].validate_options({"order": 10})
        with pytest.raises(BadOptions, match=r"period: .*greater than 0"):
            TRANSFORMS["comb_fit"].validate_options({"period": 0})


class TestCombResiduals(TransformContract):
    transform = TRANSFORMS["comb_residuals"]
    variants = ({}, {"order": 3}, {"frequency": 2.0})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return TestCombFit().inputs(rng)

    def test_residuals(self) -> None:
        """Residuals are the peaks' times minus the fitted ones, and their RMS is the fit's residual."""
        rng = np.random.default_rng(6)
        peaks = make_peaks(
            SWEEP.get_peak_columns(FIDUCIAL_PERIOD) + rng.normal(0, 0.1, len(SWEEP.get_peak_columns(FIDUCIAL_PERIOD)))
        )
        fit = comb_fit(peaks)
        fitted = comb_time(peaks.rename(peak="x"), fit).values[: len(SWEEP.get_peak_columns(FIDUCIAL_PERIOD))]
        residuals = comb_residuals(peaks).dropna("peak").values

        np.testing.assert_allclose(np.diff(residuals), PERIOD - np.diff(fitted), atol=1e-7)
        assert np.sqrt(np.mean(residuals**2)) == pytest.approx(fit[3].item())

    def test_rejected_peaks_have_no_residual(self) -> None:
        """The residual of an outlier is NaN; the others keep their places."""
        centres = SWEEP.get_peak_columns(FIDUCIAL_PERIOD)
        centres[4] += 6
        residuals = comb_residuals(make_peaks(centres)).values[: len(centres)]

        assert np.flatnonzero(np.isnan(residuals)).tolist() == [4]


class TestCombTime(TransformContract):
    transform = TRANSFORMS["comb_time"]
    variants = ({}, {"beyond": 0}, {"beyond": 7.5})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        terms = np.vstack([[*compute_coefficients(SWEEP), 0.0, 13.0, 10.2, 30.7], [*rng.normal(0, 1, 5), 20.0, 25.0]])
        return xr.DataArray(np.arange(50), dims="x"), xr.DataArray(terms, dims=("frame", "term"))

    def test_the_formula(self) -> None:
        """The time is T = c + b x + a x², computed by hand."""
        fit = xr.DataArray([-5.0, 2.0, 0.5, 0.1, 8.0, 2.0, 9.0], dims="term")

        assert comb_time(xr.DataArray([0, 1, 10], dims="x"), fit).values.tolist() == [-5, -2.5, 65]

    def test_no_time_beyond(self) -> None:
        """Farther than some pixels from the peaks, the axis is missing."""
        fit = xr.DataArray([0.0, 1.0, 0.0, 0.1, 8.0, 2.5, 5.0], dims="term")
        times = comb_time(xr.DataArray(np.arange(9), dims="x"), fit, beyond=1)

        np.testing.assert_array_equal(times, [np.nan, np.nan, 2, 3, 4, 5, 6, np.nan, np.nan])

    def test_no_fit_no_time(self) -> None:
        """Without a fit, the axis is missing."""
        fit = comb_fit(make_peaks([]))

        assert comb_time(xr.DataArray([0, 1, 10], dims="x"), fit).isnull().all()

    def test_an_image_is_no_fit(self) -> None:
        """Inputs other than pixels and a fit are refused, with what would be valid."""
        image = make_streak(np.random.default_rng(1))
        dataset = xr.Dataset({"image": image, "x": ("x", np.arange(400))})
        with pytest.raises(BadRecipe, match="the terms that comb_fit gives"):
            add_variables(dataset, [create_recipe("time", "comb_time", ["x", "image"])])


class TestNominalTime(TransformContract):
    transform = TRANSFORMS["nominal_time"]
    variants = ({"speed": 2}, {"speed": 1, "windows_ns": (20.0, 10.0), "pixels": 100, "origin": 7.5})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (xr.DataArray(np.sort(rng.integers(0, 1100, 40)), dims="x"),)

    def test_the_nominal_windows(self) -> None:
        """The SOP's four sweeps take 96, 46, 17 and 6 ns across the active area."""
        ends = xr.DataArray([0, 1049], dims="x")

        assert [nominal_time(ends, speed=speed)[1].item() for speed in (1, 2, 3, 4)] == pytest.approx([96, 46, 17, 6])

    def test_unknown_speed_is_refused(self) -> None:
        """The message says how many speeds there are."""
        with pytest.raises(ValueError, match="there are 4 sweeps in windows_ns, and speed is 5"):
            TRANSFORMS["nominal_time"].apply(xr.DataArray([0, 1], dims="x"), speed=5)


@pytest.mark.parametrize(
    "sweep", [Sweep(7.4, 524), Sweep(17, 1049), Sweep(46, 1049), Sweep(6, 1049), Sweep(7.4, 524, -0.1)]
)
def test_the_axis_is_the_sweep(sweep: Sweep) -> None:
    """A noisy picture gives a time axis that is right to a third of a pixel, over the whole sweep."""
    image = make_streak(np.random.default_rng(7), sweep)
    dataset = xr.Dataset({"image": image, "x": ("x", np.arange(sweep.column_count))})
    recipes = [
        create_recipe("peaks", "comb_peaks", ["image"]),
        create_recipe("fit", "comb_fit", ["peaks"]),
        create_recipe("time", "comb_time", ["x", "fit"], coordinate=True),
    ]
    made = add_variables(dataset, recipes)
    truth = 1000 * sweep.get_time(np.arange(sweep.column_count, dtype=float)) - PERIOD
    pixel = 1000 * sweep.window / sweep.column_count

    assert made.image.coords["time"].attrs["units"] == "ps"
    np.testing.assert_allclose(made.time, truth, atol=pixel / 3)
    assert made.fit[3] < pixel / 3
