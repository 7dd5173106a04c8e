"""JPEG: a small and lossy picture of one image, with the scaling of its values in the metadata.

The comment is the JSON that a PNG has under ``shotdap``; the EXIF data contain the description in words. JPEG changes
levels slightly, so values that are read back are only near the original; a PNG has them exactly.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import xarray as xr
from PIL import ExifTags, Image

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.pictures.ascii_text import convert_to_ascii
from shotdap.server.pictures.caption import SOFTWARE
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.render import render_picture
from shotdap.transforms import BadSelection

_MAX_COMMENT_SIZE: Final = 65_533  # bytes: the length of its segment has 16 bits
_DEEP_BITS: Final = 16
_MAX_SIDE: Final = 65_500  # pixels: libjpeg's JPEG_MAX_DIMENSION


def encode(dataset: xr.Dataset, display: Display) -> EncodedFile:
    """Encode a picture of the only variable as a JPEG file; see `Format.encode`."""
    if display.bits == _DEEP_BITS:
        raise BadSelection("JPEG has 8 bits for each colour; ask for png with 16, or for tiff.")
    picture = render_picture(dataset, display, "A JPEG shows")
    if max(picture.image.size) > _MAX_SIDE:
        raise BadSelection(f"A JPEG has {_MAX_SIDE:,} rows and columns at most; ask for a smaller size, or for png.")
    image = picture.image if picture.image.mode == "L" else picture.image.convert("RGB")
    comment = picture.caption.render_json().encode()
    if len(comment) > _MAX_COMMENT_SIZE:
        comment = picture.caption.render_json(with_attributes=False).encode()
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = convert_to_ascii(picture.caption.description)
    exif[ExifTags.Base.Software] = SOFTWARE
    file = BytesIO()
    image.save(file, "JPEG", quality=display.quality, subsampling=0, comment=comment, exif=exif)
    return wrap_file(file)
