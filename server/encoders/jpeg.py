"""JPEG: a picture of one image, small and lossy, which says how it was made of the values.

The comment is the JSON that a PNG has under ``shotdap``; the EXIF data hold the description in words. JPEG alters
levels by a few, so values that are read back are near what they were; a PNG has them exactly.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import xarray as xr
from PIL import ExifTags, Image

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.ascii_text import convert_to_ascii
from shotdap.server.encoders.blocks import wrap_file
from shotdap.server.pictures.caption import SOFTWARE, Caption
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.render import paint_picture
from shotdap.transforms import BadSelection

_MAX_COMMENT_SIZE: Final = 65_533  # bytes of a comment: its segment counts in 16 bits
_DEEP_BITS: Final = 16  # bits
_MAX_SIDE: Final = 65_500  # pixels of a side: libjpeg's JPEG_MAX_DIMENSION


def encode(dataset: xr.Dataset, display: Display) -> EncodedFile:
    """The picture of the dataset's one variable as a JPEG file; see `Format.encode`."""
    if display.bits == _DEEP_BITS:
        raise BadSelection("JPEG has 8 bits for each colour; ask for png with 16, or for tiff.")
    made = paint_picture(dataset, display, "A JPEG shows")
    if max(made.image.size) > _MAX_SIDE:
        raise BadSelection(f"A JPEG has {_MAX_SIDE:,} rows and columns at most; ask for a smaller size, or for png.")
    image = made.image if made.image.mode == "L" else made.image.convert("RGB")
    file = BytesIO()
    said = {"comment": _encode_comment(made.caption), "exif": _build_exif(made.caption)}
    image.save(file, "JPEG", quality=display.quality, subsampling=0, **said)
    return wrap_file(file)


def _encode_comment(caption: Caption) -> bytes:
    """The document; without the attributes where they are too long for the format."""
    whole = caption.render_json().encode()
    return whole if len(whole) <= _MAX_COMMENT_SIZE else caption.render_json(with_attributes=False).encode()


def _build_exif(caption: Caption) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = convert_to_ascii(caption.description)
    exif[ExifTags.Base.Software] = SOFTWARE
    return exif
