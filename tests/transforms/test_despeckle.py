"""Speckles are removed, and other structures stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage, stats
from tests.strategies import QUICK

from shotdap.transforms import TRANSFORMS, BadOptions, Transform
from shotdap.transforms.neighbours import MAD_TO_SIGMA
from shotdap.transforms.testing import TransformContract

MEDIAN = TRANSFORMS["median_filter"]
MORPHOLOGY = TRANSFORMS["morphological_filter"]
CLIP = TRANSFORMS["sigma_clip"]
DIMS = ("frame", "row", "column")

IMAGES = hnp.arrays("f4", hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-1e3, 1e3, width=32))
HOLED = hnp.arrays(
    "f4",
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.one_of(st.just(np.nan), st.floats(-1e3, 1e3, width=32)),
)


def make_image(values: Any) -> xr.DataArray:  # noqa: ANN401 — whatever NumPy takes
    """Return an image, or a stack of them."""
    array = np.asarray(values)
    return xr.DataArray(array, dims=DIMS[-array.ndim :])


def make_speckles(rng: np.random.Generator) -> xr.DataArray:
    """Return two frames of a noisy background with hot pixels and holes."""
    frames = rng.normal(400, 3, (2, 23, 31)).round()
    frames[rng.random(frames.shape) < 0.05] = 65535
    frames[0, 5:12, 9:14] = np.nan
    return make_image(frames.astype("f4"))


def compute_nanmedian(values: NDArray[np.float64]) -> float:
    return float(np.median(values[~np.isnan(values)])) if not np.isnan(values).all() else np.nan


class TestMedianFilter(TransformContract):
    transform = MEDIAN
    variants = ({}, {"size": 5}, {"size": 31})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_speckles(rng),)

    @QUICK
    @given(image=IMAGES, size=st.sampled_from([3, 5, 9]))
    def test_is_scipys(self, image: NDArray[np.float32], size: int) -> None:
        """Without missing values it equals SciPy's median filter, to the bit, also at the edges."""
        np.testing.assert_array_equal(MEDIAN.apply(make_image(image), size=size), ndimage.median_filter(image, size))

    @QUICK
    @given(image=HOLED, size=st.sampled_from([3, 5]))
    def test_missing_is_passed_over(self, image: NDArray[np.float32], size: int) -> None:
        """With NaN it is the median of the neighbours with values, and NaN without any."""
        expected = ndimage.generic_filter(image.astype("f8"), compute_nanmedian, size)

        np.testing.assert_allclose(MEDIAN.apply(make_image(image), size=size), expected, rtol=1e-5)

    def test_whole_frames(self) -> None:
        """Each frame is filtered separately, whatever its type."""
        stack = np.random.default_rng(0).integers(0, 2**16, (3, 12, 14), dtype="u2")
        expected = np.stack([ndimage.median_filter(frame, 3) for frame in stack])

        assert np.array_equal(MEDIAN.apply(make_image(stack.astype(">u2"))), expected)

    def test_big_image_in_parts(self) -> None:
        """An image that is filtered in several parts equals SciPy's result."""
        image = np.random.default_rng(0).normal(size=(200, 300)).astype("f4")

        assert np.array_equal(MEDIAN.apply(make_image(image), size=15), ndimage.median_filter(image, 15))

    def test_all_missing(self) -> None:
        """An image of NaN stays one, without warnings."""
        assert np.isnan(MEDIAN.apply(make_image(np.full((4, 4), np.nan)))).all()


class TestMorphologicalFilter(TransformContract):
    transform = MORPHOLOGY
    variants = ({}, {"operation": "closing"}, {"size": 5, "operation": "both"})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_speckles(rng),)

    @QUICK
    @given(image=IMAGES, size=st.sampled_from([3, 5]))
    def test_is_scipys(self, image: NDArray[np.float32], size: int) -> None:
        """Without missing values it equals SciPy's grey opening, grey closing, or one after the other."""
        opened = ndimage.grey_opening(image, (size, size))
        expected = {
            "opening": opened,
            "closing": ndimage.grey_closing(image, (size, size)),
            "both": ndimage.grey_closing(opened, (size, size)),
        }

        for operation, values in expected.items():
            assert np.array_equal(MORPHOLOGY.apply(make_image(image), size=size, operation=operation), values)

    def test_spots(self) -> None:
        """An opening removes bright spots, a closing dark ones, both remove both; a broad step stays to the pixel."""
        clean = np.repeat([[100, 900]], 8, axis=1).repeat(12, axis=0)
        image = clean.copy()
        image[3, 3], image[8, 12] = 65535, 0
        left = {name: MORPHOLOGY.apply(make_image(image), operation=name) for name in ("opening", "closing", "both")}

        assert np.argwhere(left["opening"].values != clean).size
        assert left["opening"][3, 3] == 100
        assert left["closing"][3, 3] == 65535
        assert left["closing"][8, 12] == 900
        assert left["both"][3, 3] == 100

    def test_both_takes_dark_spots(self) -> None:
        """A dark pixel that an opening widened to a square is closed if the square is not larger than it."""
        image = np.full((12, 12), 900.0)
        image[6, 6] = 0

        assert np.unique(MORPHOLOGY.apply(make_image(image), size=3, operation="both")).tolist() == [900]

    @QUICK
    @given(image=HOLED)
    def test_missing_is_passed_over(self, image: NDArray[np.float32]) -> None:
        """With NaN, an opening is the maximum of the minima of the values, and NaN without any."""

        def filter_by(reduce: Any) -> Any:  # noqa: ANN401 — np.min, np.max
            return lambda values: reduce(values[~np.isnan(values)]) if not np.isnan(values).all() else np.nan

        least = ndimage.generic_filter(image, filter_by(np.min), 3)
        expected = ndimage.generic_filter(least, filter_by(np.max), 3)

        np.testing.assert_array_equal(MORPHOLOGY.apply(make_image(image)), expected)

    def test_unknown_operation(self) -> None:
        """The error for an unknown operation lists the known ones."""
        with pytest.raises(BadOptions, match=r"opening.*closing.*both"):
            MORPHOLOGY.validate_options({"operation": "erosion"})


class TestSigmaClip(TransformContract):
    transform = CLIP
    variants = ({}, {"sigma": 2, "size": 3}, {"sigma": 3, "size": 7, "noise": 4})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_speckles(rng),)

    @QUICK
    @given(image=IMAGES, size=st.sampled_from([3, 5]), sigma=st.sampled_from([1, 2.5, 5]))
    def test_formula(self, image: NDArray[Any], size: int, sigma: float) -> None:
        """A pixel is replaced by SciPy's local median if, and only if, it differs by more than sigma × 1.4826 × MAD."""
        # Eighths, whose differences float32 holds exactly, so that no test depends on the last bit except by 1.4826.
        image = np.round(image * 8).astype(np.float32) / 8
        middle = ndimage.median_filter(image, size)
        mad = ndimage.generic_filter(image.astype("f8"), stats.median_abs_deviation, size)
        far = np.abs(image - middle) > sigma * MAD_TO_SIGMA * mad

        np.testing.assert_array_equal(
            CLIP.apply(make_image(image), sigma=sigma, size=size), np.where(far, middle, image)
        )

    def test_constant(self) -> None:
        """MAD_TO_SIGMA is 1 / the third quartile of the normal distribution."""
        assert pytest.approx(1 / stats.norm.ppf(0.75), abs=5e-5) == MAD_TO_SIGMA

    def test_hot_pixels_go_and_all_else_stays(self) -> None:
        """A hot pixel becomes the median of its neighbours; other pixels keep their value to the bit."""
        rng = np.random.default_rng(0)
        clean = rng.normal(400, 3, (40, 50)).astype("f4")
        image = clean.copy()
        image[10, 20], image[30, 5] = 65535, 0
        made = CLIP.apply(make_image(image), sigma=10).values
        changed = np.argwhere(made != image).tolist()

        assert changed == [[10, 20], [30, 5]]
        assert abs(made[10, 20] - 400) < 5

    def test_outliers_of_normal_noise(self) -> None:
        """At 5 sigma of 25 neighbours, normal noise has an outlier in about two thousand pixels, as documented."""
        noise = np.random.default_rng(0).normal(0, 10, (300, 300)).astype("f4")
        share = float((CLIP.apply(make_image(noise)) != noise).mean())

        assert 0.0003 < share < 0.0007

    def test_whole_counts(self) -> None:
        """If most neighbours are equal, one more count is rounding in an integer image, and an outlier in others."""
        image = np.zeros((9, 9), "u2")
        image[4, 4], image[2, 2] = 1, 50

        assert CLIP.apply(make_image(image)).values[[4, 2], [4, 2]].tolist() == [1, 0]
        assert CLIP.apply(make_image(image.astype("f4"))).values.max() == 0
        assert CLIP.apply(make_image(image.astype("f4")), noise=1).values[[4, 2], [4, 2]].tolist() == [1, 0]

    def test_missing_stays(self) -> None:
        """NaN stays NaN, as a single pixel and as an image, and does not preserve an outlier beside it."""
        image = np.full((9, 9), 7.0)
        image[4, 4], image[4, 5] = np.nan, 999
        made = CLIP.apply(make_image(image)).values

        assert np.argwhere(np.isnan(made)).tolist() == [[4, 4]]
        assert made[4, 5] == 7
        assert np.isnan(CLIP.apply(make_image(np.full((4, 4), np.nan)))).all()

    def test_infinity_is_an_outlier(self) -> None:
        """An infinite pixel among numbers is replaced."""
        image = np.full((5, 5), 7.0)
        image[2, 2] = np.inf

        assert CLIP.apply(make_image(image)).values.max() == 7


@pytest.mark.parametrize("transform", [MEDIAN, MORPHOLOGY, CLIP], ids=lambda each: each.name)
class TestAll:
    def test_constant_image(self, transform: Transform) -> None:
        """A constant image, also a saturated one, stays unchanged."""
        made = transform.apply(make_image(np.full((6, 7), 65535, "u2")))

        assert np.unique(made).tolist() == [65535]
        assert made.dtype == np.dtype("f4")

    @pytest.mark.parametrize(("size", "message"), [(4, "4 is even"), (1, "or equal to 3"), (33, "less than")])
    def test_bad_size(self, transform: Transform, size: int, message: str) -> None:
        """A size must be odd and within its range, and the message says why."""
        with pytest.raises(BadOptions, match=message):
            transform.validate_options({"size": size})

    def test_needs_an_image(self, transform: Transform) -> None:
        """An input without rows and columns is refused with a sentence."""
        with pytest.raises(ValueError, match="rows and columns"):
            transform.apply(xr.DataArray(np.ones(5), dims="x"))


@pytest.mark.parametrize("options", [{"sigma": 0.5}, {"sigma": np.inf}, {"noise": -1}, {"noise": np.nan}, {"size": 17}])
def test_bad_options_of_clip(options: dict[str, Any]) -> None:
    """Sigma, noise and size are within their ranges."""
    with pytest.raises(BadOptions, match=next(iter(options))):
        CLIP.validate_options(options)
