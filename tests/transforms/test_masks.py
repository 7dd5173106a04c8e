"""Pixels without information about the light are flagged, counted, and masked."""

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

from shotdap.transforms import TRANSFORMS, BadOptions, add_variables, create_recipe
from shotdap.transforms.testing import TransformContract

SATURATED = TRANSFORMS["saturated"]
BAD = TRANSFORMS["bad_pixels"]
MASK = TRANSFORMS["mask"]
COUNT_SATURATED = TRANSFORMS["count_saturated"]
DIMS = ("frame", "row", "column")


def make_image(values: Any, **attributes: Any) -> xr.DataArray:  # noqa: ANN401 — whatever NumPy takes
    """Return an image, or a stack of them."""
    array = np.asarray(values)
    return xr.DataArray(array, dims=DIMS[-array.ndim :], attrs=attributes)


def make_counts(rng: np.random.Generator) -> xr.DataArray:
    """Return two frames of a 12-bit camera, some of their pixels saturated."""
    return make_image(rng.integers(0, 6000, (2, 23, 31)).clip(max=4095).astype(">u2"), saturation=np.uint16(4095))


def make_dark_frame(rng: np.random.Generator, *shape: int) -> NDArray[np.uint16]:
    """Return a frame without light: bias and read noise of 3 counts."""
    return rng.normal(400, 3, shape).round().astype("u2")


class TestSaturated(TransformContract):
    transform = SATURATED
    variants = ({}, {"level": 1000})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_counts(rng),)

    @pytest.mark.parametrize(
        ("dtype", "level"), [("u1", 255), ("u2", 65535), (">u2", 65535), ("i2", 32767), ("u4", 2**32 - 1)]
    )
    def test_greatest_of_its_type(self, dtype: str, level: int) -> None:
        """Without option and attribute, an integer is saturated at the maximum of its type."""
        image = make_image(np.array([[0, level - 1, level]], dtype))

        assert SATURATED.apply(image).values.tolist() == [[0, 0, 1]]

    def test_attribute(self) -> None:
        """The image's attribute has precedence over its type, and the option over both."""
        image = make_image(np.array([[10, 4094, 4095, 65535]], "u2"), saturation=np.array([4095], ">i4"))

        assert SATURATED.apply(image).values.tolist() == [[0, 0, 1, 1]]
        assert SATURATED.apply(image, level=10).values.tolist() == [[1, 1, 1, 1]]

    @pytest.mark.parametrize("chunked", [True, False])
    def test_attribute_of_a_variable(self, *, chunked: bool) -> None:
        """The attribute of a dataset's variable is used, also for a slice."""
        dataset = xr.Dataset({"image": (("y", "x"), np.array([[4094, 4095]], "u2"), {"saturation": 4095})})
        made = add_variables(dataset, [create_recipe("flags", "saturated", ["image"])], chunked=chunked)

        assert made.flags.values.tolist() == [[0, 1]]
        assert made.flags[0, 1:].values.tolist() == [1]

    def test_flag_variable(self) -> None:
        """The result is a CF flag variable: uint8, with values of its own type, as many meanings, and no units."""
        made = SATURATED.apply(make_image(np.zeros((2, 2), "u2"), units="count"))

        assert made.dtype == made.attrs["flag_values"].dtype == np.dtype("u1")
        assert made.attrs["flag_values"].tolist() == [0, 1]
        assert made.attrs["flag_meanings"].split() == ["not_saturated", "saturated"]
        assert "units" not in made.attrs

    def test_missing(self) -> None:
        """NaN is not saturated, and infinity is."""
        assert SATURATED.apply(make_image([[np.nan, np.inf, 1]]), level=5).values.tolist() == [[0, 1, 0]]

    @pytest.mark.parametrize("transform", [SATURATED, COUNT_SATURATED])
    def test_level_unknown(self, transform: Any) -> None:  # noqa: ANN401 — a transform
        """Floating-point numbers have no maximum count: no flag is guessed, and the message says what to specify."""
        with pytest.raises(BadOptions, match="option level"):
            transform.apply(make_image([[1.0, 2.0]]))

    @pytest.mark.parametrize("stated", ["4095 counts", [1, 2], np.nan])
    def test_attribute_is_no_number(self, stated: object) -> None:
        """An attribute that is no number is not ignored silently."""
        with pytest.raises(BadOptions, match=r"saturation is .*no number"):
            SATURATED.apply(make_image(np.ones((2, 2), "u2"), saturation=stated))


class TestBadPixels(TransformContract):
    transform = BAD
    variants = ({}, {"sigma": 3, "size": 3}, {"noise": 100})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        frames = make_dark_frame(rng, 2, 23, 31)
        frames[rng.random(frames.shape) < 0.03] = 5000
        return (make_image(frames),)

    def test_formula(self) -> None:
        """Hot and dead pixels differ from SciPy's local median by more than sigma times the frame's deviation."""
        frame = make_dark_frame(np.random.default_rng(0), 60, 70).astype("f8")
        frame[::7, ::5] += 40
        frame[::9, ::11] -= 40
        off = frame - ndimage.median_filter(frame, 5)
        about_zero = stats.median_abs_deviation(np.concatenate([off.ravel(), -off.ravel()]))  # its median is 0
        limit = 6 * 1.4826 * about_zero
        expected = np.where(off > limit, 1, np.where(off < -limit, 2, 0))

        assert np.array_equal(BAD.apply(make_image(frame), sigma=6), expected)
        assert np.unique(expected).tolist() == [0, 1, 2]

    def test_finds_inserted_pixels(self) -> None:
        """Hot and dead pixels that are inserted into a dark frame of a million pixels are found, and no others."""
        frame = make_dark_frame(np.random.default_rng(1), 1000, 1000)
        frame[100, 200], frame[300, 400], frame[0, 0] = 1000, 0, 500
        found = BAD.apply(make_image(frame))

        assert np.argwhere(found.values).tolist() == [[0, 0], [100, 200], [300, 400]]
        assert found.values[[0, 100, 300], [0, 200, 400]].tolist() == [1, 1, 2]

    def test_each_frame_has_its_noise(self) -> None:
        """A quiet frame beside a noisy one is judged by its own noise."""
        rng = np.random.default_rng(2)
        frames = np.stack([rng.normal(0, 1, (40, 40)), rng.normal(0, 100, (40, 40))])
        frames[:, 20, 20] = 50

        assert BAD.apply(make_image(frames))[:, 20, 20].values.tolist() == [1, 0]

    def test_whole_counts(self) -> None:
        """In a frame of equal integers one more count is rounding, and ten are hot; `noise` can change that."""
        frame = np.full((9, 9), 7, "u1")
        frame[2, 2], frame[6, 6] = 8, 17

        assert BAD.apply(make_image(frame)).values[[2, 6], [2, 6]].tolist() == [0, 1]
        assert BAD.apply(make_image(frame), noise=2).values.max() == 0

    def test_missing(self) -> None:
        """NaN is not flagged and hides no hot pixel beside it; a frame of NaN has no flag."""
        frame = np.full((9, 9), 7.0)
        frame[4, 4], frame[4, 5] = np.nan, 99

        assert np.argwhere(BAD.apply(make_image(frame)).values).tolist() == [[4, 5]]
        assert BAD.apply(make_image(np.full((4, 4), np.nan))).values.max() == 0

    def test_flag_variable(self) -> None:
        """The flags are 0 good, 1 hot, 2 dead."""
        assert BAD.attributes["flag_meanings"].split() == ["good", "hot", "dead"]
        assert BAD.attributes["flag_values"].tolist() == [0, 1, 2]

    @pytest.mark.parametrize("options", [{"sigma": 0}, {"size": 6}, {"size": 17}, {"noise": -1}])
    def test_bad_options(self, options: dict[str, Any]) -> None:
        """The name of an option out of range is in the message."""
        with pytest.raises(BadOptions, match=next(iter(options))):
            BAD.validate_options(options)


class TestMask(TransformContract):
    transform = MASK

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return make_counts(rng), make_image(rng.integers(0, 3, (23, 31), dtype="u1"))

    def test_flagged_is_missing(self) -> None:
        """Flagged pixels, by any number or by NaN, are NaN; the rest is unchanged, in float32 and in its units."""
        image = make_image(np.array([[1, 65535, 3, 4]], ">u2"), units="count")
        made = MASK.apply(image, make_image([[0, 0, 2, np.nan]]))

        np.testing.assert_array_equal(made, [[1, 65535, np.nan, np.nan]])
        assert made.dtype == np.dtype("f4")
        assert made.attrs["units"] == "count"

    @QUICK
    @given(image=hnp.arrays("u2", (3, 4)), level=st.integers(0, 65535))
    def test_masking_the_saturated(self, image: NDArray[np.uint16], level: int) -> None:
        """Without its saturated pixels, an image is below the level, and nothing else is lost."""
        left = MASK.apply(make_image(image), SATURATED.apply(make_image(image), level=level)).values

        assert np.array_equal(left[~np.isnan(left)], image[image < level])

    def test_sizes_differ(self) -> None:
        """Flags of another size are refused with a sentence."""
        with pytest.raises(ValueError, match="differ along column: 3 and 4"):
            MASK.apply(make_image(np.ones((2, 3))), make_image(np.ones((2, 4))))


class TestCountSaturated(TransformContract):
    transform = COUNT_SATURATED
    variants = ({}, {"level": 1000})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_counts(rng),)

    def test_counts(self) -> None:
        """The result is the number of flags that `saturated` sets, in all frames together."""
        image = make_counts(np.random.default_rng(3))

        assert (
            COUNT_SATURATED.apply(image).item()
            == SATURATED.apply(image).sum().item()
            == (image == 4095).sum().item()
            > 0
        )


class TestCountNegative(TransformContract):
    transform = TRANSFORMS["count_negative"]

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_image(rng.normal(size=(2, 23, 31)).astype("f4")),)

    def test_counts(self) -> None:
        """Zero, negative zero and NaN are not negative; unsigned numbers never are."""
        assert self.transform.apply(make_image([[-1, 0, -0.0, np.nan, -np.inf, 2]])).item() == 2
        assert self.transform.apply(make_image(np.array([[65535]], "u2"))).item() == 0


class TestCountMissing(TransformContract):
    transform = TRANSFORMS["count_missing"]

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        values = rng.normal(size=(2, 23, 31))
        return (make_image(np.where(values > 1, np.nan, values)),)

    def test_counts(self) -> None:
        """NaN is missing, infinity is not, integers never are."""
        made = self.transform.apply(make_image([[np.nan, np.inf, 1, np.nan]]))

        assert made.item() == 2
        assert made.dtype == np.dtype("i4")
        assert self.transform.apply(make_image(np.ones((2, 2), ">u2"))).item() == 0
