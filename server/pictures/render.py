"""From a picture's levels to pixels in colours, with what is drawn beside them; the same for PNG and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from shotdap.server.encoders.one_variable import sole
from shotdap.server.pictures import legend
from shotdap.server.pictures.colour_maps import GREY, Colour, colour, palette
from shotdap.server.pictures.levels import Display, picture
from shotdap.server.pictures.metadata import Caption
from shotdap.transforms import BadSelection

__all__ = ["Painted", "painted"]

_WHITE: Final = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Painted:
    """Pixels, and what is to be said of them."""

    image: Image.Image
    """Of the mode ``L``, ``P``, ``RGB`` or ``I;16``."""
    caption: Caption
    transparent: int | None = None
    """The level that is to be seen through."""


def painted(dataset: xr.Dataset, display: Display, what: str) -> Painted:
    """The picture of a dataset's one variable.

    Args:
        dataset: narrowed to it, and its coordinates.
        display: how it is shown.
        what: how the sentence begins that refuses many variables: ``A PNG shows``.

    Raises:
        BadSelection: there are many variables, or it is no image.
    """
    name, variable = sole(dataset, what)
    made = picture(variable, display)
    caption = Caption(dataset, name, made, display)
    if display.bits == 16:  # noqa: PLR2004 — as said there
        return _deep(caption)
    if made.is_coloured and display.colour_bar:
        raise BadSelection("A picture in red, green and blue has no colour bar: its colours are the values.")
    image = _coloured(caption)
    if display.colour_bar or display.scale_bar:
        image = legend.beside(image.convert("RGB"), caption)
        return Painted(image, caption)
    transparent = made.scale.levels if made.missing is not None and display.missing is None else None
    return Painted(image, caption, transparent if image.mode == "P" else None)


def _deep(caption: Caption) -> Painted:
    display, made = caption.display, caption.picture
    if made.is_coloured or display.colour_bar or display.scale_bar:
        raise BadSelection("A picture of 16 bits is in greys, with nothing drawn beside it; ask for 8 bits.")
    return Painted(Image.fromarray(made.levels), caption, None if made.missing is None else made.scale.levels)


def _coloured(caption: Caption) -> Image.Image:
    display, made = caption.display, caption.picture
    if made.is_coloured:
        return Image.fromarray(_filled(caption))
    image = Image.fromarray(made.levels)
    if made.missing is None and display.colours == GREY:
        return image
    colours = palette(display.colours, made.scale.levels).tobytes()
    image.putpalette(colours if made.missing is None else colours + bytes(_of_missing(display)))
    return image


def _filled(caption: Caption) -> NDArray[Any]:
    made = caption.picture
    if made.missing is not None:
        made.levels[made.missing] = _of_missing(caption.display)
    return np.ascontiguousarray(made.levels)


def _of_missing(display: Display) -> Colour:
    return colour(display.missing) if display.missing else _WHITE
