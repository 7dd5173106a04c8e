"""PNG: a picture of one image, of 8 bits in colours or of 16 in greys, which says how it was made of the values.

Colours are a palette, so that each pixel is the level itself: what reads the file's numbers (``numpy.asarray`` of
Pillow's image) has levels, and the text ``shotdap`` says in JSON what they mean. What is missing is seen through. Of
16 bits, an image of unsigned integers goes out untouched where no range is asked for.

Texts (PNG Specification, 11.3.4): ``Title``, ``Description``, ``Software``, ``Source`` and ``shotdap``, in UTF-8.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any, Final

import xarray as xr
from PIL.PngImagePlugin import PngInfo

from shotdap.server.encoders import Encoded
from shotdap.server.encoders.blocks import of_file
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.metadata import SOFTWARE, Caption
from shotdap.server.pictures.render import painted

__all__ = ["encode"]

# Measured of 2048 x 2048 noisy pixels: filtered greys by run lengths, 134 ms and 1.9 MB (level 1: 201 and 2.2; level 6:
# 849 and 1.9); palettes by level 1, 85 ms and 2.7 MB; 16 bits likewise, 320 ms and 5.6 MB (level 6: 3,200 and 5.4).
_LEVEL: Final = 1
_STRATEGIES: Final = {"L": zlib.Z_RLE}


def encode(dataset: xr.Dataset, display: Display) -> Encoded:
    """The picture of the dataset's one variable as a PNG file; see `Format.encode`."""
    made = painted(dataset, display, "A PNG shows")
    transparency: dict[str, Any] = {} if made.transparent is None else {"transparency": made.transparent}
    strategy = _STRATEGIES.get(made.image.mode, zlib.Z_DEFAULT_STRATEGY)
    file = BytesIO()
    texts = _texts(made.caption)
    made.image.save(file, "PNG", compress_level=_LEVEL, compress_type=strategy, pnginfo=texts, **transparency)
    return of_file(file)


def _texts(caption: Caption) -> PngInfo:
    texts = PngInfo()
    said = {
        "Title": caption.title,
        "Description": caption.description,
        "Software": SOFTWARE,
        "Source": caption.source,
        "shotdap": caption.document(),
    }
    for keyword, text in said.items():
        if text:
            texts.add_itxt(keyword, text)
    return texts
