"""JPEG: a picture of one image, small and lossy, which says how it was made of the values.

The comment is the JSON that a PNG has under ``shotdap``; the EXIF data hold the description in words. JPEG alters
levels by a few, so values that are read back are near what they were; a PNG has them exactly.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import xarray as xr
from PIL import ExifTags, Image

from shotdap.server.encoders import Encoded
from shotdap.server.encoders.ascii_text import in_ascii
from shotdap.server.encoders.blocks import of_file
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.metadata import SOFTWARE, Caption
from shotdap.server.pictures.render import painted
from shotdap.transforms import BadSelection

__all__ = ["encode"]

_LONGEST: Final = 65_533  # bytes of a comment: its segment counts in 16 bits
_DEEP: Final = 16  # bits
_MOST: Final = 65_500  # pixels of a side: libjpeg's JPEG_MAX_DIMENSION


def encode(dataset: xr.Dataset, display: Display) -> Encoded:
    """The picture of the dataset's one variable as a JPEG file; see `Format.encode`."""
    if display.bits == _DEEP:
        raise BadSelection("JPEG has 8 bits for each colour; ask for png with 16, or for tiff.")
    made = painted(dataset, display, "A JPEG shows")
    if max(made.image.size) > _MOST:
        raise BadSelection(f"A JPEG has {_MOST:,} rows and columns at most; ask for a smaller size, or for png.")
    image = made.image if made.image.mode == "L" else made.image.convert("RGB")
    file = BytesIO()
    said = {"comment": _comment(made.caption), "exif": _exif(made.caption)}
    image.save(file, "JPEG", quality=display.quality, subsampling=0, **said)
    return of_file(file)


def _comment(caption: Caption) -> bytes:
    """The document; without the attributes where they are too long for the format."""
    whole = caption.document().encode()
    return whole if len(whole) <= _LONGEST else caption.document(with_attributes=False).encode()


def _exif(caption: Caption) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = in_ascii(caption.description)
    exif[ExifTags.Base.Software] = SOFTWARE
    return exif
