"""TIFF files, read by tifffile.

One page is the array ``image``, pages of one shape and type are the frames of ``frames``, and pages that differ are
``image_1``, ``image_2``, …; reduced pages, such as a preview, are ``reduced_1``, …. Values are the file's: never
inverted, rotated or coloured; the tags about that stay attributes, and a colour table is the array ``palette``.

Tags are attributes of the dataset, or of each array if there are several. The descriptions that Hamamatsu's HPD-TA and
HiPic and ImageJ write are parsed too: ``Acquisition/ExposureTime``, ``ImageJ/unit``. A tag that differs between frames
has one value for each frame.

A resolution becomes coordinates in um, except 72 and 96 dots per inch, which programs write if they know none.

Rule: tifffile continues on damage if it can, with fewer pages or with zeros. Here the chain of pages must be complete,
and every strip and tile must be within the file.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from tifffile import TiffFile, TiffFrame, TiffPage, TiffTag

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.readers.attributes import add_omissions, decode_text, normalize_attributes, normalize_scalar
from shotdap.catalog.readers.dimensions import build_dataset
from shotdap.catalog.readers.lazy import Array, ArraySource, BasicIndex, BlockSource, create_lazy_variable
from shotdap.catalog.readers.shared_sources import StackedSource, StridedSource
from shotdap.catalog.storage import FilePath
from shotdap.transforms import Memo

_MAX_PAGES = 10_000
_MAX_PAGE_SIZE = 1 << 30  # bytes that one page may decode to
_MAX_TAG_LENGTH = 4096  # values; longer tags are tables for the decoder
# Tag 259. For each supported compression: whether it needs the package imagecodecs.
_NEEDS_IMAGECODECS: Mapping[int, bool] = MappingProxyType({
    1: False,  # none
    5: True,  # LZW
    7: True,  # JPEG
    8: False,  # deflate
    32773: False,  # PackBits
    32946: False,  # deflate, its older number
    50000: True,  # Zstandard
})  # fmt: skip
_MAX_PADDING = 1 << 20  # bytes of padding that a strip may have
_DEFLATE_CODES = frozenset({8, 32946})
_MAX_DEFLATE_RATIO = 1032  # bytes for one: zlib, "Technical Details"
# The output types of bits, and of half precision, which no protocol carries.
_OUTPUT_DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType({"b1": np.dtype("u1"), "f2": np.dtype("f4")})
_BUILTIN_PREDICTORS = frozenset({1, 2})  # none, and differences of neighbours, which tifffile undoes by itself
# Tags with the offsets of the pixels, and tables for decoding them.
_INTERNAL_TAGS = frozenset({
    "StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "ColorMap", "JPEGTables", "FreeOffsets",
    "FreeByteCounts", "SubIFDs", "ReferenceBlackWhite", "IJMetadataByteCounts",
})  # fmt: skip
# Types of numbers, by the type codes of tags; TIFF 6.0, section 2, and BigTIFF.
_TAG_DTYPES: Mapping[int, str] = MappingProxyType({
    1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 16: "u8", 17: "i8",
})  # fmt: skip
_RATIONAL_TYPES = frozenset({5, 10})  # type codes of tags: numerators and denominators
_INCH, _CENTIMETRE = 2, 3  # tag 296
_UM_PER_UNIT: Mapping[int, float] = MappingProxyType({_INCH: 25400.0, _CENTIMETRE: 10000.0})
_DEFAULT_DPI = frozenset({72.0, 96.0})
_UM_PER_IMAGEJ_UNIT: Mapping[str, float] = MappingProxyType({
    "nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00B5m": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "cm": 1e4,
    "m": 1e6, "inch": 25400.0,
})  # fmt: skip


def read(path: FilePath, memo: Memo) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    with _open_tiff(path) as file:
        # Follow the chain of pages to its end, and compare its length with tifffile's number of pages.
        form, handle = file.tiff, file.filehandle
        seen: set[int] = set()
        handle.seek(form.offsetsize)  # the header's last item, in TIFF and in BigTIFF
        while offset := struct.unpack(form.offsetformat, handle.read(form.offsetsize))[0]:
            if offset in seen or offset >= handle.size or len(seen) == _MAX_PAGES:
                raise Unreadable("The TIFF file's chain of pages is broken; the file may be damaged or cut short.")
            seen.add(offset)
            handle.seek(offset)
            (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
            handle.seek(offset + form.tagnosize + tags * form.tagsize)
        if not seen or len(file.pages) != len(seen):
            raise Unreadable("The TIFF file's pages cannot all be read; the file may be damaged.")
        pages = [_read_page(path, file, index, memo) for index in range(len(file.pages))]
        first = file.pages[0]
        hints = dict(_parse_hamamatsu(str(first.description) if isinstance(first, TiffPage) else ""))
        hints |= {f"ImageJ/{name}": _normalize_value(value) for name, value in (file.imagej_metadata or {}).items()}
        usable = [page for page in pages if not page.unsupported_reason]
        if not usable:
            raise Unreadable(f"This TIFF {pages[0].unsupported_reason}.")
        full = [page for page in usable if not page.is_reduced] or usable
        reduced = [page for page in usable if page.is_reduced] if full is not usable else []
        images = {f"image_{n}": _ImageArray([page], f"image_{n}_") for n, page in enumerate(full, 1)}
        if len({page.stack_key for page in full}) == 1:
            images = {"frames" if len(full) > 1 or full[0].frame_count > 1 else "image": _ImageArray(full, "")}
        images |= {f"reduced_{n}": _ImageArray([page], f"reduced_{n}_") for n, page in enumerate(reduced, 1)}
        variables = {
            name: variable for name, image in images.items() for name, variable in image.build_variables(name).items()
        }
        only = next(iter(images.values())) if len(images) == 1 else None
        attributes = normalize_attributes({**(only.tags if only else {}), **hints}, paths=True)
        if not only:
            for name, image in images.items():
                variables[name].attrs |= normalize_attributes(image.tags)
        omitted = [f"page {page.index}: it {page.unsupported_reason}" for page in pages if page.unsupported_reason]
        return build_dataset(variables, add_omissions(attributes, omitted))


@contextmanager
def _open_tiff(path: FilePath) -> Iterator[TiffFile]:
    try:
        with path.open("rb") as content, TiffFile(content) as file:  # given a path, tifffile would resolve links itself
            yield file
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except Exception as error:  # a damaged file makes tifffile, NumPy or a decoder raise anything
        raise Unreadable("The TIFF file cannot be read; it may be damaged or cut short.") from error


@dataclass(frozen=True)
class _Page:
    """The contents of one page, and the source of its values."""

    index: int
    source: ArraySource | None
    tags: Mapping[str, Any]
    pixel_size: tuple[float, float] | None
    """Height and width of a pixel in um, if the file states them."""
    palette: Array | None = None
    is_reduced: bool = False
    frame_count: int = 1
    """Number of consecutive frames that this page stands for: more than 1 in ImageJ's large stacks."""
    unsupported_reason: str = ""
    """The reason why the page cannot be read; empty if it can."""

    @property
    def stack_key(self) -> object:
        """The properties that pages must have in common to be frames of one stack."""
        assert self.source is not None  # noqa: S101 — only supported pages are stacked
        palette = None if self.palette is None else self.palette.tobytes()
        return (
            self.source.shape,
            self.source.dtype,
            self.pixel_size,
            palette,
            str(self.tags.get("PhotometricInterpretation")),
        )


def _read_page(path: FilePath, file: TiffFile, index: int, memo: Memo) -> _Page:
    page = file.pages[index]
    if isinstance(page, TiffFrame):  # never so: frames are only made on demand
        page = page.aspage()
    by_name = {f"tag_{tag.name}" if tag.name.isdigit() else tag.name: tag for tag in page.tags}
    tags = {name: _convert_tag(tag) for name, tag in by_name.items() if name not in _INTERNAL_TAGS}
    if reason := _find_unsupported_reason(page):
        return _Page(index, None, tags, None, unsupported_reason=reason)
    # All pixels must be within the file: tifffile would return zeros, or fail when it reads.
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    expected = 1 if page.is_contiguous else math.prod(page.chunked)
    ends = [offset + (page.nbytes if page.is_contiguous and not at else count) for at, (offset, count) in
            enumerate(segments)]  # fmt: skip
    has_gaps = len(segments) < expected or not all(offset and count for offset, count in segments)
    if has_gaps or max(ends) > file.filehandle.size:
        raise Unreadable("The TIFF file is shorter than its pages need, or lacks some; it may be cut short.")
    frame_count = 1
    if file.is_imagej and page.is_final and len(file.pages) == 1:  # ImageJ writes one page for a stack beyond 4 GiB
        images = int((file.imagej_metadata or {}).get("images", 1))
        if page.dataoffsets[0] + images * page.nbytes > file.filehandle.size:
            raise Unreadable(
                f"The TIFF file is shorter than the {images} images that ImageJ counted; it was cut short."
            )
        frame_count = max(images, 1)
    resolutions: list[float] = []
    for code in (283, 282):  # YResolution, XResolution
        rational: tuple[int, ...] = page.tags.valueof(code) or ()
        resolutions.append(rational[0] / rational[1] if len(rational) == 2 and rational[1] else 0.0)  # noqa: PLR2004
    unit = int(page.tags.valueof(296, default=_INCH))  # ResolutionUnit, by default the inch
    imagej_unit = str((file.imagej_metadata or {}).get("unit", ""))
    factor = _UM_PER_UNIT.get(unit, 0.0) or _UM_PER_IMAGEJ_UNIT.get(imagej_unit, 0.0)
    is_stated = factor and all(resolutions) and not (unit == _INCH and _DEFAULT_DPI.issuperset(resolutions))
    return _Page(
        index,
        _make_source(path, page, index, frame_count, memo),
        tags,
        (factor / resolutions[0], factor / resolutions[1]) if is_stated else None,
        None if page.colormap is None else np.ascontiguousarray(np.asarray(page.colormap, np.uint16).T),
        page.is_reduced,
        frame_count,
    )


def _find_unsupported_reason(page: TiffPage) -> str:
    """Return the reason why a page cannot be read, as the end of a sentence; empty if it can."""
    scheme = _get_scheme_name(page.compression)
    needs_codecs = _NEEDS_IMAGECODECS.get(int(page.compression))
    if needs_codecs is None:
        return f"is compressed by {scheme}, which cannot be read"
    predictor = int(page.predictor) not in _BUILTIN_PREDICTORS
    packed = page.bitspersample not in {1, 8, 16, 32, 64}
    if (needs_codecs or predictor or packed) and find_spec("imagecodecs") is None:
        obstacle = f"has {page.bitspersample} bits a sample"
        if needs_codecs:
            obstacle = f"is compressed by {scheme}"
        elif predictor:
            obstacle = f"has the predictor {_get_scheme_name(page.predictor)}"
        return f"{obstacle}, which needs imagecodecs: install shotdap[codecs]"
    if page.dtype is None or page.dtype.kind not in "biuf":
        return f"holds values of the type {page.dtype}, which no protocol carries"
    if page.imagedepth != 1 or page.is_stk:
        return "holds a volume in one page"
    return "" if 0 < page.nbytes <= _MAX_PAGE_SIZE else f"would be {page.nbytes:,} bytes decoded"


def _get_scheme_name(value: Any) -> str:  # noqa: ANN401 — a number, or tifffile's name for it
    return value.name if isinstance(value, Enum) else f"scheme {value}"


def _make_source(path: FilePath, page: TiffPage, index: int, frame_count: int, memo: Memo) -> ArraySource:
    """Return the values of a page: read from the file if they are stored uncompressed, else decoded by tifffile."""
    planes, _, height, width, samples = page.shaped
    bands = planes * samples
    shape = (height, width, bands) if bands > 1 else (height, width)
    dtype = np.dtype(page.dtype)
    output_dtype = _OUTPUT_DTYPES.get(dtype.str[1:], dtype)
    if not page.is_final or output_dtype != dtype:
        return BlockSource(_PageSource(path, index, page.offset, shape, output_dtype), f"page {index}", height, memo)
    size = dtype.itemsize
    strides = (width * samples * size, samples * size, height * width * size if planes > 1 else size)[: len(shape)]
    if frame_count > 1:
        shape, strides = (frame_count, *shape), (page.nbytes, *strides)
    return StridedSource(path, page.dataoffsets[0], strides, shape, dtype.newbyteorder(page.parent.byteorder))


@dataclass(frozen=True)
class _PageSource:
    """A page that only tifffile can decode, and only as a whole."""

    path: FilePath
    index: int
    offset: int
    """Offset of the page's tags in the file: finding a page by its index would read the tags of all pages before it."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        with _open_tiff(self.path) as file:
            file.filehandle.seek(self.offset)
            page = TiffPage(file, self.index)
            # A strip that inflates to far more than its page is refused; with tifffile alone it could fill the memory.
            limit = page.nbytes + _MAX_PADDING
            is_deflated = int(page.compression) in _DEFLATE_CODES
            if is_deflated and max(page.databytecounts) * _MAX_DEFLATE_RATIO > _MAX_PAGE_SIZE:
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                    file.filehandle.seek(offset)
                    inflater, size, packed = zlib.decompressobj(), 0, file.filehandle.read(count)
                    while size <= limit and not inflater.eof:
                        piece = inflater.decompress(packed, _MAX_PADDING)
                        size, packed = size + len(piece), inflater.unconsumed_tail
                        if not piece and not packed:
                            break
                    if size > limit:
                        raise Unreadable(
                            "The TIFF file inflates to more than its pixels; it is damaged, or made to do harm."
                        )
            decoded_page = page.asarray(squeeze=False, maxworkers=1)  # (planes, 1, height, width, samples)
            bands_last = np.moveaxis(decoded_page, 0, -1)[0].reshape(*self.shape[:2], -1)
            return np.asarray(bands_last.reshape(self.shape)[key].astype(self.dtype, copy=False))


@dataclass(frozen=True)
class _ImageArray:
    """One array of the dataset: a page, or several as frames."""

    pages: Sequence[_Page]
    dimension_prefix: str
    """A prefix of the names of its dimensions, if there are several images."""

    @property
    def source(self) -> ArraySource:
        """The values."""
        sources = tuple(page.source for page in self.pages if page.source is not None)
        return sources[0] if len(sources) == 1 else StackedSource(sources)

    @property
    def tags(self) -> dict[str, Any]:
        """The tags: one value if all frames have the same, else one for each frame."""
        merged: dict[str, Any] = {}
        for name in self.pages[0].tags:
            values = [page.tags[name] for page in self.pages if name in page.tags]
            is_uniform = all(np.array_equal(np.asarray(values[0]), np.asarray(value)) for value in values)
            is_listable = (
                len(values) == len(self.pages)
                and {type(value) for value in values} in ({str}, {float}, {np.ndarray})
                and np.ndim(values[0]) == 0
            )
            merged[name] = values if is_listable and not is_uniform else values[0]
        return merged

    def build_variables(self, name: str) -> dict[str, xr.Variable]:
        """Build the array, its coordinates, and its colour table."""
        page, source = self.pages[0], self.source
        rank = len(source.shape)
        is_stack = len(self.pages) > 1 or page.frame_count > 1
        axes = (("frame",) if is_stack else ()) + ("y", "x", "band")
        dimensions = tuple(f"{self.dimension_prefix}{axis}" for axis in axes[:rank])
        sizes = dict(zip(axes, source.shape, strict=False))
        variables = {name: create_lazy_variable(dimensions, source, {})}
        for axis, step in zip(("frame", "y", "x"), (None, *(page.pixel_size or (None, None))), strict=True):
            if axis in sizes:
                dimension, numbers = f"{self.dimension_prefix}{axis}", np.arange(sizes[axis], dtype=np.int32)
                attributes = {"long_name": "number of the frame"} if axis == "frame" else {"units": "pixel"}
                if step is None:
                    variables[dimension] = xr.Variable((dimension,), numbers, attributes)
                else:  # positions of pixels, counted from the centre of the first
                    variables[dimension] = xr.Variable((dimension,), np.arange(sizes[axis]) * step, {"units": "um"})
        if page.palette is not None:
            palette = f"{self.dimension_prefix}palette"
            variables[palette] = xr.Variable((f"{palette}_index", f"{palette}_band"), page.palette)
            variables[name].attrs["palette"] = palette
        return variables


def _convert_tag(tag: TiffTag) -> Any:  # noqa: ANN401 — any value of a tag
    value = tag.value
    if tag.dtype in _RATIONAL_TYPES:
        pairs = np.asarray(value, float).reshape(-1, 2)
        ratios = np.divide(pairs[:, 0], pairs[:, 1], out=np.full(len(pairs), np.nan), where=pairs[:, 1] != 0)
        return float(ratios[0]) if len(ratios) == 1 else ratios
    plain = _normalize_value(value)
    return (
        np.asarray(plain, _TAG_DTYPES[tag.dtype]) if tag.dtype in _TAG_DTYPES and not isinstance(plain, str) else plain
    )


def _normalize_value(value: Any) -> Any:  # noqa: ANN401 — any value of a tag
    """Return a value for `normalize_attributes`; an unsupported one is empty, and so listed among the omissions."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str | int):
        return normalize_scalar(value)
    if isinstance(value, bytes):
        return decode_text(value) if len(value) <= _MAX_TAG_LENGTH else np.empty(0)
    try:
        array = np.asarray(value)
    except ValueError:  # values of several lengths
        return np.empty(0)
    return value if array.dtype.kind in "biufSU" and 0 < array.size <= _MAX_TAG_LENGTH else np.empty(0)


# Hamamatsu's HPD-TA and HiPic: sections, each a line "[Camera],AMD=E,Binning="1 x 1",…".
_SECTION_PATTERN = re.compile(r"(?:^|[\r\n])\[([^\]\r\n]+)\],?")
_PAIR_PATTERN = re.compile(r'([^=,"\r\n]+)=("[^"]*"|[^,\r\n]*)')
_NUMBER_PATTERN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def _parse_hamamatsu(description: str) -> Iterable[tuple[str, Any]]:
    """Yield the keys with their sections, and the values; a value in quotation marks is text, never a number."""
    if not description.startswith("[Application]"):
        return
    _, *parts = _SECTION_PATTERN.split(description)
    for section, body in zip(parts[::2], parts[1::2], strict=True):
        for key, text in _PAIR_PATTERN.findall(body):
            value: Any = text.strip('"') if text.startswith('"') else text
            if re.fullmatch(r"[+-]?\d{1,18}", text):
                value = normalize_scalar(int(text))
            elif _NUMBER_PATTERN.fullmatch(text):
                value = float(text)
            yield "/".join(part.replace("/", "_") for part in (section, key)), value
