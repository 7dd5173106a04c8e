"""An extraction from an image: a path to open, and a part of the opened dataset."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import QUICK

from shotdap.server.extraction import Extraction
from shotdap.server.slice_text import Part
from shotdap.transforms import BadSelection

FRAME = np.arange(30.0).reshape(5, 6)


def make_image() -> xr.Dataset:
    return xr.Dataset(
        {
            "image": (("y", "x"), FRAME, {"units": "count"}),
            "background": (("y", "x"), FRAME / 2),
            "trace": (("time",), np.arange(7)),
        },
        coords=xr.Coordinates({"y": ("y", np.arange(5) * 10)}, indexes={}),
        attrs={"shot": 1},
    )


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (Extraction(), "omega/1/a"),
        (Extraction(("image",)), "omega/1/a"),
        (Extraction(raw=True), "omega/1/a/raw"),
        (Extraction(("image",), transforms=("median_filter-size-5",)), "omega/1/a/~image~median_filter-size-5"),
        (Extraction(transforms=("median_filter", "log10")), "omega/1/a/~median_filter~log10"),
        (Extraction(("image",), transforms=("image",)), "omega/1/a/~image"),
        (
            Extraction(("background_subtracted",), transforms=("background_subtracted-clip-true", "log10")),
            "omega/1/a/~background_subtracted-clip-true~log10",
        ),
        (Extraction(("Streak_array",), transforms=("log10",), raw=True), "omega/1/a/raw/~Streak_array~log10"),
    ],
)
def test_path(wanted: Extraction, path: str) -> None:
    """The path opens the image, its raw file, or the variant of the transforms."""
    assert wanted.build_path("omega/1/a") == path


def test_path_of_a_variant() -> None:
    """For a path that is a variant, the transforms are appended; the last of them makes the result."""
    assert (
        Extraction(("result",), transforms=("log10",)).build_path("a/~image~median_filter")
        == "a/~image~median_filter~log10"
    )


def test_transforms_of_one() -> None:
    """Transforms of several variables are refused."""
    with pytest.raises(BadSelection, match="one variable"):
        Extraction(("image", "background"), transforms=("log10",)).build_path("a")


def test_everything() -> None:
    """An empty extraction selects the whole image."""
    assert Extraction().apply(make_image()).identical(make_image())


def test_variables_with_coordinates() -> None:
    """A variable is selected with the coordinates of its dimensions and the image's attributes, and no others."""
    narrowed = Extraction(("image",)).apply(make_image())

    assert list(narrowed.data_vars) == ["image"]
    assert list(narrowed.coords) == ["y"]
    assert narrowed.attrs == {"shot": 1}


parts = st.dictionaries(
    st.sampled_from(("y", "x")),
    st.one_of(st.integers(0, 4), st.builds(slice, st.integers(0, 2), st.integers(3, 5), st.integers(1, 3))),
)


@QUICK
@given(parts)
def test_parts(part: dict[str, Part]) -> None:
    """A part of the image equals NumPy's slice of its array; a single index drops the dimension."""
    narrowed = Extraction(("image",), part).apply(make_image())

    np.testing.assert_array_equal(
        narrowed["image"].values, FRAME[part.get("y", slice(None)), part.get("x", slice(None))]
    )
    assert narrowed["image"].attrs == {"units": "count"}


def test_part_of_all() -> None:
    """Without a variable, a part applies to every variable with that dimension."""
    narrowed = Extraction(part={"x": slice(2, 4)}).apply(make_image())

    assert dict(narrowed.sizes) == {"y": 5, "x": 2, "time": 7}


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Extraction(("nothing",)), "There is no variable 'nothing' here"),
        (Extraction(part={"z": 0}), "There is no dimension 'z' here"),
        (Extraction(("image",), {"time": 0}), "image has no dimension 'time', only these: y, x"),
        (Extraction(("image",), {"y": 5}), "index 5 is outside 0 to 4"),
        (Extraction(("image",), {"y": slice(2, 9)}), "index 8 is outside 0 to 4"),
    ],
)
def test_refusals(wanted: Extraction, sentence: str) -> None:
    """An extraction that does not fit is refused with a sentence that says what would."""
    with pytest.raises(BadSelection, match=sentence):
        wanted.apply(make_image())


def test_result() -> None:
    """The result of the last transform is selected, whatever its input."""
    varied = make_image().assign(result=(("x",), np.arange(6.0)))
    narrowed = Extraction(("image",), {"x": slice(0, 3)}, ("lineout",)).apply(varied)

    assert list(narrowed.data_vars) == ["result"]
    assert narrowed["result"].shape == (3,)
