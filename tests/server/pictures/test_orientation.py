"""Orientations of pictures: those of the transform that turns images."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal, cast

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.orientation import AS_STORED, Orientation, choose_orientation
from shotdap.server.pictures.render import render_picture
from shotdap.transforms.geometry import rotate_flip

PIXELS = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(("rotation", "flip"), [*product((0, 90, 180, 270), ("none", "x", "Y", "XY"))])
def test_as_the_transform(rotation: Literal[0, 90, 180, 270], flip: str) -> None:
    """A picture is turned as `rotate_flip` turns the image; its rows are those of the turned array."""
    image = xr.DataArray(PIXELS, dims=("y", "x"))
    expected = rotate_flip(image, rotation=rotation, flip=cast("Any", flip.lower()))
    attributes = {"display_rotation": np.int32(rotation), "display_flip": flip}
    orientation = Orientation.from_attributes(attributes)
    turned = orientation.turn_dataset(xr.Dataset({"image": image}), "image")["image"]

    np.testing.assert_array_equal(orientation.turn_pixels(PIXELS), expected)
    np.testing.assert_array_equal(turned, expected)
    assert turned.dims == expected.dims


@pytest.mark.parametrize(
    "attributes", [{}, {"display_rotation": 45}, {"display_rotation": "x"}, {"display_flip": ["x", "y"]}]
)
def test_as_stored(attributes: dict[str, object]) -> None:
    """An image whose attributes tell nothing, or nothing that is known, is shown as it is stored."""
    assert Orientation.from_attributes(attributes) == AS_STORED


def test_colours() -> None:
    """Colours stay behind rows and columns, and a picture in colours is turned, too."""
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    dataset = xr.Dataset({"image": (("y", "x", "band"), pixels)}, attrs={"display_rotation": 90})
    picture = render_picture(dataset, Display(orientation="displayed"), "This shows").image

    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(Image.fromarray(pixels).rotate(-90, expand=True)))


def test_choice() -> None:
    """Only a picture as displayed is turned, and no curve."""
    attributes = {"display_rotation": 180}
    image, curve = xr.Variable(("y", "x"), PIXELS), xr.Variable("x", PIXELS[0])

    assert choose_orientation(attributes, image, Display(orientation="displayed")) == Orientation(
        is_upwards=True, is_leftwards=True
    )
    assert choose_orientation(attributes, image, Display()) == AS_STORED
    assert choose_orientation(attributes, curve, Display(orientation="displayed")) == AS_STORED
