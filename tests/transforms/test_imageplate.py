"""Image plates, compared with the published formula and a plate that is scanned by code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shotdap.server.demo import SCANNER, SHOTS, compute_fading, draw_plate_exposure, make_image
from shotdap.transforms import TRANSFORMS, BadOptions, FromAttribute, add_variables, create_recipe
from shotdap.transforms.testing import TransformContract


def apply(transform: str, values: Any, **options: Any) -> NDArray[Any]:  # noqa: ANN401 — each one's own
    image = xr.DataArray(np.asarray(values), dims=("frame", "y", "x")[-np.ndim(values) :])
    return np.asarray(TRANSFORMS[transform].apply(image, **options).values)


class TestPhotostimulatedLuminescence(TransformContract):
    transform = TRANSFORMS["photostimulated_luminescence"]
    variants = ({}, {"resolution": 50, "sensitivity": 1000, "latitude": 4}, {"bits": 8})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        raw = rng.integers(0, 2**16, (23, 31)).astype(">u2")
        raw[:3, :3] = [[0, 1, 65535], [254, 255, 256], [65534, 65535, 0]]
        return (xr.DataArray(raw, dims=("row", "column")),)

    @pytest.mark.parametrize(
        ("raw", "options", "expected"),
        [
            # 65535/2 is half the scale, where the exponent is 0: (R/100)² × 4000/S alone.
            (32767.5, {}, 0.0625),
            (32767.5, {"resolution": 100}, 1),
            (32767.5, {"resolution": 50, "sensitivity": 1000}, 1),
            (127.5, {"bits": 8, "resolution": 100}, 1),
            # Ten thousand steps more are 5 (or 4) × 10000/65535 decades: 10^0.762951 and 10^0.610361.
            (42767.5, {"resolution": 100}, 5.7936),
            (42767.5, {"resolution": 100, "latitude": 4}, 4.0772),
            # A step from either end of 10^-2.5 to 10^2.5, 5/65535 decades or 0.0176 %.
            (1, {"resolution": 100}, 0.0031628),
            (65534, {"resolution": 100}, 316.17),
        ],
    )
    def test_by_hand(self, raw: float, options: dict[str, float], expected: float) -> None:
        """The results equal the formula, computed by hand."""
        assert apply("photostimulated_luminescence", [raw], **options)[0] == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(("bits", "highest"), [(8, 255), (12, 4095), (16, 65535)])
    def test_ends_of_the_scale(self, bits: int, highest: int) -> None:
        """The lowest value is no light; the highest, and values that no scanner writes, are NaN."""
        found = apply("photostimulated_luminescence", [0, 1, highest - 1, highest, highest + 1, -1, np.nan], bits=bits)

        assert found[0] == 0
        assert (np.diff(found[:3]) > 0).all()
        assert np.isnan(found[3:]).all()

    def test_scanner_read_back(self) -> None:
        """A scan by the synthetic archive's scanner gives the plate's luminescence, to half a step."""
        plate = draw_plate_exposure()
        found = apply("photostimulated_luminescence", SCANNER.compute_raw(plate), resolution=SCANNER.resolution)

        np.testing.assert_allclose(found, plate, rtol=5 * np.log(10) / 65535)

    def test_as_the_file_says(self) -> None:
        """With the scanner's settings from the file's attributes, raw values become the PSL in the file."""
        plate = make_image("PCIS", SHOTS[0])
        raw, said = plate["raw_scan"], {**plate["raw_scan"].attributes, **plate.attributes}
        options = {name: FromAttribute(name) for name in ("resolution", "sensitivity", "latitude", "bits")}
        recipe = create_recipe("luminescence", "photostimulated_luminescence", ["raw"], options).bind(said)
        found = add_variables(xr.Dataset({"raw": (("y", "x"), raw.values)}), [recipe]).luminescence

        np.testing.assert_allclose(found.values, plate["PSL_per_px"].values, rtol=1e-6)

    @pytest.mark.parametrize("options", [{"bits": 32}, {"resolution": 0}, {"sensitivity": float("nan")}])
    def test_bad_options(self, options: dict[str, float]) -> None:
        """Settings that no scanner has are refused by name."""
        with pytest.raises(BadOptions, match=f"{next(iter(options))}: Input should be"):
            apply("photostimulated_luminescence", [1], **options)


class TestFadingCorrected(TransformContract):
    transform = TRANSFORMS["fading_corrected"]
    variants = ({"delay": 0}, {"delay": 1800.5})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (xr.DataArray(rng.gamma(2, 3, (23, 31)).astype("f4"), dims=("y", "x")),)

    @given(st.floats(0, 1e6))
    def test_restores_faded_values(self, delay: float) -> None:
        """A plate that faded for any time gives the original values."""
        plate = np.array([0.03, 6, np.nan])

        np.testing.assert_allclose(
            apply("fading_corrected", plate * compute_fading(delay), delay=delay), plate, rtol=1e-6
        )

    def test_late_scan(self) -> None:
        """The plate of the synthetic archive, scanned late, gives its exposure, to its noise."""
        plate = make_image("PCIS", SHOTS[0])
        found = apply("fading_corrected", plate["PSL_per_px"].values, delay=float(plate.attributes["scanDelaySeconds"]))
        exposed = draw_plate_exposure()

        assert np.mean(found[exposed > 5]) == pytest.approx(np.mean(exposed[exposed > 5]), rel=1e-3)

    @pytest.mark.parametrize(("delay", "left"), [(0, 1), (1134, 0.71977), (98_500, 0.30925), (1e9, 0.161)])
    def test_by_hand(self, delay: float, left: float) -> None:
        """At once nothing is lost; after either time constant its part falls to 1/e; in the end 0.161 is left."""
        assert apply("fading_corrected", [left], delay=delay)[0] == pytest.approx(1, rel=1e-4)

    def test_delay_is_required(self) -> None:
        """Without a delay, or with one before the exposure, nothing is corrected."""
        with pytest.raises(BadOptions, match="delay: Field required"):
            apply("fading_corrected", [1.0])
        with pytest.raises(BadOptions, match="delay: Input should be greater than or equal to 0"):
            apply("fading_corrected", [1.0], delay=-1)
