"""PNG and JPEG pictures, such as old quick-looks, read by Pillow.

The picture is the array ``image``: (y, x), or (y, x, band) for red, green, blue and perhaps alpha. A picture with a
palette is given in the palette's colours: in these formats the numbers of colours mean nothing by themselves. Nothing
is turned or scaled; what the file says of orientation and resolution stays among the attributes.

Rule: Pillow reads 16-bit colour as 8-bit without a word, and skips the checksums of a PNG's pixels. Here the first is
left to imagecodecs, and the second is made up for.
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
from shotdap.catalog.readers.attributes import Attribute, join_attributes, normalize_attributes, normalize_scalar
from shotdap.catalog.readers.dimensions import build_dataset
from shotdap.catalog.readers.lazy import Array, BasicIndex, BlockSource, Memo, create_lazy_variable
from shotdap.catalog.storage import FilePath

_MAX_PIXELS = 80_000_000  # more than any camera's picture, and less than makes Pillow warn of bombs
_TOO_LARGE_MESSAGE = f"The picture has more than {_MAX_PIXELS:,} pixels."
_MAX_TEXT_LENGTH = 64 << 10  # characters
_BAND_COUNTS: Mapping[str, int] = MappingProxyType({"L": 1, "I;16": 1, "I": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4})
_MODE_DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType({"I;16": np.dtype("u2"), "I": np.dtype("i4")})
_DECODED_MODES: Mapping[str, str] = MappingProxyType(
    {"1": "L", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB", "I;16B": "I;16"}
)
# What Pillow says about how it reads, which describes no picture.
_INTERNAL_KEYS = frozenset({"exif", "icc_profile", "transparency", "default_image", "progressive", "progression"})
# PNG specification, 11.2.1: where the first chunk has its depth and its kind of colour.
_DEPTH_AND_COLOUR = struct.Struct(">24xBB")
_GRAY_TYPE, _PALETTE_TYPE = 0, 3


def _read_picture(path: FilePath, memo: Memo, *, format_: str) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    with _open_picture(path, format_) as picture:
        header = _PictureHeader(picture.mode, picture.width, picture.height, _is_deep_colour(path, format_))
        header.check_supported()
        attributes = _read_picture_attributes(picture)
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


def _is_deep_colour(path: FilePath, format_: str) -> bool:
    """Whether a picture has 16 bits for each colour.

    Raises:
        Unreadable: it has, and imagecodecs is not there.
    """
    if format_ != "PNG":
        return False
    with path.open("rb") as file:
        depth, colour = _DEPTH_AND_COLOUR.unpack(file.read(_DEPTH_AND_COLOUR.size))
    is_deep = depth == 16 and colour not in {_GRAY_TYPE, _PALETTE_TYPE}  # noqa: PLR2004 — bits
    if is_deep and find_spec("imagecodecs") is None:
        raise Unreadable("This PNG has 16 bits for each colour, which needs imagecodecs: install shotdap[codecs].")
    return is_deep


def _read_picture_attributes(picture: Image.Image) -> dict[str, Attribute]:
    own = {
        name: _normalize_value(value)
        for name, value in picture.info.items()
        if isinstance(name, str) and name not in _INTERNAL_KEYS
    }
    # Of a PNG without Exif, getexif would decode the pixels to look behind them.
    exif = {
        f"Exif/{ExifTags.TAGS.get(number, number)}": _normalize_value(value)
        for number, value in (picture.getexif().items() if "exif" in picture.info else ())
    }
    return join_attributes(normalize_attributes(own), normalize_attributes(exif, paths=True))


def _normalize_value(value: Any) -> Any:  # noqa: ANN401 — whatever Pillow gives
    """A value that can be cleaned; one that cannot be carried is empty, and so will be named among the omitted."""
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
    """What a picture says of itself."""

    mode: str
    width: int
    height: int
    is_deep: bool
    """Whether it has 16 bits for each colour."""

    def check_supported(self) -> None:
        """See that the picture can be read.

        Raises:
            Unreadable: it is too large, or of a kind that is not known.
        """
        if self.width * self.height > _MAX_PIXELS:
            raise Unreadable(_TOO_LARGE_MESSAGE)
        if self.decoded_mode not in _BAND_COUNTS:
            raise Unreadable(f"The picture is of Pillow's mode {self.mode}, which is not known here.")

    @property
    def decoded_mode(self) -> str:
        """The mode that its values are given in."""
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
            picture.verify()  # the checksums of a PNG; afterwards the picture has to be opened anew
        with _open_picture(self.path, self.format) as picture:
            values = _decode_deep_png(self.path) if self.header.is_deep else _shallow(picture, self.header.decoded_mode)
            return values.astype(self.dtype, copy=False).reshape(self.shape)[key]


def _shallow(picture: Image.Image, mode: str) -> Array:
    return np.asarray(picture if picture.mode == mode else picture.convert(mode))


def _decode_deep_png(path: FilePath) -> Array:
    from imagecodecs import png_decode  # noqa: PLC0415 — an extra; whether it is there was asked while opening

    with path.open("rb") as file:
        return np.asarray(png_decode(file.read()))
