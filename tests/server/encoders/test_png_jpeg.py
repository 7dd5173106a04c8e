"""PNG and JPEG pictures: the levels as Pillow reads them, and the description in the file of how levels were made."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin
from tests.contracts.encoder import EncoderContract, ExactContract, make_dataset

from shotdap.server.encoders import jpeg, png
from shotdap.server.pictures.colour_maps import sample_colour_map
from shotdap.server.pictures.levels import Display, Scaling
from shotdap.transforms import BadSelection

Array = NDArray[Any]

REFUSED: Mapping[str, xr.Dataset] = {
    "a line": make_dataset(np.ones(3)),
    "two frames": make_dataset(np.ones((2, 3, 4))),
    "text": xr.Dataset({"words": (("y", "x"), np.array([["a", "b"]]))}),
    "complex": xr.Dataset({"z": (("y", "x"), np.zeros((2, 2), "c8"))}),
    "empty": make_dataset(np.ones((0, 3))),
    "nothing": xr.Dataset(),
}


def open_picture(whole: bytes) -> PngImagePlugin.PngImageFile:
    image = Image.open(io.BytesIO(whole))
    image.load()
    assert isinstance(image, PngImagePlugin.PngImageFile)
    return image


def draw(dataset: xr.Dataset, **how: Any) -> PngImagePlugin.PngImageFile:  # noqa: ANN401 — a display's fields
    return open_picture(b"".join(png.encode(dataset, Display(**how)).blocks))


def read_scaling(image: PngImagePlugin.PngImageFile) -> dict[str, Any]:
    found: dict[str, Any] = read_metadata(image)["scaling"]
    return found


def make_noise(shape: tuple[int, ...] = (40, 60)) -> Array:
    return np.random.default_rng(0).normal(1000, 200, shape).astype("f4")


def read_metadata(image: Image.Image) -> dict[str, Any]:
    """Return all metadata of the picture."""
    found: dict[str, Any] = json.loads(image.info["shotdap" if image.format == "PNG" else "comment"])
    return found


class PictureContract(EncoderContract):
    dimensions = (2,)
    refused = REFUSED

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            found = read_metadata(Image.open(io.BytesIO(whole)))
            return {**found["attributes"], **found["variables"]["result"]["attributes"]}

        return read


class TestPng(PictureContract):
    name = "png"
    display = Display(colours="viridis")


class TestJpeg(PictureContract):
    name = "jpeg"


class TestDeepPng(PictureContract, ExactContract):
    """PNG of 16 bits, which holds the numbers unchanged."""

    name = "png"
    kinds = ("?", "u1", "u2")
    display = Display(bits=16)

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        return lambda whole: np.asarray(open_picture(whole))


@pytest.mark.parametrize("how", ["linear", "sqrt", "log"])
def test_levels_give_values(how: Scaling) -> None:
    """By the formula in the file, a level gives its value, to half of a level."""
    image = draw(make_dataset(make_noise()), scaling=how, low=0, high=2000, colours="viridis")
    formula = read_scaling(image)["formula"].removeprefix("value = ").removesuffix(", where t = level / 255")
    t = np.asarray(image) / 255
    below, value, above = (eval(formula, {"t": t + step / 255}) for step in (-0.51, 0, 0.51))  # noqa: S307 — ours

    assert np.all((below - value <= make_noise() - value) & (make_noise() - value <= above - value))


def test_jpeg_is_near() -> None:
    """A JPEG of the best quality differs from the PNG by a few levels."""
    image = Image.open(io.BytesIO(b"".join(jpeg.encode(make_dataset(make_noise()), Display(quality=100)).blocks)))
    difference = np.asarray(image).astype(int) - np.asarray(draw(make_dataset(make_noise())))

    assert np.abs(difference).max() <= 3


def test_pixels_are_levels() -> None:
    """A coloured PNG has a palette: its numbers are levels, and its colours are those of the map."""
    values = np.arange(256, dtype="u2").reshape(16, 16)
    image = draw(make_dataset(values), colours="viridis", low=0, high=255)

    assert (image.mode, np.asarray(image).tolist()) == ("P", values.tolist())
    assert np.asarray(image.convert("RGB")).reshape(-1, 3).tolist() == sample_colour_map("viridis").tolist()


def test_missing_values() -> None:
    """Missing values are transparent, or have the requested colour; no other level does."""
    values = make_noise()
    values[3, 4] = np.nan
    transparent = np.asarray(draw(make_dataset(values)).convert("RGBA"))[..., 3] == 0
    red = np.asarray(draw(make_dataset(values), missing="red", colours="gray").convert("RGB"))
    deep = draw(make_dataset(values), bits=16)

    assert np.argwhere(transparent).tolist() == [[3, 4]]
    assert np.argwhere((red == [255, 0, 0]).all(-1)).tolist() == [[3, 4]]
    assert np.argwhere(np.asarray(deep) == deep.info["transparency"]).tolist() == [[3, 4]]
    assert read_scaling(deep)["missing_level"] == 65535


def test_texts() -> None:
    """A PNG states in words and in JSON what it shows, its source, and how values became levels."""
    dataset = make_dataset(make_noise(), derived_at="omega/62328/asbo1/asbo1_s62328.dap?dap4.ce=/result")
    image = draw(dataset, low=500, high=1500, scaling="sqrt")

    assert image.text["Title"] == "what the camera saw"
    assert image.text["Source"] == "omega/62328/asbo1/asbo1_s62328"
    assert "500 count (dark) to 1500 count (bright), sqrt" in image.text["Description"]
    assert read_scaling(image) == {
        "variable": "result", "units": "count", "low": 500, "high": 1500, "scaling": "sqrt", "levels": 256,
        "missing_level": None, "formula": "value = 500.0 + (1500.0 - 500.0) * t**2, where t = level / 255",
        "colours": "gray", "image_shape": [40, 60], "picture_shape": [40, 60],
    }  # fmt: skip


def test_jpeg_says_so_too() -> None:
    """A JPEG states it in its comment, and in words in EXIF; attributes too long for a comment are omitted."""
    dataset = make_dataset(make_noise(), long="x" * 100_000)
    image = Image.open(io.BytesIO(b"".join(jpeg.encode(dataset, Display(colours="viridis")).blocks)))

    assert "(dark)" in image.getexif()[ExifTags.Base.ImageDescription]
    assert json.loads(image.info["comment"])["scaling"]["colours"] == "viridis"
    with pytest.raises(BadSelection, match="ask for png"):
        jpeg.encode(dataset, Display(bits=16))


def test_colour_images() -> None:
    """An image in red, green and blue is shown unchanged, and has no 16 bits and no colour bar."""
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3), "u1")
    dataset = xr.Dataset({"image": (("y", "x", "band"), colours)})

    np.testing.assert_array_equal(np.asarray(draw(dataset)), colours)
    for how in ({"bits": 16}, {"colour_bar": True}):
        with pytest.raises(BadSelection):
            draw(dataset, **how)


def test_bars_leave_the_picture_where_it_is() -> None:
    """With colour bar and scale bar, the picture is unchanged, pixel by pixel, in the corner of a larger one."""
    dataset = make_dataset(make_noise((300, 400))).assign_coords(y=("y", np.arange(300.0), {"units": "ns"}))
    plain = np.asarray(draw(dataset, colours="magma").convert("RGB"))
    for how in ({"colour_bar": True}, {"scale_bar": True}, {"colour_bar": True, "scale_bar": True}):
        found = np.asarray(draw(dataset, colours="magma", **how))
        np.testing.assert_array_equal(found[:300, :400], plain)
        assert found.shape[0] * found.shape[1] > 300 * 400


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (40, 60)])
@pytest.mark.parametrize("how", ["linear", "sqrt", "log"])
def test_bars_of_any_picture(shape: tuple[int, int], how: str) -> None:
    """Bars can be drawn beside a picture of any shape and range, also a constant one."""
    for values in (
        make_noise(shape),
        np.zeros(shape),
        make_noise(shape) * 1e30,
        make_noise(shape) * 1e-30,
        np.full(shape, np.nan),
    ):
        with_bars = draw(make_dataset(values), scaling=how, colour_bar=True, scale_bar=True)

        assert with_bars.width > shape[1]
        assert with_bars.height > shape[0]


def test_long_names_have_an_end() -> None:
    """A very long title does not make the picture very long."""
    dataset = make_dataset(make_noise(), long_name="x" * 100_000)
    dataset["result"].attrs["units"] = "y" * 100_000

    assert max(draw(dataset, colour_bar=True, scale_bar=True).size) < 2000


def test_sides_of_a_jpeg() -> None:
    """An image too large for a JPEG is refused, and a PNG can hold it."""
    dataset = make_dataset(np.zeros((1, 65_501), "u1"))

    assert draw(dataset).size == (65_501, 1)
    with pytest.raises(BadSelection, match="ask for a smaller size"):
        jpeg.encode(dataset, Display())


def test_scale_bar_is_as_long_as_it_says() -> None:
    """A scale bar over pixels of 0.5 mm has the length of a round number of millimetres."""
    found = np.asarray(draw(make_dataset(np.zeros((100, 400))), scale_bar=True).convert("L"))[100:]
    longest = max(int((row[:108] < 128).sum()) for row in found)

    assert longest == 100  # 50 mm, the greatest round number within three tenths of 200 mm
