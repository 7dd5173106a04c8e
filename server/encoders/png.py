"""PNG: a picture of one image, 8 bits in colours or 16 in greys, with the scaling of its values in the metadata.

Colours are a palette, so that each pixel is the level itself: a program that reads the numbers of the file
(``numpy.asarray`` of Pillow's image) gets levels, and the text ``shotdap`` contains their scale in JSON. Missing pixels
are transparent. With 16 bits and no range, the values of an image of unsigned integers are the levels.

Texts (PNG Specification, 11.3.4): ``Title``, ``Description``, ``Software``, ``Source`` and ``shotdap``, in UTF-8.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any, Final

import xarray as xr
from PIL.PngImagePlugin import PngInfo

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.pictures.caption import SOFTWARE
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.render import render_picture

# Measured for 2048 x 2048 noisy pixels: filtered greys by run lengths, 134 ms and 1.9 MB (level 1: 201 and 2.2; level
# 6: 849 and 1.9); palettes by level 1, 85 ms and 2.7 MB; 16 bits likewise, 320 ms and 5.6 MB (level 6: 3,200 and 5.4).
_COMPRESSION_LEVEL: Final = 1
_STRATEGIES: Final = {"L": zlib.Z_RLE}


def encode(dataset: xr.Dataset, display: Display) -> EncodedFile:
    """Encode a picture of the only variable as a PNG file; see `Format.encode`."""
    picture = render_picture(dataset, display, "A PNG shows")
    caption = picture.caption
    texts = {
        "Title": caption.title,
        "Description": caption.description,
        "Software": SOFTWARE,
        "Source": caption.source,
        "shotdap": caption.render_json(),
    }
    chunks = PngInfo()
    for keyword, text in texts.items():
        if text:
            chunks.add_itxt(keyword, text)
    options: dict[str, Any] = {"compress_type": _STRATEGIES.get(picture.image.mode, zlib.Z_DEFAULT_STRATEGY)}
    if picture.transparent_level is not None:
        options["transparency"] = picture.transparent_level
    file = BytesIO()
    picture.image.save(file, "PNG", compress_level=_COMPRESSION_LEVEL, pnginfo=chunks, **options)
    return wrap_file(file)
