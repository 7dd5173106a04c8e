"""Backgrounds are subtracted without wrapping around, smoothed or not, from another frame or from a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from shotdap.transforms import TRANSFORMS, BadOptions, add_variables, create_recipe
from shotdap.transforms.testing import TransformContract

SUBTRACT = TRANSFORMS["subtract_background"]
REGION = TRANSFORMS["subtract_region"]


def make_counts(rng: np.random.Generator, *shape: int, dtype: str = "u2") -> xr.DataArray:
    """Return counts of a 16-bit camera, of a frame or a stack of frames."""
    return xr.DataArray(rng.integers(0, 2**16, shape).astype(dtype), dims=("frame", "row", "column")[-len(shape) :])


class TestSubtractBackground(TransformContract):
    transform = SUBTRACT
    variants = ({}, {"scale": 0.5, "clip": True}, {"smooth": 1.3}, {"smooth": 4, "scale": -2})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return make_counts(rng, 2, 23, 31), make_counts(rng, 23, 31, dtype=">u2")

    @pytest.mark.parametrize("dtypes", [("u2", "u2"), (">u2", ">u2"), ("u1", "i2"), ("f8", "u2")])
    def test_does_not_wrap(self, dtypes: tuple[str, str]) -> None:
        """A count below the background's gives a negative difference, exactly."""
        image = xr.DataArray(np.array([3, 0], dtypes[0]), dims="x")
        background = xr.DataArray(np.array([5, 255], dtypes[1]), dims="x")

        assert SUBTRACT.apply(image, background).values.tolist() == [-2, -255]

    @given(image=st.integers(0, 65535), background=st.integers(0, 65535), scale=st.sampled_from([0.5, 1, 2, -1]))
    def test_exact(self, image: int, background: int, scale: float) -> None:
        """Every difference of two 16-bit counts is exact, also if the scale is a power of two."""
        made = SUBTRACT.apply(xr.DataArray(np.uint16(image)), xr.DataArray(np.uint16(background)), scale=scale)

        assert made.item() == image - scale * background

    def test_frames(self) -> None:
        """One background serves all frames, and a background for each frame serves its own."""
        rng = np.random.default_rng(1)
        image, backgrounds = make_counts(rng, 3, 4, 5), make_counts(rng, 3, 4, 5)
        expected = image.values.astype("i8") - backgrounds.values

        assert np.array_equal(SUBTRACT.apply(image, backgrounds), expected)
        assert np.array_equal(SUBTRACT.apply(image, backgrounds[0]), image.values.astype("i8") - backgrounds.values[0])

    def test_smooth_is_scipys_gaussian(self) -> None:
        """A smoothed background is SciPy's Gaussian mean of the background, frame by frame; the image stays sharp."""
        rng = np.random.default_rng(2)
        image, background = make_counts(rng, 2, 30, 40), make_counts(rng, 2, 30, 40)
        dark = [ndimage.gaussian_filter(frame.astype("f8"), 2.5) for frame in background.values]

        np.testing.assert_allclose(
            SUBTRACT.apply(image, background, smooth=2.5), image.values - np.stack(dark), atol=0.02
        )

    def test_smooth_reads_the_gaussians_reach(self) -> None:
        """A pixel of a smoothed background reads four standard deviations of the background, and no more."""
        footprint = SUBTRACT.footprint_of([{"y": 100, "x": 100}] * 2, SUBTRACT.validate_options({"smooth": 2.5}))

        assert footprint.compute_source_ranges({"y": range(50, 51), "x": range(2, 5)}, {"y": 100, "x": 100}) == {
            "y": range(40, 61),
            "x": range(15),
        }

    def test_turned_background(self) -> None:
        """A background with another order of dimensions is smoothed and subtracted by their names."""
        rng = np.random.default_rng(3)
        image, background = make_counts(rng, 2, 9, 7), make_counts(rng, 9, 7)

        made = SUBTRACT.apply(image, background.T, smooth=1)

        np.testing.assert_allclose(made.transpose(*image.dims), SUBTRACT.apply(image, background, smooth=1), atol=0.02)

    def test_missing(self) -> None:
        """NaN in either gives NaN; clipping keeps it, and clips only negative values."""
        image, background = (xr.DataArray(np.array(v, "f4"), dims="x") for v in ([np.nan, 1, 1, 9], [0, np.nan, 2, 2]))

        np.testing.assert_array_equal(SUBTRACT.apply(image, background, clip=True), [np.nan, np.nan, 0, 7])

    def test_saturation_counts_as_its_value(self) -> None:
        """A saturated pixel is a number like any other; constant frames give a constant difference."""
        image = xr.DataArray(np.full((3, 4), 65535, "u2"), dims=("y", "x"))

        assert np.unique(SUBTRACT.apply(image, image - np.uint16(5)).values).tolist() == [5]

    @pytest.mark.parametrize("options", [{"smooth": -1}, {"smooth": 51}, {"scale": np.nan}, {"scale": 1e7}])
    def test_bad_options(self, options: dict[str, Any]) -> None:
        """The name of an option out of range is in the message."""
        with pytest.raises(BadOptions, match=next(iter(options))):
            SUBTRACT.validate_options(options)

    def test_smoothing_needs_an_image(self) -> None:
        """A spectrum, which has no rows and columns, cannot be smoothed like an image, and the message says so."""
        with pytest.raises(ValueError, match="rows and columns"):
            SUBTRACT.footprint_of([{"x": 5}, {"x": 5}], SUBTRACT.validate_options({"smooth": 1}))

    def test_sizes_differ(self) -> None:
        """A background of another size is refused with both sizes."""
        with pytest.raises(ValueError, match="differ along x: 5 and 6"):
            SUBTRACT.footprint_of([{"y": 2, "x": 5}, {"y": 2, "x": 6}], SUBTRACT.validate_options({}))


class TestSubtractRegion(TransformContract):
    transform = REGION
    variants = ({"columns": (25, 30)}, {"rows": (0, 3), "statistic": "mean"}, {"rows": (2, 2), "columns": (4, 4)})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_counts(rng, 2, 23, 31),)

    @pytest.mark.parametrize("dtype", ["u2", ">i4", "f4", ">f8"])
    @pytest.mark.parametrize("statistic", ["median", "mean"])
    def test_level_of_each_frame(self, statistic: str, dtype: str) -> None:
        """The level of its own region, both ends included, is subtracted from each frame."""
        image = make_counts(np.random.default_rng(0), 2, 8, 9, dtype=dtype)
        made = REGION.apply(image, rows=(1, 3), columns=(5, 8), statistic=statistic)
        levels = [getattr(np, statistic)(frame[1:4, 5:9].astype("f8")) for frame in image.values]

        np.testing.assert_allclose(made, image.values.astype("f8") - np.reshape(levels, (2, 1, 1)), atol=0.01)

    def test_median_ignores_hot_pixels(self) -> None:
        """Hot pixels in the overscan do not change the level, unless the mean is requested."""
        image = xr.DataArray(np.full((10, 10), 100, "u2"), dims=("y", "x"))
        image[3, 9] = 65535

        assert REGION.apply(image, columns=(8, 9))[0, 0].item() == 0
        assert REGION.apply(image, columns=(8, 9), statistic="mean")[0, 0].item() < -3000

    @pytest.mark.parametrize("statistic", ["median", "mean"])
    def test_missing(self, statistic: str) -> None:
        """NaN is no part of the level; a frame whose region is all NaN is NaN, and the others are not."""
        image = xr.DataArray(np.ones((2, 3, 3), "f4"), dims=("frame", "y", "x"))
        image[0, :, 0] = np.nan
        image[1, 0, 0] = np.nan
        made = REGION.apply(image, columns=(0, 0), statistic=statistic)

        assert np.isnan(made[0]).all()
        np.testing.assert_array_equal(made[1], [[np.nan, 0, 0], [0, 0, 0], [0, 0, 0]])

    def test_beyond_the_image(self) -> None:
        """A region beyond the image is refused when the variable is created, with the last possible index."""
        image = xr.Dataset({"image": (("y", "x"), np.ones((4, 5)))})

        with pytest.raises(ValueError, match="x ends with 4, and 5 is beyond"):
            add_variables(image, [create_recipe("made", "subtract_region", ["image"], {"columns": (3, 5)})])

    def test_region_is_required(self) -> None:
        """Without rows or columns the region is undefined, and the message says so."""
        with pytest.raises(ValueError, match="rows or the columns"):
            REGION.apply(xr.DataArray(np.ones((4, 5)), dims=("y", "x")))

    @pytest.mark.parametrize("options", [{"rows": (3, 1)}, {"rows": (-1, 1)}, {"statistic": "mode", "rows": (0, 1)}])
    def test_bad_options(self, options: dict[str, Any]) -> None:
        """Reversed or negative bounds are refused, and so are unknown statistics."""
        with pytest.raises(BadOptions, match="subtract_region"):
            REGION.validate_options(options)
