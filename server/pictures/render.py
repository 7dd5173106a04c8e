"""Turn the levels of a picture into coloured pixels, with a legend beside them; the same for PNG and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from PIL import Image

from shotdap.server.encoders.one_variable import get_single_variable
from shotdap.server.pictures.caption import Caption
from shotdap.server.pictures.colour_maps import GREY, parse_colour, sample_colour_map
from shotdap.server.pictures.legend import add_legend
from shotdap.server.pictures.levels import Display, compute_picture
from shotdap.server.pictures.orientation import AS_STORED, choose_orientation
from shotdap.transforms import BadSelection

_WHITE: Final = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class RenderedPicture:
    """Pixels and their caption."""

    image: Image.Image
    """An image of the mode ``L``, ``P``, ``RGB`` or ``I;16``."""
    caption: Caption
    transparent_level: int | None = None
    """The level of transparent pixels."""


def render_picture(dataset: xr.Dataset, display: Display, what: str) -> RenderedPicture:
    """Paint the only variable of a dataset.

    Args:
        dataset: the variable and its coordinates.
        display: the parameters of the picture.
        what: the beginning of the sentence that refuses several variables: ``A PNG shows``.

    Raises:
        BadSelection: there are several variables, or the only one is no image.
    """
    name, variable = get_single_variable(dataset, what)
    orientation = choose_orientation(dataset.attrs, variable, display)
    if orientation != AS_STORED:
        dataset = orientation.turn_dataset(dataset, name)
        variable = dataset.variables[name]
    picture = compute_picture(variable, display)
    caption = Caption(dataset, name, picture, display)
    missing_level = None if picture.missing is None else picture.scale.level_count
    if display.bits == 16:  # noqa: PLR2004 — see `Display.bits`
        if picture.is_coloured or display.colour_bar or display.scale_bar:
            raise BadSelection("A picture of 16 bits is in greys, with nothing drawn beside it; ask for 8 bits.")
        return RenderedPicture(Image.fromarray(picture.levels), caption, missing_level)
    if picture.is_coloured and display.colour_bar:
        raise BadSelection("A picture in red, green and blue has no colour bar: its colours are the values.")
    missing_colour = parse_colour(display.missing) if display.missing else _WHITE
    if picture.is_coloured:
        if picture.missing is not None:
            picture.levels[picture.missing] = missing_colour
        image = Image.fromarray(np.ascontiguousarray(picture.levels))
    else:
        image = Image.fromarray(picture.levels)
        if picture.missing is not None or display.colours != GREY:
            colours = sample_colour_map(display.colours, picture.scale.level_count).tobytes()
            image.putpalette(colours if picture.missing is None else colours + bytes(missing_colour))
    if display.colour_bar or display.scale_bar:
        return RenderedPicture(add_legend(image.convert("RGB"), caption), caption)
    is_transparent = image.mode == "P" and display.missing is None
    return RenderedPicture(image, caption, missing_level if is_transparent else None)
