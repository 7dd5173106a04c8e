"""Colours of pictures: maps from levels to colours, and named colours."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from shotdap.transforms.selection import BadSelection

Bytes: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""

GREY: Final = "gray"
"""The map whose colours are the levels themselves."""

_CACHE_SIZE: Final = 64  # colour maps kept in memory: more than anybody uses at a time


@lru_cache(_CACHE_SIZE)
def sample_colour_map(name: str, count: int = 256) -> Bytes:
    """Return the colours of a map.

    Args:
        name: as `cmap` knows it: ``viridis``, ``gray``, ``cmocean:thermal``, ``magma_r``.
        count: the number of levels, from the darkest value to the brightest.

    Returns:
        ``[count, 3]``: red, green and blue.

    Raises:
        BadSelection: no colour map has this name.
    """
    places = np.linspace(0, 1, count)
    colours = _find_colour_map(name)(places)[:, :3] if name != GREY else np.repeat(places[:, np.newaxis], 3, axis=1)
    samples: Bytes = np.rint(colours * 255).astype(np.uint8)
    samples.flags.writeable = False
    return samples


def check_colour_map(name: str) -> None:
    """Check that a colour map of this name exists.

    Raises:
        BadSelection: no colour map has this name.
    """
    if name != GREY:
        _find_colour_map(name)


def parse_colour(name: str) -> Colour:
    """Parse a colour: a name of CSS, or ``#rrggbb``.

    Raises:
        BadSelection: the text is no colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise BadSelection(f"There is no colour {name!r}; there are those of CSS, such as red or #ff8000.") from None
    return red, green, blue


@lru_cache(_CACHE_SIZE)
def _find_colour_map(name: str) -> Any:  # noqa: ANN401 — a colour map; naming its type would import the library
    from cmap import Colormap  # noqa: PLC0415 — 0.3 s, which only colours need

    try:
        return Colormap(name)
    except ValueError:
        raise BadSelection(
            f"There is no colour map {name!r}; there are gray, viridis, magma, turbo, cmocean:thermal and the others of"
            " cmap, each reversed with _r."
        ) from None
