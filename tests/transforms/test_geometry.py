"""Parts of images, turned, binned and dewarped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.transform import PolynomialTransform, downscale_local_mean
from tests.strategies import QUICK

from shotdap.server.demo import DISTORTION, GRID
from shotdap.transforms import TRANSFORMS, BadOptions, BadRecipe, FromAttribute, add_variables, create_recipe
from shotdap.transforms.testing import TransformContract
from shotdap.transforms.virtual.variant import build_variant, parse_variant

SHIFTED_ROWS = (2.0, 0, 1, *[0] * 7)  # a pixel takes its value from two rows further down
SHIFTED_COLUMNS = (-3.0, 1, 0, *[0] * 7)  # and from three columns to the left
BENT = (1.0, 0.98, 0.02, 1e-3, -5e-4, 2e-4, 1e-5, -2e-5, 3e-5, 1e-5)


def make_counts(rng: np.random.Generator, *shape: int) -> xr.DataArray:
    """Return a frame of counts, or a stack of frames."""
    return xr.DataArray(rng.integers(0, 2**16, shape, dtype="u2"), dims=("frame", "y", "x")[-len(shape) :])


def make_smooth(*shape: int) -> NDArray[np.float64]:
    """Return a picture without edges."""
    row, column = np.indices(shape)
    return np.asarray(100 + 20 * np.sin(row / 9) * np.cos(column / 11))


def make_image(values: Any) -> xr.DataArray:  # noqa: ANN401 — what NumPy makes an array of
    return xr.DataArray(np.asarray(values), dims=("frame", "y", "x")[-np.ndim(values) :])


def apply(transform: str, *inputs: xr.DataArray, **options: Any) -> NDArray[Any]:  # noqa: ANN401 — each one's own
    return np.asarray(TRANSFORMS[transform].apply(*inputs, **options).values)


class TestCrop(TransformContract):
    transform = TRANSFORMS["crop"]
    variants = ({}, {"rows": (3, 20)}, {"rows": (0, 0), "columns": (7, 29)})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_counts(rng, 2, 23, 31),)

    def test_both_ends_are_taken(self) -> None:
        """Rows 2 to 4 are three rows."""
        image = xr.DataArray(np.arange(30).reshape(6, 5), dims=("y", "x"))

        assert TRANSFORMS["crop"].apply(image, rows=(2, 4), columns=(1, 1)).values.tolist() == [[11], [16], [21]]

    def test_beyond_the_edge(self) -> None:
        """A part outside the image is refused with the last possible index."""
        with pytest.raises(ValueError, match="y ends with 5, and 6 is beyond it"):
            apply("crop", make_image(np.zeros((6, 5))), rows=(2, 6))


class TestRotateFlip(TransformContract):
    transform = TRANSFORMS["rotate_flip"]
    variants = tuple(
        {"rotation": rotation, "flip": flip} for rotation, flip in product((0, 90, 180, 270), ("none", "x", "y", "xy"))
    )

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_counts(rng, 2, 7, 11),)

    @pytest.mark.parametrize(
        ("rotation", "flip", "expected"),
        [
            (0, "none", [[1, 2, 3], [4, 5, 6]]),
            (90, "none", [[4, 1], [5, 2], [6, 3]]),
            (180, "none", [[6, 5, 4], [3, 2, 1]]),
            (270, "none", [[3, 6], [2, 5], [1, 4]]),
            (0, "x", [[3, 2, 1], [6, 5, 4]]),
            (0, "y", [[4, 5, 6], [1, 2, 3]]),
            (90, "x", [[1, 4], [2, 5], [3, 6]]),
            (270, "x", [[6, 3], [5, 2], [4, 1]]),
        ],
    )
    def test_by_hand(self, rotation: int, flip: str, expected: list[list[int]]) -> None:
        """A small picture is turned clockwise, then mirrored, as on paper."""
        turned = apply("rotate_flip", make_image([[1, 2, 3], [4, 5, 6]]), rotation=rotation, flip=flip)

        assert turned.tolist() == expected

    def test_equal_names(self) -> None:
        """Eight of .NET's sixteen names have the same meaning as the other eight, since 180 degrees are both flips."""
        image = make_counts(np.random.default_rng(1), 5, 8)
        flipped = {"none": "xy", "x": "y", "y": "x", "xy": "none"}

        for rotation, flip in product((0, 90), flipped):
            one = apply("rotate_flip", image, rotation=rotation, flip=flip)
            other = apply("rotate_flip", image, rotation=rotation + 180, flip=flipped[flip])

            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("rotation", [0, 90, 180, 270])
    def test_frames_are_not_turned(self, rotation: int) -> None:
        """Each frame of a stack is turned separately, like NumPy: its counter-clockwise is our 270."""
        stack = make_counts(np.random.default_rng(2), 3, 5, 8)
        turned = TRANSFORMS["rotate_flip"].apply(stack, rotation=rotation)

        assert turned.dims[0] == "frame"
        for frame, values in zip(stack.values, turned.values, strict=True):
            np.testing.assert_array_equal(values, np.rot90(frame, -rotation // 90))

    def test_names_change_places(self) -> None:
        """Turned by 90 degrees, rows and columns are exchanged; reversed ones have their own coordinates."""
        coordinates = xr.Coordinates({"y": ("y", np.arange(5) * 10), "x": ("x", np.arange(8))}, indexes={})
        dataset = xr.Dataset({"image": make_counts(np.random.default_rng(3), 2, 5, 8)}, coords=coordinates)
        upright = add_variables(dataset, [create_recipe("upright", "rotate_flip", ["image"], {"rotation": 90})]).upright

        assert upright.dims == ("frame", "x", "y_upright")
        assert upright.shape == (2, 8, 5)
        assert upright.x.values.tolist() == list(range(8))
        assert upright.y_upright.values.tolist() == [40, 30, 20, 10, 0]

    def test_as_the_camera_says(self) -> None:
        """The attributes from the camera's ImageDisplay are valid options, including capital letters."""
        said = {"rotation": FromAttribute("display_rotation"), "flip": FromAttribute("display_flip")}
        recipe = create_recipe("upright", "rotate_flip", ["image"], said)
        dataset = xr.Dataset({"image": make_image([[1, 2, 3], [4, 5, 6]])})
        settled = recipe.bind({"display_rotation": np.int32(90), "display_flip": "X"})

        assert add_variables(dataset, [settled]).upright.values.tolist() == [[1, 4], [2, 5], [3, 6]]

    def test_from_a_url(self) -> None:
        """A path's segment gives the options as text."""
        variant = build_variant(parse_variant("~image~rotate_flip-flip-x-rotation-90"), [], ["image"], TRANSFORMS)
        dataset = xr.Dataset({"image": make_image([[1, 2, 3], [4, 5, 6]])})

        assert add_variables(dataset, variant.recipes).result.values.tolist() == [[1, 4], [2, 5], [3, 6]]
        assert variant.canonical_text == "~image~rotate_flip-flip-x-rotation-90"

    def test_no_right_angle(self) -> None:
        """The error for other angles lists the possible ones."""
        with pytest.raises(BadOptions, match="rotation: Input should be 0, 90, 180 or 270"):
            apply("rotate_flip", make_image(np.zeros((2, 2))), rotation=45)


class TestBinPixels(TransformContract):
    transform = TRANSFORMS["bin_pixels"]
    variants = ({}, {"rows": 3, "columns": 1}, {"rows": 1, "columns": 9, "statistic": "sum"}, {"rows": 5, "columns": 4})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        values = rng.normal(1000, 300, (2, 23, 31)).astype("f4")
        values[0, 5, 5:20] = np.nan
        return (xr.DataArray(values, dims=("frame", "row", "column")),)

    @QUICK
    @given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([">u2", "<u2", "u1", "i4", "f4"]))
    def test_is_scikit_images_local_mean(self, rows: int, columns: int, dtype: str) -> None:
        """Means equal scikit-image's downscale_local_mean if blocks are complete."""
        values = np.random.default_rng(4).integers(0, 200, (19, 21)).astype(dtype)
        full = values[: 19 // rows * rows, : 21 // columns * columns].astype("f8")
        means = downscale_local_mean(full, (rows, columns))  # type: ignore[no-untyped-call]  # scikit-image has no types

        for statistic, expected in (("mean", means), ("sum", means * rows * columns)):
            binned = apply("bin_pixels", make_image(values), rows=rows, columns=columns, statistic=statistic)

            np.testing.assert_allclose(binned, expected, rtol=2e-7)

    def test_by_hand(self) -> None:
        """Incomplete blocks at the far edges are left out."""
        image = make_image([[1, 3, 9], [5, 7, 9], [9, 9, 9]])

        assert apply("bin_pixels", image).tolist() == [[4]]
        assert apply("bin_pixels", image, rows=1, columns=3, statistic="sum").tolist() == [[13], [21], [27]]

    def test_sums_do_not_overflow(self) -> None:
        """A sum of saturated counts exceeds uint16."""
        assert apply("bin_pixels", make_image(np.full((4, 4), 65535, "u2")), statistic="sum")[0, 0] == 4 * 65535

    def test_missing_pixels(self) -> None:
        """A mean leaves NaN out, and is NaN without other values; a sum with NaN is NaN."""
        image = make_image([[1, np.nan, np.nan, np.nan], [3, 5, np.nan, np.nan]])

        np.testing.assert_array_equal(apply("bin_pixels", image), [[3, np.nan]])
        np.testing.assert_array_equal(apply("bin_pixels", image, statistic="sum"), [[np.nan, np.nan]])
        np.testing.assert_array_equal(apply("bin_pixels", image[1:], rows=1, statistic="sum"), [[8, np.nan]])

    def test_block_too_large(self) -> None:
        """A block larger than the image is refused."""
        with pytest.raises(ValueError, match="a block of 9 is more than y has, 4"):
            apply("bin_pixels", make_image(np.zeros((4, 20))), rows=9)


class TestDewarp(TransformContract):
    transform = TRANSFORMS["dewarp"]
    variants = (
        {},
        {"row_coefficients": BENT, "order": 0},
        {"row_coefficients": SHIFTED_ROWS, "column_coefficients": BENT},
        {"row_coefficients": SHIFTED_ROWS, "column_coefficients": BENT, "order": 3},
    )

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_counts(rng, 2, 23, 31).astype(">u2"),)

    @pytest.mark.parametrize("order", [0, 1, 3])
    def test_itself(self, order: int) -> None:
        """The default polynomials move no pixel."""
        image = make_counts(np.random.default_rng(5), 2, 13, 17)

        np.testing.assert_allclose(apply("dewarp", image, order=order), image.values, rtol=1e-6)

    @pytest.mark.parametrize("order", [0, 1, 3])
    def test_whole_pixels(self, order: int) -> None:
        """A shift by whole pixels moves the values; values from outside are NaN."""
        image = make_counts(np.random.default_rng(6), 13, 17)
        options = {"row_coefficients": SHIFTED_ROWS, "column_coefficients": SHIFTED_COLUMNS, "order": order}
        straight = apply("dewarp", image, **options)

        np.testing.assert_allclose(straight[:-2, 3:], image.values[2:, :-3], rtol=1e-6)
        assert np.isnan(straight[-2:]).all()
        assert np.isnan(straight[:, :3]).all()

    @pytest.mark.parametrize(("order", "error"), [(0, 2.1), (1, 0.1), (3, 1e-3)])
    def test_known_picture(self, order: int, error: float) -> None:
        """For a picture with a known formula, the result is that formula at the polynomials' values."""
        row, column = np.indices((60, 70), float)
        x, y = column, row
        terms = [x**0, x, y, x**2, x * y, y**2, x**3, x**2 * y, x * y**2, y**3]
        bent_row = sum(c * term for c, term in zip((*SHIFTED_ROWS[:3], *BENT[3:]), terms, strict=True))
        found = apply(
            "dewarp", make_image(make_smooth(60, 70)), row_coefficients=(*SHIFTED_ROWS[:3], *BENT[3:]), order=order
        )
        expected = 100 + 20 * np.sin(bent_row / 9) * np.cos(column / 11)
        inside = (bent_row >= 0) & (bent_row <= 59)

        np.testing.assert_array_equal(np.isfinite(found), inside)
        away = inside & (bent_row > 6) & (bent_row < 53) & (column > 6) & (column < 63)
        np.testing.assert_allclose(found[away], expected[away], atol=error)

    def test_grid_of_dots(self) -> None:
        """The coefficients that scikit-image fits to the dots of a warped grid move the dots back to their grid."""
        column, row = GRID.compute_points()
        fitted = PolynomialTransform.from_estimate(  # type: ignore[no-untyped-call]  # scikit-image has no types
            np.column_stack([column, row]), np.column_stack(DISTORTION(column, row)), order=3
        )
        seen_row, seen_column = np.indices((1024, 1049), dtype=np.float32)
        picture = np.zeros((1024, 1049), np.float32)
        for one_column, one_row in zip(*DISTORTION(column, row), strict=True):
            near = (slice(int(one_row) - 12, int(one_row) + 14), slice(int(one_column) - 12, int(one_column) + 14))
            picture[near] += np.exp(-((seen_row[near] - one_row) ** 2 + (seen_column[near] - one_column) ** 2) / 18)
        columns, rows = (tuple(map(float, each)) for each in fitted.params)
        straight = apply("dewarp", make_image(picture), row_coefficients=rows, column_coefficients=columns, order=3)

        for one_column, one_row in zip(column[::37].astype(int), row[::37].astype(int), strict=True):
            dot = straight[one_row - 10 : one_row + 11, one_column - 10 : one_column + 11]
            place = (np.indices(dot.shape) * dot).sum(axis=(1, 2)) / dot.sum() - 10

            np.testing.assert_allclose(place, 0, atol=0.02)

    def test_missing_pixels(self) -> None:
        """NaN stays in place if no spline needs it; halfway it reaches two pixels; cubic, its whole frame."""
        values = make_smooth(2, 60).repeat(2, axis=0).reshape(2, 2, 60)
        values[0, 1, 30] = np.nan
        half = (0.5, 1.0, 0, *[0] * 7)

        assert np.argwhere(np.isnan(apply("dewarp", make_image(values), order=0))).tolist() == [[0, 1, 30]]
        assert np.argwhere(np.isnan(apply("dewarp", make_image(values)))).tolist() == [[0, 1, 30]]
        halfway = apply("dewarp", make_image(values), column_coefficients=half)[..., :-1]
        assert np.argwhere(np.isnan(halfway)).tolist() == [[0, 1, 29], [0, 1, 30]]
        cubic = np.isnan(apply("dewarp", make_image(values), order=3))
        assert (cubic[0].all(), cubic[1].any()) == (True, False)

    def test_far_away(self) -> None:
        """Polynomials that leave the image, or the range of numbers, give NaN."""
        far = (1e308,) * 10

        assert np.isnan(apply("dewarp", make_image(make_smooth(9, 9)), row_coefficients=far)).all()
        assert np.isnan(
            apply("dewarp", make_image(make_smooth(9, 9)), row_coefficients=(*far[:5], *[-1e308] * 5))
        ).all()

    def test_from_a_url(self) -> None:
        """A path's segment gives the coefficients and the order as text."""
        segment = "~image~dewarp-order-3-row_coefficients-2_0_1_0_0_0_0_0_0_-0.000001"
        options = dict(build_variant(parse_variant(segment), [], ["image"], TRANSFORMS).recipes[-1].validated_options)

        assert options["order"] == 3
        assert options["row_coefficients"] == (2, 0, 1, 0, 0, 0, 0, 0, 0, -1e-6)

    def test_ten_coefficients(self) -> None:
        """Fewer coefficients are refused."""
        with pytest.raises(BadOptions, match=r"row_coefficients: .*at least 10 items"):
            apply("dewarp", make_image(make_smooth(9, 9)), row_coefficients=(0, 0, 1))


class TestDewarpByMap(TransformContract):
    transform = TRANSFORMS["dewarp_by_map"]
    variants = ({}, {"order": 0}, {"order": 3})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        displacements = rng.normal(0, 2, (2, 23, 31)).astype("f4")
        return (make_counts(rng, 2, 23, 31), make_image(displacements[0]), make_image(displacements[1]))

    @pytest.mark.parametrize("order", [0, 1, 3])
    def test_same_as_polynomials(self, order: int) -> None:
        """A map that is computed from the polynomials gives the same result."""
        image = make_counts(np.random.default_rng(7), 2, 19, 23)
        row, column = np.indices((19, 23))
        warp = PolynomialTransform(np.array([SHIFTED_COLUMNS, BENT]))  # type: ignore[no-untyped-call]  # no types
        seen_column, seen_row = warp(np.column_stack([column.ravel(), row.ravel()])).T
        maps = (make_image(seen_row.reshape(19, 23) - row), make_image(seen_column.reshape(19, 23) - column))
        straight = apply("dewarp", image, row_coefficients=BENT, column_coefficients=SHIFTED_COLUMNS, order=order)

        np.testing.assert_allclose(apply("dewarp_by_map", image, *maps, order=order), straight, rtol=1e-5)

    def test_missing_displacements(self) -> None:
        """If the map is NaN or leads outside, the result is NaN, and nowhere else."""
        nothing = np.zeros((5, 6))
        down = nothing.copy()
        down[1, 2], down[3, 4] = np.nan, np.inf
        straight = apply("dewarp_by_map", make_image(make_smooth(5, 6)), make_image(down), make_image(nothing))

        assert np.argwhere(np.isnan(straight)).tolist() == [[1, 2], [3, 4]]

    def test_maps_have_no_frames(self) -> None:
        """A map with its own extra dimension is refused when the dataset is opened."""
        image, stack = make_counts(np.random.default_rng(8), 5, 6), make_counts(np.random.default_rng(8), 2, 5, 6)
        recipe = create_recipe("straight", "dewarp_by_map", ["image", "down", "right"])

        with pytest.raises(BadRecipe, match=r"a displacement has the image's rows and columns, \(y, x\)"):
            add_variables(xr.Dataset({"image": image, "down": stack, "right": image}), [recipe])
