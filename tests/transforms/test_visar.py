"""Phases of fringes, compared with fringes of a known phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.signal import firwin, hilbert

from shotdap.transforms import TRANSFORMS, BadOptions
from shotdap.transforms.testing import TransformContract
from shotdap.transforms.visar import fringe_contrast, visar_phase, visar_phase_shift

ROWS, COLUMNS = 200, 120
CARRIER = 8 / ROWS  # cycles per pixel: 25 pixels per fringe, and exactly eight in the picture

Phase = NDArray[np.float64]


def make_fringes(shift: Phase, *, mean: float = 1000, contrast: float = 0.8) -> xr.DataArray:
    """Return a picture of fringes across its rows, shifted by a phase for each column or pixel."""
    carrier = 2 * np.pi * CARRIER * np.arange(ROWS)[:, None]
    return xr.DataArray(mean * (1 + contrast * np.cos(carrier + shift)) * np.ones(COLUMNS), dims=("y", "x"))


def make_shock() -> Phase:
    """Return a phase for each column: constant, then a quick rise of three turns, then a slow fall."""
    x = np.arange(COLUMNS)
    return np.asarray(6 * np.pi / (1 + np.exp((50 - x) / 5)) * np.exp(-np.maximum(x - 50, 0) / 200))


def add_noise(image: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Return counts, uint16, with noise."""
    return (image + rng.normal(600, 30, image.shape)).round().astype("u2")


class TestVisarPhase(TransformContract):
    transform = TRANSFORMS["visar_phase"]
    variants: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"low": 0.02, "high": 0.07},
        {"along": "rows"},
        {"origin": 30},
    )

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (
            xr.concat(
                [add_noise(make_fringes(make_shock()), rng), add_noise(make_fringes(-make_shock()), rng)], "frame"
            ),
        )

    def test_the_phase_is_the_fringes_own(self) -> None:
        """The phase is that of carrier and shift, from row to row except for whole turns, to a millionth of a turn."""
        phase = visar_phase(make_fringes(make_shock()))
        truth = 2 * np.pi * CARRIER * np.arange(ROWS)[:, None] + make_shock()
        turns = (phase - truth) / (2 * np.pi)

        np.testing.assert_allclose(turns, np.rint(turns[:, :1]) * np.ones(COLUMNS), atol=1e-6)

    def test_against_a_filter_in_space(self) -> None:
        """Away from the edges it equals the phase of an FIR-filtered picture's analytic signal, to 0.1 radian."""
        rng = np.random.default_rng(1)
        image = add_noise(make_fringes(make_shock()), rng).astype(float)
        taps = firwin(101, [0.015, 0.06], pass_zero=False, fs=1)
        filtered = convolve1d(image.values - image.values.mean(axis=0), np.asarray(taps), axis=0)
        expected = np.unwrap(np.angle(np.asarray(hilbert(filtered, axis=0))), axis=1)
        middle = slice(70, 130)

        np.testing.assert_allclose(visar_phase(image)[middle], expected[middle], atol=0.1)

    def test_the_origin_is_within_half_a_turn(self) -> None:
        """At the origin the phase is between -π and π, and its change in time is the same for every origin."""
        image = make_fringes(make_shock())
        first, later = visar_phase(image), visar_phase(image, origin=100)

        assert (abs(later[:, 100]) <= np.float32(np.pi)).all()
        np.testing.assert_allclose(later.diff("x"), first.diff("x"), atol=1e-4)

    def test_nan_spoils_its_instant_only(self) -> None:
        """A column with a NaN is NaN, and the phase is tracked across it."""
        image = make_fringes(make_shock())
        spoilt = image.copy()
        spoilt[17, 40] = np.nan
        phase = visar_phase(spoilt)

        assert phase[:, 40].isnull().all()
        np.testing.assert_array_equal(phase.drop_isel(x=40), visar_phase(image).drop_isel(x=40))

    def test_all_nan(self) -> None:
        """A picture of NaN has no phase anywhere."""
        assert visar_phase(make_fringes(make_shock()) * np.nan).isnull().all()

    def test_an_origin_beyond_the_image_is_refused(self) -> None:
        """The message says where time ends."""
        with pytest.raises(ValueError, match="x ends with 119, and the origin 120 is beyond it"):
            TRANSFORMS["visar_phase"].apply(make_fringes(make_shock()), origin=120)

    def test_a_band_the_wrong_way_round_is_refused(self) -> None:
        """The message says which end is which; a frequency that pixels cannot resolve is out of range."""
        with pytest.raises(ValueError, match=r"low must be less than high; they are 0\.1 and 0\.05 cycles per pixel"):
            TRANSFORMS["visar_phase"].apply(make_fringes(make_shock()), low=0.1, high=0.05)
        with pytest.raises(BadOptions, match=r"high: .*less than 0\.5"):
            TRANSFORMS["visar_phase"].validate_options({"high": 0.5})


class TestVisarPhaseShift(TransformContract):
    transform = TRANSFORMS["visar_phase_shift"]
    variants: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"low": 0.02, "high": 0.07},
        {"rotated": True},
        {"along": "rows", "origin": 3},
    )

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        shot = xr.concat(
            [add_noise(make_fringes(make_shock()), rng), add_noise(make_fringes(-make_shock()), rng)], "frame"
        )
        return shot, add_noise(make_fringes(np.zeros(COLUMNS)), rng)

    def test_the_shift_is_the_shock(self) -> None:
        """Whatever bends the fringes of both, the shift is the phase of the shot alone, to a thousandth of a turn."""
        bent = 0.5 * np.sin(np.arange(COLUMNS) / 20) + 3
        shift = visar_phase_shift(make_fringes(make_shock() + bent), make_fringes(bent, mean=300))

        np.testing.assert_allclose(shift, np.broadcast_to(make_shock(), shift.shape), atol=2e-3 * np.pi)

    def test_noise(self) -> None:
        """With a noise of a twenty-fifth of the amplitude, every shift is right to a twentieth of a turn."""
        rng = np.random.default_rng(2)
        shot, reference = (add_noise(make_fringes(phase), rng) for phase in (make_shock(), np.zeros(COLUMNS)))
        shift = visar_phase_shift(shot, reference)

        np.testing.assert_allclose(shift, np.broadcast_to(make_shock(), shift.shape), atol=0.1 * np.pi)

    def test_fringes_that_move_up_have_a_growing_phase(self) -> None:
        """A picture that moves by six pixels towards the first row has a shift of 6/25 of a turn."""
        reference = make_fringes(np.zeros(COLUMNS))
        moved = reference.roll(y=-6)

        np.testing.assert_allclose(visar_phase_shift(moved, reference), 2 * np.pi * 6 / 25, rtol=1e-5)

    def test_a_rotated_reference(self) -> None:
        """A reference that was read out in the other direction gives the same shift, with the option for that."""
        shot, reference = make_fringes(make_shock()), make_fringes(0.3 * np.sin(np.arange(COLUMNS) / 9))
        turned = xr.DataArray(np.rot90(reference, 2), dims=("y", "x"))

        np.testing.assert_array_equal(visar_phase_shift(shot, turned, rotated=True), visar_phase_shift(shot, reference))

    def test_time_along_rows(self) -> None:
        """A transposed picture has the same shift, transposed."""
        shot, reference = make_fringes(make_shock()), make_fringes(np.zeros(COLUMNS))
        on_its_side = visar_phase_shift(shot.T, reference.T, along="rows")

        np.testing.assert_array_equal(on_its_side.T, visar_phase_shift(shot, reference))

    def test_saturated_fringes(self) -> None:
        """Fringes whose upper third is clipped have the same shift to a fiftieth of a turn."""
        shot, reference = make_fringes(make_shock()), make_fringes(np.zeros(COLUMNS))
        shift = visar_phase_shift(shot.clip(max=1400), reference.clip(max=1400))

        np.testing.assert_allclose(shift, np.broadcast_to(make_shock(), shift.shape), atol=0.04 * np.pi)


class TestFringeContrast(TransformContract):
    transform = TRANSFORMS["fringe_contrast"]
    variants: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"low": 0.02, "high": 0.07}, {"along": "rows"})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (add_noise(make_fringes(make_shock()), rng),)

    @pytest.mark.parametrize("contrast", [0.0, 0.3, 1.0])
    def test_the_contrast_is_the_fringes_own(self, contrast: float) -> None:
        """The contrast is amplitude over mean, whatever the mean."""
        image = make_fringes(make_shock(), mean=4321, contrast=contrast)

        np.testing.assert_allclose(fringe_contrast(image), contrast, atol=1e-6)

    def test_no_light_no_contrast(self) -> None:
        """If the mean is not above zero, or values are missing, the contrast is NaN."""
        image = make_fringes(make_shock())
        image[:, 7] = 0
        image[3, 9] = np.nan
        contrast = fringe_contrast(image)

        assert contrast[:, [7, 9]].isnull().all()
        assert contrast.drop_isel(x=[7, 9]).notnull().all()
