"""Conversion of values to the levels of a picture, and back."""

from __future__ import annotations

from typing import Any, get_args

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shotdap.server.pictures.levels import Display, Picture, Scale, Scaling, compute_picture, find_default_image
from shotdap.transforms import BadSelection

Array = NDArray[Any]

SCALINGS = get_args(Scaling)
FINITE = st.floats(-1e300, 1e300)


def render(values: Array, attrs: dict[str, Any] | None = None, **how: Any) -> Picture:  # noqa: ANN401
    return compute_picture(xr.Variable(("y", "x", "band")[: values.ndim], values, attrs), Display(**how))


@given(FINITE, FINITE, st.sampled_from(SCALINGS), st.sampled_from([256, 65535]))
def test_values_of_levels(low: float, high: float, scaling: Scaling, count: int) -> None:
    """The value of a level has that level, in every scaling and over every range."""
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-200):
        return
    scale = Scale(low, high, scaling, count)
    levels = np.arange(0, count, max(1, count // 200)).astype(scale.dtype)
    again = scale.compute_levels(scale.decode_levels(levels))

    assert np.abs(again.astype(int) - levels).max() <= (0 if count == 256 else 1)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_ends_and_order(scaling: Scaling) -> None:
    """The ends of the range are the first and the last level, values outside are clipped, and order is preserved."""
    levels = Scale(10, 20, scaling, 256).compute_levels(np.array([-np.inf, 9, 10, 11, 15, 19, 20, 21, np.inf]))

    assert levels[[0, 1, 2, 6, 7, 8]].tolist() == [0, 0, 0, 255, 255, 255]
    assert np.all(np.diff(levels.astype(int)) >= 0)


def test_levels_are_clipped() -> None:
    """A range that equals that of the levels is a range like any other: values outside it are clipped."""
    picture = render(np.array([[0, 255], [256, 65535]], "u2"), low=0, high=255)

    assert picture.levels.tolist() == [[0, 255], [255, 255]]
    assert picture.levels.dtype == np.uint8


def test_formulas() -> None:
    """The formulas of the scalings are those of the page."""
    values = np.array([0.0, 25, 100])

    assert Scale(0, 100, "linear", 101).compute_levels(values).tolist() == [0, 25, 100]
    assert Scale(0, 100, "sqrt", 101).compute_levels(values).tolist() == [0, 50, 100]
    assert Scale(0, 100, "log", 101).compute_levels(values).tolist() == [
        0,
        round(100 * np.log(251) / np.log(1001)),
        100,
    ]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_tables_are_the_formula(data: st.DataObject) -> None:
    """Integers of 8 and 16 bits, whose levels are looked up, have the same levels as their float64."""
    kind = data.draw(st.sampled_from(["u1", "i1", "u2", "i2", ">u2", "?"]))
    values = data.draw(hnp.arrays(np.dtype(kind), (3, 4)))
    how = {"low": -7.25, "high": 300.5, "scaling": data.draw(st.sampled_from(SCALINGS))}
    one, other = render(values, **how).levels.astype(int), render(values.astype("f8"), **how).levels

    assert np.abs(one - other).max() <= 0 if kind == "?" else np.abs(one - other).max() <= 1


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_picture(data: st.DataObject) -> None:
    """Any values give a picture with any display; missing pixels are those that are NaN."""
    kind = data.draw(st.sampled_from(["u1", "i2", "u2", "i8", "u8", "f2", "f4", "f8", ">f4", "?"]))
    values = data.draw(hnp.arrays(np.dtype(kind), hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
    size = data.draw(st.sampled_from([None, 1, 5]))
    picture = render(
        values, scaling=data.draw(st.sampled_from(SCALINGS)), bits=data.draw(st.sampled_from([8, 16])), size=size
    )
    absent = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)

    assert max(picture.levels.shape) == min(size or 12, max(values.shape))
    assert np.isfinite(picture.scale.decode_levels(picture.levels)).all()
    if size is None:
        assert np.array_equal(np.zeros(values.shape, bool) if picture.missing is None else picture.missing, absent)
        assert (picture.levels[absent] == picture.scale.level_count).all()


def test_untouched() -> None:
    """With 16 bits, unsigned integers are neither changed nor copied without a range if no value can be missing."""
    values = np.array([[0, 65535], [7, 8]], "u2")
    picture = render(values, bits=16)

    assert np.shares_memory(picture.levels, values)
    assert (picture.scale.formula, picture.missing) == ("value = level", None)
    assert render(values, bits=16, low=0, high=10).levels.tolist() == [[0, 65535], [45874, 52428]]


def test_fill_value_is_no_level() -> None:
    """A stored number that marks a missing value is not shown as a number, also with 16 bits."""
    picture = render(np.array([[0, 65535], [7, 8]], "u2"), {"_FillValue": np.uint16(7)}, bits=16)

    assert picture.missing is not None
    assert picture.missing.tolist() == [[False, False], [True, False]]
    assert picture.levels[1, 0] == picture.scale.level_count


def test_percentiles() -> None:
    """The default range is that of the percentiles; a given end is exact."""
    values = np.arange(10_000, dtype="f4").reshape(100, 100)
    scale = render(values, percentiles=(1, 99)).scale

    assert (scale.low, scale.high) == pytest.approx(tuple(np.percentile(values, (1, 99))))
    assert render(values, low=1234.5).scale.low == 1234.5
    assert render(values, percentiles=(0, 100)).scale.high == 9999


def test_lattice() -> None:
    """Of a large image every eighth row and column is used; of a small one all are."""
    large = np.full((512, 600), 2000.0)
    large[::8, ::8] = np.linspace(0, 1, 75)
    small = np.full((100, 100), 2000.0)
    small[::8, ::8] = 0

    assert render(large).scale.high <= 1
    assert render(small).scale.high == 2000


@pytest.mark.parametrize("value", [0, 1000, -3.5, 1e300])
def test_constant(value: float) -> None:
    """A constant image is grey, and its level gives its value."""
    picture = render(np.full((3, 4), float(value)))

    assert np.unique(picture.levels).tolist() in ([127], [128])
    assert picture.scale.decode_levels(picture.levels)[0, 0] == pytest.approx(value, rel=1e-6, abs=0.01)


def test_few_bright_pixels() -> None:
    """If both percentiles are equal, the range is that of all values, so that a mask with few flags shows them."""
    values = np.zeros((100, 100), "u1")
    values[5, 5] = 1

    assert np.argwhere(render(values).levels == 255).tolist() == [[5, 5]]


def test_nan_and_infinity() -> None:
    """An image of NaN is all missing, and one of infinities has both ends."""
    picture = render(np.full((3, 4), np.nan))

    assert picture.missing is not None
    assert picture.missing.all()
    assert render(np.array([[np.inf, -np.inf], [1, 2]])).levels[0].tolist() == [255, 0]


def test_packed() -> None:
    """Packed numbers are decoded, and fill values are missing."""
    picture = render(
        np.array([[0, 100], [50, -1]], "i2"),
        {"scale_factor": 0.5, "add_offset": 10.0, "_FillValue": np.int16(-1)},
        low=10,
        high=60,
    )

    assert picture.scale.decode_levels(picture.levels)[0].tolist() == [10, 60]
    assert picture.missing is not None
    assert picture.missing.tolist() == [[False, False], [False, True]]


def test_smaller() -> None:
    """A smaller picture has averages of values over areas, without missing ones."""
    values = np.kron(np.arange(6.0).reshape(2, 3), np.ones((4, 4)))
    values[0, 0] = np.nan
    values[4:, :4] = np.nan
    picture = render(values, size=3, low=0, high=255)

    assert picture.levels.tolist() == [[0, 1, 2], [255, 4, 5]]
    assert (picture.is_downsampled, picture.shape) == (True, (8, 12))
    assert render(values, size=12).levels.shape == (8, 12)


def test_float32_where_it_is_too_coarse() -> None:
    """A small range far from zero has correct levels, too."""
    values = (2.0**23 + np.arange(256, dtype="f4")).reshape(16, 16)

    assert render(values, low=2.0**23, high=2.0**23 + 255).levels.reshape(-1).tolist() == list(range(256))


def test_colours() -> None:
    """Bands after rows and columns are colours; a fourth is ignored, and those of 16 bits are scaled."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 4), "u1")

    assert np.array_equal(render(colours).levels, colours[..., :3])
    assert render(colours.astype("u2") * 257, low=0, high=65535).levels.tolist() == colours[..., :3].tolist()
    assert render(colours, size=4).levels.shape == (3, 4, 3)


def test_one_frame() -> None:
    """Dimensions of length one before rows and columns are ignored; several frames are refused with a sentence."""
    stack = xr.Variable(("frame", "y", "x"), np.ones((1, 3, 4)))

    assert compute_picture(stack, Display()).levels.shape == (3, 4)
    with pytest.raises(BadSelection, match=r"frame \(2\).*Ask for one frame"):
        compute_picture(xr.Variable(("frame", "y", "x"), np.ones((2, 3, 4))), Display())


@pytest.mark.parametrize(
    "how",
    [
        {"low": 2, "high": 1}, {"low": 1, "high": 1}, {"low": np.nan}, {"high": np.inf}, {"percentiles": (99, 1)},
        {"percentiles": (-1, 50)}, {"bits": 12}, {"size": 0}, {"size": 10**6}, {"quality": 0}, {"colours": "nope"},
        {"missing": "nope"}, {"scaling": "cube"},
    ],
)  # fmt: skip
def test_invalid_displays(how: dict[str, Any]) -> None:
    """An invalid display is refused when it is created, with a sentence."""
    with pytest.raises(BadSelection, match=r" .*\.$"):
        Display(**how)


def test_default_variable() -> None:
    """Of an image's variables the processed one is shown, else the image, else any with rows and columns."""
    frames = {name: (("y", "x"), np.ones((2, 3))) for name in ("other", "image", "background_subtracted")}
    line = {"line": ("x", np.ones(3))}

    assert find_default_image(xr.Dataset(frames | line)) == "background_subtracted"
    assert (
        find_default_image(xr.Dataset({f"a/{name}": each for name, each in frames.items()}))
        == "a/background_subtracted"
    )
    assert find_default_image(xr.Dataset({"line": line["line"], "other": frames["other"]})) == "other"
    with pytest.raises(BadSelection, match="no image"):
        find_default_image(xr.Dataset(line))
