"""Flat fields, measured or derived from the image itself, are divided out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from tests.strategies import QUICK

from shotdap.transforms import TRANSFORMS, BadOptions
from shotdap.transforms.testing import TransformContract

FLAT = TRANSFORMS["flat_field"]
PSEUDO = TRANSFORMS["pseudo_flat_field"]
DIMS = ("frame", "row", "column")


def make_image(values: Any) -> xr.DataArray:  # noqa: ANN401 — whatever NumPy takes
    """Return an image, or a stack of them."""
    array = np.asarray(values)
    return xr.DataArray(array, dims=DIMS[-array.ndim :], attrs={"units": "count"})


def make_light(*shape: int) -> NDArray[np.float64]:
    """Return uneven light: a broad hump that falls to half at the corners."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    return np.asarray(1000 * np.exp2(-(rows**2 + columns**2) / 2))


class TestFlatField(TransformContract):
    transform = FLAT
    variants = ({}, {"floor": 0.5})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return make_image(rng.integers(0, 2**16, (2, 23, 31), "u2")), make_image(
            rng.poisson(300, (23, 31)).astype(">u2")
        )

    def test_formula(self) -> None:
        """An image of 10 with a flat of 1, 2, 3 gives 10 mean(flat) / flat: 20, 10, 6.67; its units stay."""
        made = FLAT.apply(make_image(np.full((1, 3), 10, "u2")), make_image(np.array([[1, 2, 3]], "u2")))

        np.testing.assert_allclose(made, [[20, 10, 20 / 3]], rtol=1e-6)
        assert made.attrs["units"] == "count"

    @QUICK
    @given(seed=st.integers(0, 1000), level=st.floats(0.01, 1e6))
    def test_recovers_even_light(self, seed: int, level: float) -> None:
        """An image that is a multiple of its flat becomes even: the flat's mean times that multiple."""
        flat = np.random.default_rng(seed).uniform(0.5, 1.5, (6, 7)).astype("f4")
        made = FLAT.apply(make_image(flat * np.float32(level)), make_image(flat))

        np.testing.assert_allclose(made, level * flat.mean(dtype="f8"), rtol=1e-5)

    def test_each_frame_has_its_flat(self) -> None:
        """Flats with frames divide frame by frame, each by its own mean."""
        image, flat = np.full((2, 1, 2), 6.0), np.array([[[1, 3.0]], [[10, 30.0]]])

        np.testing.assert_allclose(FLAT.apply(make_image(image), make_image(flat)), [[[12, 4]], [[12, 4]]])

    def test_nothing_to_divide_by(self) -> None:
        """If the flat is below the floor, zero, negative or missing, the result is NaN; elsewhere it is not."""
        flat = make_image([[10, 10, 10, 0.4, 0, -3, np.nan, 10]])
        made = FLAT.apply(make_image(np.ones((1, 8))), flat, floor=0.1)

        assert np.isnan(made.values[0]).tolist() == [False, False, False, True, True, True, True, False]

    @pytest.mark.parametrize("level", [0, -5, np.nan])
    def test_flat_without_light(self, level: float) -> None:
        """A flat whose mean is zero, negative or missing gives NaN everywhere, and no infinity."""
        assert np.isnan(FLAT.apply(make_image(np.ones((3, 4))), make_image(np.full((3, 4), level)))).all()

    def test_missing_in_image(self) -> None:
        """NaN in the image is NaN in the result, and nowhere else."""
        image = np.ones((3, 4))
        image[1, 2] = np.nan

        assert np.argwhere(np.isnan(FLAT.apply(make_image(image), make_image(make_light(3, 4))).values)).tolist() == [
            [1, 2]
        ]

    @pytest.mark.parametrize("floor", [0, 1, -0.1, np.nan])
    def test_bad_floor(self, floor: float) -> None:
        """The floor is between 0 and 1, both excluded, so that nothing is divided by zero."""
        with pytest.raises(BadOptions, match="floor"):
            FLAT.validate_options({"floor": floor})

    def test_sizes_differ(self) -> None:
        """A flat of another size is refused with a sentence."""
        with pytest.raises(ValueError, match="differ along column: 3 and 4"):
            FLAT.apply(make_image(np.ones((2, 3))), make_image(np.ones((2, 4))))


class TestPseudoFlatField(TransformContract):
    transform = PSEUDO
    variants = ({"median": 5, "sigma": 3}, {"median": 31, "sigma": 10}, {"median": 3, "sigma": 0, "floor": 0.5})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_image(rng.poisson(make_light(23, 31), (2, 23, 31)).astype("u2")),)

    def test_every_median(self) -> None:
        """Below a size of 24 it equals SciPy's median and Gaussian, and nothing is interpolated."""
        image = np.random.default_rng(0).poisson(make_light(60, 50)).astype("f4")
        flat = ndimage.gaussian_filter(ndimage.median_filter(image, 23), 10)

        np.testing.assert_allclose(
            PSEUDO.apply(make_image(image), median=23, sigma=10), image * flat.mean() / flat, rtol=1e-4
        )

    @pytest.mark.parametrize(
        ("median", "sigma", "size"), [(25, 10, 200), (41, 40, 200), (41, 0, 200), (51, 10, 160), (101, 100, 110)]
    )
    def test_error_of_the_lattice(self, median: int, sigma: float, size: int) -> None:
        """Medians at every n-th pixel change the result of a noisy, speckled image by less than 1 %."""
        rng = np.random.default_rng(1)
        image = rng.poisson(make_light(size + 3, size - 13)).astype("f4")
        image[rng.random(image.shape) < 0.01] = 65535
        flat = ndimage.gaussian_filter(ndimage.median_filter(image, median), sigma)

        np.testing.assert_allclose(
            PSEUDO.apply(make_image(image), median=median, sigma=sigma), image * flat.mean() / flat, rtol=0.01
        )

    def test_divides_light_out_and_leaves_structure(self) -> None:
        """Light that falls to half becomes even within 10 %, and a fine grid of 20 % stays."""
        grid = 1 + 0.2 * np.sign(np.sin(np.arange(300) * 2))
        made = PSEUDO.apply(make_image(make_light(300, 300) * grid), median=31, sigma=10)[40:-40, 40:-40]
        even = made / grid[40:-40]

        assert float(even.max() / even.min()) < 1.1
        assert float(made.std() / made.mean()) > 0.15

    def test_constant(self) -> None:
        """A constant image stays unchanged."""
        np.testing.assert_allclose(PSEUDO.apply(make_image(np.full((50, 40), 700, "u2"))), 700, rtol=1e-5)

    def test_missing(self) -> None:
        """NaN stays NaN, and is no part of the flat: a constant around it stays constant."""
        image = np.full((60, 60), 5.0)
        image[:40] = np.nan
        made = PSEUDO.apply(make_image(image), median=21, sigma=2).values

        assert np.isnan(made[:40]).all()
        np.testing.assert_allclose(made[40:], 5, rtol=1e-5)

    @pytest.mark.parametrize("level", [0, np.nan])
    def test_no_light(self, level: float) -> None:
        """An image of zeros, or of NaN, gives NaN everywhere."""
        assert np.isnan(PSEUDO.apply(make_image(np.full((9, 9), level, "f4")), median=5, sigma=2)).all()

    @pytest.mark.parametrize("options", [{"median": 1}, {"median": 303}, {"sigma": 201}, {"sigma": -1}])
    def test_bad_options(self, options: dict[str, Any]) -> None:
        """Sizes are odd and bounded, and so is the Gaussian."""
        with pytest.raises(BadOptions, match=next(iter(options))):
            PSEUDO.validate_options(options)

    def test_even_size(self) -> None:
        """The message for an even size says why it must be odd."""
        with pytest.raises(BadOptions, match="100 is even"):
            PSEUDO.validate_options({"median": 100})
