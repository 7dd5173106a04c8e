"""PNG and JPEG pictures, such as old quick-looks, read by Pillow.

The picture is the array ``image``: (y, x), or (y, x, band) for red, green, blue and perhaps alpha. A picture with a
palette is returned in the palette's colours, since its indices mean nothing by themselves in these formats. Pictures
are not rotated or scaled; orientation and resolution stay attributes.

Rule: Pillow reads 16-bit colour as 8-bit without a warning, and skips the checksums of a PNG's pixels. So imagecodecs
decodes the former, and the latter are verified here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from PIL import ExifTags, Image

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.readers.attributes import join_attributes, normalize_attributes, normalize_scalar
from shotdap.catalog.readers.dimensions import build_dataset
from shotdap.catalog.readers.lazy import Array, BasicIndex, BlockSource, create_lazy_variable
from shotdap.catalog.storage import FilePath
from shotdap.transforms import Memo

_MAX_PIXELS = 80_000_000  # more than any camera's picture, and less than makes Pillow warn of bombs
_TOO_LARGE_MESSAGE = f"The picture has more than {_MAX_PIXELS:,} pixels."
_MAX_TEXT_LENGTH = 64 << 10  # characters
_BAND_COUNTS: Mapping[str, int] = MappingProxyType({"L": 1, "I;16": 1, "I": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4})
_MODE_DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType({"I;16": np.dtype("u2"), "I": np.dtype("i4")})
_DECODED_MODES: Mapping[str, str] = MappingProxyType(
    {"1": "L", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB", "I;16B": "I;16"}
)
# Keys of Pillow about its decoding, which describe no picture.
_INTERNAL_KEYS = frozenset({"exif", "icc_profile", "transparency", "default_image", "progressive", "progression"})
# PNG specification, 11.2.1: the bit depth and the colour type in the first chunk.
_DEPTH_AND_COLOUR = struct.Struct(">24xBB")
_GRAY_TYPE, _PALETTE_TYPE = 0, 3


def _read_picture(path: FilePath, memo: Memo, *, format_: str) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    with _open_picture(path, format_) as picture:
        is_deep = False
        if format_ == "PNG":
            with path.open("rb") as file:
                depth, colour = _DEPTH_AND_COLOUR.unpack(file.read(_DEPTH_AND_COLOUR.size))
            is_deep = depth == 16 and colour not in {_GRAY_TYPE, _PALETTE_TYPE}  # noqa: PLR2004 — bits
        if is_deep and find_spec("imagecodecs") is None:
            raise Unreadable("This PNG has 16 bits for each colour, which needs imagecodecs: install shotdap[codecs].")
        header = _PictureHeader(picture.mode, picture.width, picture.height, is_deep)
        if header.width * header.height > _MAX_PIXELS:
            raise Unreadable(_TOO_LARGE_MESSAGE)
        if header.decoded_mode not in _BAND_COUNTS:
            raise Unreadable(f"The picture is of Pillow's mode {header.mode}, which is not known here.")
        own = {
            name: _normalize_value(value)
            for name, value in picture.info.items()
            if isinstance(name, str) and name not in _INTERNAL_KEYS
        }
        # On a PNG without Exif, getexif would decode the pixels to look behind them.
        exif = {
            f"Exif/{ExifTags.TAGS.get(number, number)}": _normalize_value(value)
            for number, value in (picture.getexif().items() if "exif" in picture.info else ())
        }
        attributes = join_attributes(normalize_attributes(own), normalize_attributes(exif, paths=True))
    dimensions = ("y", "x", "band")[: len(header.shape)]
    source = BlockSource(_PictureSource(path, format_, header), "image", header.height, memo)
    converted = {"original_mode": header.mode} if header.mode != header.decoded_mode else {}
    coordinates = {
        name: xr.Variable((name,), np.arange(size, dtype=np.int32), {"units": "pixel"})
        for name, size in zip(("y", "x"), header.shape, strict=False)
    }
    return build_dataset({"image": create_lazy_variable(dimensions, source, converted)} | coordinates, attributes)


read_png = partial(_read_picture, format_="PNG")
read_jpeg = partial(_read_picture, format_="JPEG")


@contextmanager
def _open_picture(path: FilePath, format_: str) -> Iterator[Image.Image]:
    try:
        with path.open("rb") as file, Image.open(file, formats=(format_,)) as picture:
            yield picture
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(_TOO_LARGE_MESSAGE) from error
    except Exception as error:  # a damaged file makes Pillow raise anything
        raise Unreadable(f"The {format_} file cannot be read; it may be damaged or cut short.") from error


def _normalize_value(value: Any) -> Any:  # noqa: ANN401 — any value of Pillow
    """Return a value for `normalize_attributes`; an unsupported one is empty, and so listed among the omissions."""
    if isinstance(value, str | bytes):
        return value if len(value) <= _MAX_TEXT_LENGTH else np.empty(0)
    if isinstance(value, int):
        return normalize_scalar(value)
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError, ZeroDivisionError):
        return np.empty(0)


@dataclass(frozen=True)
class _PictureHeader:
    """The header of a picture."""

    mode: str
    width: int
    height: int
    is_deep: bool
    """Whether the picture has 16 bits for each colour."""

    @property
    def decoded_mode(self) -> str:
        """Pillow's mode of the decoded values."""
        return _DECODED_MODES.get(self.mode, self.mode)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        bands = _BAND_COUNTS[self.decoded_mode]
        return (self.height, self.width, bands) if bands > 1 else (self.height, self.width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return np.dtype("u2") if self.is_deep else _MODE_DTYPES.get(self.decoded_mode, np.dtype("u1"))


@dataclass(frozen=True)
class _PictureSource:
    """A picture, which can only be decoded as a whole."""

    path: FilePath
    format: str
    header: _PictureHeader

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.header.dtype

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        with _open_picture(self.path, self.format) as picture:
            picture.verify()  # the checksums of a PNG; afterwards the picture has to be opened again
        with _open_picture(self.path, self.format) as picture:
            if self.header.is_deep:
                from imagecodecs import png_decode  # noqa: PLC0415 — an extra; opening checked that it is installed

                with self.path.open("rb") as file:
                    values = np.asarray(png_decode(file.read()))
            else:
                mode = self.header.decoded_mode
                values = np.asarray(picture if picture.mode == mode else picture.convert(mode))
            return values.astype(self.dtype, copy=False).reshape(self.shape)[key]
