"""TIFF files, read by tifffile.

One page is the array ``image``, pages of one shape and type are the frames of ``frames``, and pages that differ are
``image_1``, ``image_2``, …; reduced pages, such as a preview, stand apart as ``reduced_1``, …. Values are those of the
file: never inverted, turned, or coloured; what the tags say of that stays among the attributes, and a table of colours
is the array ``palette``.

Tags are attributes of the dataset, or of the array where there are several. What Hamamatsu's HPD-TA and HiPic and what
ImageJ write into the description is taken apart as well: ``Acquisition/ExposureTime``, ``ImageJ/unit``. A tag that
differs from frame to frame has a value for each.

A resolution becomes coordinates in um, but for 72 and 96 dots per inch, which programs write where they know none.

Rule: tifffile goes on where it can, with fewer pages or with zeros. Here the chain of pages must end as it should, and
every strip and tile must lie within the file.
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
from shotdap.catalog.readers.lazy import Array, ArraySource, BasicIndex, BlockSource, Memo, create_lazy_variable
from shotdap.catalog.readers.shared_sources import StackedSource, StridedSource
from shotdap.catalog.storage import FilePath

_MAX_PAGES = 10_000
_MAX_PAGE_SIZE = 1 << 30  # bytes that one page may decode to
_MAX_TAG_LENGTH = 4096  # values; longer tags are tables for the decoder
# Tag 259. For each compression that is read: whether it takes the package imagecodecs.
_NEEDS_IMAGECODECS: Mapping[int, bool] = MappingProxyType({
    1: False,  # none
    5: True,  # LZW
    7: True,  # JPEG
    8: False,  # deflate
    32773: False,  # PackBits
    32946: False,  # deflate, its older number
    50000: True,  # Zstandard
})  # fmt: skip
_MAX_PADDING = 1 << 20  # bytes that a strip may have more than its page needs: padding
_DEFLATE_CODES = frozenset({8, 32946})
_MAX_DEFLATE_RATIO = 1032  # bytes for one: zlib, "Technical Details"
_OUTPUT_DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType({"b1": np.dtype("u1"), "f2": np.dtype("f4")})
_BUILTIN_PREDICTORS = frozenset({1, 2})  # none, and differences of neighbours: what tifffile undoes by itself
# Tags that say where the pixels lie, and tables for decoding them.
_INTERNAL_TAGS = frozenset({
    "StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "ColorMap", "JPEGTables", "FreeOffsets",
    "FreeByteCounts", "SubIFDs", "ReferenceBlackWhite", "IJMetadataByteCounts",
})  # fmt: skip
# Numbers, by their tags' types; TIFF 6.0, section 2, and BigTIFF.
_TAG_DTYPES: Mapping[int, str] = MappingProxyType({
    1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 16: "u8", 17: "i8",
})  # fmt: skip
_RATIONAL_TYPES = frozenset({5, 10})  # a tag's type: numerators and denominators
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
        pages = [_read_page(path, file, index, memo) for index in range(_count_pages(file))]
        return _combine_pages(pages, _parse_description(file))


def _combine_pages(pages: Sequence[_Page], hints: Mapping[str, Any]) -> xr.Dataset:
    usable = [page for page in pages if not page.unsupported_reason]
    if not usable:
        raise Unreadable(f"This TIFF {pages[0].unsupported_reason}.")
    images = dict(_group_pages(usable))
    variables = {
        name: variable for name, image in images.items() for name, variable in image.build_variables(name).items()
    }
    lone = next(iter(images.values())) if len(images) == 1 else None
    attributes = normalize_attributes({**(lone.tags if lone else {}), **hints}, paths=True)
    if not lone:
        for name, image in images.items():
            variables[name].attrs |= normalize_attributes(image.tags)
    omitted = [f"page {page.index}: it {page.unsupported_reason}" for page in pages if page.unsupported_reason]
    return build_dataset(variables, add_omissions(attributes, omitted))


@contextmanager
def _open_tiff(path: FilePath) -> Iterator[TiffFile]:
    try:
        with path.open("rb") as content, TiffFile(content) as file:  # of a path, tifffile would follow links itself
            yield file
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except Exception as error:  # a damaged file makes tifffile, NumPy or a decoder raise anything
        raise Unreadable("The TIFF file cannot be read; it may be damaged or cut short.") from error


def _count_pages(file: TiffFile) -> int:
    """How many pages the file has.

    Raises:
        Unreadable: their chain leads out of the file or back into itself, or is too long.
    """
    form, handle = file.tiff, file.filehandle
    seen: set[int] = set()
    handle.seek(form.offsetsize)  # the header's last item, in TIFF and in BigTIFF
    while offset := _unpack_number(form.offsetformat, handle.read(form.offsetsize)):
        if offset in seen or offset >= handle.size or len(seen) == _MAX_PAGES:
            raise Unreadable("The TIFF file's chain of pages is broken; the file may be damaged or cut short.")
        seen.add(offset)
        handle.seek(offset)
        tags = _unpack_number(form.tagnoformat, handle.read(form.tagnosize))
        handle.seek(offset + form.tagnosize + tags * form.tagsize)
    if not seen or len(file.pages) != len(seen):
        raise Unreadable("The TIFF file's pages cannot all be read; the file may be damaged.")
    return len(seen)


def _unpack_number(form: str, content: bytes) -> int:
    return int(struct.unpack(form, content)[0])


@dataclass(frozen=True)
class _Page:
    """What one page holds, and how to get at it."""

    index: int
    source: ArraySource | None
    tags: Mapping[str, Any]
    pixel_size: tuple[float, float] | None
    """The height and width of a pixel in um, where the file knows them."""
    palette: Array | None = None
    is_reduced: bool = False
    frame_count: int = 1
    """How many frames follow one another where this page says there is one: ImageJ's great stacks."""
    unsupported_reason: str = ""
    """Why it cannot be read; empty where it can."""

    @property
    def stack_key(self) -> object:
        """What pages must have in common to be frames of one stack."""
        assert self.source is not None  # noqa: S101 — only pages without an obstacle are asked
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
    tags = {_get_tag_name(tag): _convert_tag(tag) for tag in page.tags if _get_tag_name(tag) not in _INTERNAL_TAGS}
    obstacle = _find_unsupported_reason(page)
    if obstacle:
        return _Page(index, None, tags, None, unsupported_reason=obstacle)
    _check_extent(page, file.filehandle.size)
    repeats = _count_frames(page, file)
    return _Page(
        index,
        _make_source(path, page, index, repeats, memo),
        tags,
        _compute_pixel_size(page, file.imagej_metadata or {}),
        _palette(page),
        page.is_reduced,
        repeats,
    )


def _find_unsupported_reason(page: TiffPage) -> str:
    """Why a page cannot be read, as the end of a sentence; empty where it can."""
    compression = int(page.compression)
    takes_codecs = _NEEDS_IMAGECODECS.get(compression)
    if takes_codecs is None:
        return f"is compressed by {_get_scheme_name(page.compression)}, which cannot be read"
    predictor = int(page.predictor) not in _BUILTIN_PREDICTORS
    packed = page.bitspersample not in {1, 8, 16, 32, 64}
    if (takes_codecs or predictor or packed) and find_spec("imagecodecs") is None:
        if takes_codecs:
            return f"is compressed by {_get_scheme_name(page.compression)}, which needs imagecodecs: install shotdap[codecs]"
        what = (
            f"the predictor {_get_scheme_name(page.predictor)}" if predictor else f"{page.bitspersample} bits a sample"
        )
        return f"has {what}, which needs imagecodecs: install shotdap[codecs]"
    if page.dtype is None or page.dtype.kind not in "biuf":
        return f"holds values of the type {page.dtype}, which no protocol carries"
    if page.imagedepth != 1 or page.is_stk:
        return "holds a volume in one page"
    return "" if 0 < page.nbytes <= _MAX_PAGE_SIZE else f"would be {page.nbytes:,} bytes decoded"


def _get_scheme_name(value: Any) -> str:  # noqa: ANN401 — a number, or tifffile's name for it
    return value.name if isinstance(value, Enum) else f"scheme {value}"


def _check_extent(page: TiffPage, size: int) -> None:
    """Find pixels beyond the file's end while opening: tifffile would give zeros for them, or fail when it reads."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    expected = 1 if page.is_contiguous else math.prod(page.chunked)
    ends = [offset + (page.nbytes if page.is_contiguous and not at else count) for at, (offset, count) in
            enumerate(segments)]  # fmt: skip
    if len(segments) < expected or not all(offset and count for offset, count in segments) or max(ends) > size:
        raise Unreadable("The TIFF file is shorter than its pages need, or lacks some; it may be cut short.")


def _count_frames(page: TiffPage, file: TiffFile) -> int:
    """How many frames follow a page without pages of their own, as ImageJ writes what is greater than 4 GiB."""
    if not file.is_imagej or not page.is_final or len(file.pages) > 1:
        return 1
    images = int((file.imagej_metadata or {}).get("images", 1))
    if page.dataoffsets[0] + images * page.nbytes > file.filehandle.size:
        raise Unreadable(f"The TIFF file is shorter than the {images} images that ImageJ counted; it was cut short.")
    return max(images, 1)


def _make_source(path: FilePath, page: TiffPage, index: int, repeats: int, memo: Memo) -> ArraySource:
    planes, _, height, width, samples = page.shaped
    bands = planes * samples
    shape = (height, width, bands) if bands > 1 else (height, width)
    dtype = np.dtype(page.dtype)
    if not page.is_final or _get_output_dtype(dtype) != dtype:
        return BlockSource(
            _PageSource(path, index, page.offset, shape, _get_output_dtype(dtype)), f"page {index}", height, memo
        )
    size = dtype.itemsize
    strides = (width * samples * size, samples * size, height * width * size if planes > 1 else size)[: len(shape)]
    if repeats > 1:
        shape, strides = (repeats, *shape), (page.nbytes, *strides)
    return StridedSource(path, page.dataoffsets[0], strides, shape, dtype.newbyteorder(page.parent.byteorder))


def _get_output_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that values are given in: bits as bytes, and half precision, which no protocol carries, as single."""
    return _OUTPUT_DTYPES.get(dtype.str[1:], dtype)


@dataclass(frozen=True)
class _PageSource:
    """A page that only tifffile can decode, and only as a whole."""

    path: FilePath
    index: int
    offset: int
    """Of its tags in the file: to count up to a page reads the tags of all before it."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        with _open_tiff(self.path) as file:
            file.filehandle.seek(self.offset)
            page = TiffPage(file, self.index)
            _check_decompression_bomb(page)
            decoded_page = page.asarray(squeeze=False, maxworkers=1)  # (planes, 1, height, width, samples)
            bands_last = np.moveaxis(decoded_page, 0, -1)[0].reshape(*self.shape[:2], -1)
            return np.asarray(bands_last.reshape(self.shape)[key].astype(self.dtype, copy=False))


def _check_decompression_bomb(page: TiffPage) -> None:
    """Refuse a strip that inflates to far more than its page; tifffile alone would let it fill the memory."""
    if int(page.compression) not in _DEFLATE_CODES or max(page.databytecounts) * _MAX_DEFLATE_RATIO <= _MAX_PAGE_SIZE:
        return
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(offset)
        if (
            _measure_inflated_size(page.parent.filehandle.read(count), page.nbytes + _MAX_PADDING)
            > page.nbytes + _MAX_PADDING
        ):
            raise Unreadable("The TIFF file inflates to more than its pixels; it is damaged, or made to do harm.")


def _measure_inflated_size(packed: bytes, limit: int) -> int:
    """How long some deflated bytes really are, counted no further than somewhat beyond a limit."""
    inflater, size = zlib.decompressobj(), 0
    while size <= limit and not inflater.eof:
        piece = inflater.decompress(packed, _MAX_PADDING)
        size, packed = size + len(piece), inflater.unconsumed_tail
        if not piece and not packed:
            break
    return size


def _palette(page: TiffPage) -> Array | None:
    colours = page.colormap
    return None if colours is None else np.ascontiguousarray(np.asarray(colours, np.uint16).T)


def _compute_pixel_size(page: TiffPage, imagej: Mapping[str, Any]) -> tuple[float, float] | None:
    """The height and width of a pixel in um, where resolution and unit say so."""
    resolutions = [_divide_rational(page.tags.valueof(code)) for code in (283, 282)]  # YResolution, XResolution
    unit = int(page.tags.valueof(296, default=_INCH))  # ResolutionUnit, which is the inch by default
    factor = _UM_PER_UNIT.get(unit, 0.0) or _UM_PER_IMAGEJ_UNIT.get(str(imagej.get("unit", "")), 0.0)
    if not factor or not all(resolutions) or (unit == _INCH and _DEFAULT_DPI.issuperset(resolutions)):
        return None
    y, x = resolutions
    return factor / y, factor / x


def _divide_rational(rational: tuple[int, int] | None) -> float:
    """A resolution; 0 where there is none, or none that is a number."""
    return rational[0] / rational[1] if rational and len(rational) == 2 and rational[1] else 0.0  # noqa: PLR2004


@dataclass(frozen=True)
class _ImageArray:
    """One array of the dataset: a page, or several as frames."""

    pages: Sequence[_Page]
    dimension_prefix: str
    """What stands before the names of its dimensions, where there are several images."""

    @property
    def source(self) -> ArraySource:
        """The values."""
        sources = tuple(page.source for page in self.pages if page.source is not None)
        return sources[0] if len(sources) == 1 else StackedSource(sources)

    @property
    def tags(self) -> dict[str, Any]:
        """The tags: one value where all frames have the same, else one for each frame."""
        return _merge_tags([page.tags for page in self.pages])

    def build_variables(self, name: str) -> dict[str, xr.Variable]:
        """The array, its coordinates, and its table of colours."""
        page, source = self.pages[0], self.source
        rank = len(source.shape)
        is_stack = len(self.pages) > 1 or page.frame_count > 1
        axes = (("frame",) if is_stack else ()) + ("y", "x", "band")
        dimensions = tuple(f"{self.dimension_prefix}{axis}" for axis in axes[:rank])
        sizes = dict(zip(axes, source.shape, strict=False))
        found = {name: create_lazy_variable(dimensions, source, {})}
        for axis, step in zip(("frame", "y", "x"), (None, *(page.pixel_size or (None, None))), strict=True):
            if axis in sizes:
                called = f"{self.dimension_prefix}{axis}"
                found[called] = (
                    _make_frame_axis(called, sizes[axis])
                    if axis == "frame"
                    else _make_pixel_axis(called, sizes[axis], step)
                )
        if page.palette is not None:
            called = f"{self.dimension_prefix}palette"
            found[called] = xr.Variable((f"{called}_index", f"{called}_band"), page.palette)
            found[name].attrs["palette"] = called
        return found


def _make_pixel_axis(name: str, size: int, step: float | None) -> xr.Variable:
    """Where the pixels are, counted from the first one's middle."""
    if step is None:
        return xr.Variable((name,), np.arange(size, dtype=np.int32), {"units": "pixel"})
    return xr.Variable((name,), np.arange(size) * step, {"units": "um"})


def _make_frame_axis(name: str, size: int) -> xr.Variable:
    return xr.Variable((name,), np.arange(size, dtype=np.int32), {"long_name": "number of the frame"})


def _group_pages(pages: Sequence[_Page]) -> Iterator[tuple[str, _ImageArray]]:
    full = [page for page in pages if not page.is_reduced]
    reduced = [page for page in pages if page.is_reduced] if full else []
    full = full or list(pages)
    if len({page.stack_key for page in full}) == 1:
        is_stack = len(full) > 1 or full[0].frame_count > 1
        yield ("frames" if is_stack else "image"), _ImageArray(full, "")
    else:
        yield from ((f"image_{n}", _ImageArray([page], f"image_{n}_")) for n, page in enumerate(full, 1))
    yield from ((f"reduced_{n}", _ImageArray([page], f"reduced_{n}_")) for n, page in enumerate(reduced, 1))


def _merge_tags(tags: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in tags[0]:
        values = [each[name] for each in tags if name in each]
        alone = all(np.array_equal(np.asarray(values[0]), np.asarray(value)) for value in values)
        listed = (
            len(values) == len(tags)
            and {type(value) for value in values} in ({str}, {float}, {np.ndarray})
            and np.ndim(values[0]) == 0
        )
        merged[name] = values if listed and not alone else values[0]
    return merged


def _get_tag_name(tag: TiffTag) -> str:
    return f"tag_{tag.name}" if tag.name.isdigit() else tag.name


def _convert_tag(tag: TiffTag) -> Any:  # noqa: ANN401 — whatever a tag may hold
    value = tag.value
    if tag.dtype in _RATIONAL_TYPES:
        pairs = np.asarray(value, float).reshape(-1, 2)
        ratios = np.divide(pairs[:, 0], pairs[:, 1], out=np.full(len(pairs), np.nan), where=pairs[:, 1] != 0)
        return float(ratios[0]) if len(ratios) == 1 else ratios
    plain = _normalize_value(value)
    return (
        np.asarray(plain, _TAG_DTYPES[tag.dtype]) if tag.dtype in _TAG_DTYPES and not isinstance(plain, str) else plain
    )


def _normalize_value(value: Any) -> Any:  # noqa: ANN401 — whatever a tag may hold
    """A value that can be cleaned; one that cannot be carried is empty, and so will be named among the omitted."""
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


def _parse_description(file: TiffFile) -> dict[str, Any]:
    """What programs wrote into the description of the first page."""
    page = file.pages[0]
    description = str(page.description) if isinstance(page, TiffPage) else ""
    found = dict(_parse_hamamatsu(description))
    for name, value in (file.imagej_metadata or {}).items():
        found[f"ImageJ/{name}"] = _normalize_value(value)
    return found


# Hamamatsu's HPD-TA and HiPic: sections, each a line "[Camera],AMD=E,Binning="1 x 1",…".
_SECTION_PATTERN = re.compile(r"(?:^|[\r\n])\[([^\]\r\n]+)\],?")
_PAIR_PATTERN = re.compile(r'([^=,"\r\n]+)=("[^"]*"|[^,\r\n]*)')
_NUMBER_PATTERN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def _parse_hamamatsu(description: str) -> Iterable[tuple[str, Any]]:
    """Keys under their sections; what stands in quotation marks is text, also if it looks like a number."""
    if not description.startswith("[Application]"):
        return
    _, *parts = _SECTION_PATTERN.split(description)
    for section, body in zip(parts[::2], parts[1::2], strict=True):
        for key, value in _PAIR_PATTERN.findall(body):
            yield "/".join(part.replace("/", "_") for part in (section, key)), _parse_scalar(value)


def _parse_scalar(value: str) -> Any:  # noqa: ANN401 — text or a number
    if value.startswith('"'):
        return value.strip('"')
    if not _NUMBER_PATTERN.fullmatch(value):
        return value
    return normalize_scalar(int(value)) if re.fullmatch(r"[+-]?\d{1,18}", value) else float(value)
