"""WebP: a very small and lossy picture, for pages. Curves are drawn as curves."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import xarray as xr

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.encoders.one_variable import get_single_variable
from shotdap.server.pictures.curves import are_curves, draw_curves
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.render import render_picture
from shotdap.transforms import BadSelection

_DEEP_BITS: Final = 16
_MAX_SIDE: Final = 16_383  # pixels: the limit of the format
_CURVES_SIZE: Final = 512  # pixels of the longer side, unless the size is given
_WHAT: Final = "A WebP shows"
_METHOD: Final = 4  # of 6: a third of the time of the last two, which save 3 %


def encode(dataset: xr.Dataset, display: Display) -> EncodedFile:
    """Encode a picture of the only variable as a WebP file; see `Format.encode`."""
    if display.bits == _DEEP_BITS:
        raise BadSelection("WebP has 8 bits for each colour; ask for png with 16, or for tiff.")
    variable = get_single_variable(dataset, _WHAT)[1]
    if are_curves(variable):
        image = draw_curves(variable, display.size or _CURVES_SIZE)
    else:
        picture = render_picture(dataset, display, _WHAT)
        is_transparent = picture.transparent_level is not None
        if is_transparent:
            picture.image.info["transparency"] = picture.transparent_level
        image = picture.image.convert("RGBA" if is_transparent else "RGB")
    if max(image.size) > _MAX_SIDE:
        raise BadSelection(f"A WebP has {_MAX_SIDE:,} rows and columns at most; ask for a smaller size, or for png.")
    file = BytesIO()
    image.save(file, "WEBP", quality=display.quality, method=_METHOD)
    return wrap_file(file)
