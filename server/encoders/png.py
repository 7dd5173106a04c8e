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

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.blocks import wrap_file
from shotdap.server.pictures.caption import SOFTWARE, Caption
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.render import paint_picture

# Measured of 2048 x 2048 noisy pixels: filtered greys by run lengths, 134 ms and 1.9 MB (level 1: 201 and 2.2; level 6:
# 849 and 1.9); palettes by level 1, 85 ms and 2.7 MB; 16 bits likewise, 320 ms and 5.6 MB (level 6: 3,200 and 5.4).
_COMPRESSION_LEVEL: Final = 1
_STRATEGIES: Final = {"L": zlib.Z_RLE}


def encode(dataset: xr.Dataset, display: Display) -> EncodedFile:
    """The picture of the dataset's one variable as a PNG file; see `Format.encode`."""
    made = paint_picture(dataset, display, "A PNG shows")
    transparency: dict[str, Any] = {} if made.transparent_level is None else {"transparency": made.transparent_level}
    strategy = _STRATEGIES.get(made.image.mode, zlib.Z_DEFAULT_STRATEGY)
    file = BytesIO()
    texts = _build_text_chunks(made.caption)
    made.image.save(
        file, "PNG", compress_level=_COMPRESSION_LEVEL, compress_type=strategy, pnginfo=texts, **transparency
    )
    return wrap_file(file)


def _build_text_chunks(caption: Caption) -> PngInfo:
    texts = PngInfo()
    said = {
        "Title": caption.title,
        "Description": caption.description,
        "Software": SOFTWARE,
        "Source": caption.source,
        "shotdap": caption.render_json(),
    }
    for keyword, text in said.items():
        if text:
            texts.add_itxt(keyword, text)
    return texts
