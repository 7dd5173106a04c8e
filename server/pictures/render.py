"""From a picture's levels to pixels in colours, with what is drawn beside them; the same for PNG and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from shotdap.server.encoders.one_variable import get_single_variable
from shotdap.server.pictures import legend
from shotdap.server.pictures.caption import Caption
from shotdap.server.pictures.colour_maps import GREY, Colour, parse_colour, sample_colour_map
from shotdap.server.pictures.levels import Display, render_picture
from shotdap.transforms import BadSelection

_WHITE: Final = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class PaintedPicture:
    """Pixels, and what is to be said of them."""

    image: Image.Image
    """Of the mode ``L``, ``P``, ``RGB`` or ``I;16``."""
    caption: Caption
    transparent_level: int | None = None
    """The level that is to be seen through."""


def paint_picture(dataset: xr.Dataset, display: Display, what: str) -> PaintedPicture:
    """The picture of a dataset's one variable.

    Args:
        dataset: narrowed to it, and its coordinates.
        display: how it is shown.
        what: how the sentence begins that refuses many variables: ``A PNG shows``.

    Raises:
        BadSelection: there are many variables, or it is no image.
    """
    name, variable = get_single_variable(dataset, what)
    made = render_picture(variable, display)
    caption = Caption(dataset, name, made, display)
    if display.bits == 16:  # noqa: PLR2004 — as said there
        return _paint_deep_picture(caption)
    if made.is_coloured and display.colour_bar:
        raise BadSelection("A picture in red, green and blue has no colour bar: its colours are the values.")
    image = _apply_colours(caption)
    if display.colour_bar or display.scale_bar:
        image = legend.add_legend(image.convert("RGB"), caption)
        return PaintedPicture(image, caption)
    transparent = made.scale.level_count if made.missing is not None and display.missing is None else None
    return PaintedPicture(image, caption, transparent if image.mode == "P" else None)


def _paint_deep_picture(caption: Caption) -> PaintedPicture:
    display, made = caption.display, caption.picture
    if made.is_coloured or display.colour_bar or display.scale_bar:
        raise BadSelection("A picture of 16 bits is in greys, with nothing drawn beside it; ask for 8 bits.")
    return PaintedPicture(
        Image.fromarray(made.levels), caption, None if made.missing is None else made.scale.level_count
    )


def _apply_colours(caption: Caption) -> Image.Image:
    display, made = caption.display, caption.picture
    if made.is_coloured:
        return Image.fromarray(_fill_missing(caption))
    image = Image.fromarray(made.levels)
    if made.missing is None and display.colours == GREY:
        return image
    colours = sample_colour_map(display.colours, made.scale.level_count).tobytes()
    image.putpalette(colours if made.missing is None else colours + bytes(_get_missing_colour(display)))
    return image


def _fill_missing(caption: Caption) -> NDArray[Any]:
    made = caption.picture
    if made.missing is not None:
        made.levels[made.missing] = _get_missing_colour(caption.display)
    return np.ascontiguousarray(made.levels)


def _get_missing_colour(display: Display) -> Colour:
    return parse_colour(display.missing) if display.missing else _WHITE
