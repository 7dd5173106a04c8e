"""Raster images (GR, and the older 24 and 8 bit ones): each an array (y, x) or (y, x, band), its palette beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shotdap.catalog.readers.attributes import decode_text
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.readers.hdf4.contents import Hdf4Array, OmittedArray
from shotdap.catalog.readers.hdf4.data_descriptors import Directory
from shotdap.catalog.readers.hdf4.scientific import decode_attribute_names, merge_annotations
from shotdap.catalog.readers.hdf4.value_sources import IMCOMP_BLOCK_SIZE, Hdf4File, RasterSource
from shotdap.catalog.readers.lazy import Array, BasicIndex, ChunkSource, Memo

_DIMENSION_NAMES: Final = ("y", "x", "band")
_MAX_IMAGE_SIZE = 1 << 30


def find_raster_arrays(
    file: Hdf4File, listed: Directory, memo: Memo
) -> tuple[list[Hdf4Array], list[OmittedArray], dict[str, Any]]:
    """A file's images and palettes, those that cannot be read, and the attributes of all of them, not cleaned.

    Raises:
        Unreadable: the file is damaged.
    """
    if not listed.has_rasters:
        return [], [], {}
    with file.open_rasters() as images:
        count, attribute_count = library.count_rasters(images)
        attributes = decode_attribute_names(library.read_attributes(images, attribute_count, "GR"))
        found = [_build_array(file, images, index, listed, memo) for index in range(count)]
    return (
        [array for array in found if isinstance(array, Hdf4Array)],
        [array for array in found if isinstance(array, OmittedArray)],
        attributes,
    )


def _build_array(file: Hdf4File, images: int, index: int, listed: Directory, memo: Memo) -> Hdf4Array | OmittedArray:
    with library.select_raster(images, index) as image:
        header = library.read_raster_header(image)
        name, dtype = decode_text(header.name), library.get_memory_dtype(header.number_type)
        if (obstacle := _find_unsupported_reason(header, dtype)) or dtype is None:
            return OmittedArray(name, obstacle)
        said = library.read_attributes(image, header.attribute_count, "GR")
        attributes = merge_annotations(said, library.get_raster_reference(image), listed)
        colours = library.read_palette(image)
    if header.coder == library.IMCOMP and (left_out := _describe_missing_pixels(header)):
        attributes["never_written"] = left_out
    numbers = np.dtype(np.uint8) if dtype.kind == "S" else dtype  # an image of characters is one of bytes
    raster = RasterSource(file, index, header, numbers)
    source = ChunkSource(raster, f"raster {index}", raster.shape, memo)
    palette = None if colours is None else _PaletteSource(colours)
    return Hdf4Array(name, _DIMENSION_NAMES[: len(raster.shape)], source, attributes, palette=palette)


def rename_conflicting_dimensions(images: Sequence[Hdf4Array], arrays: Sequence[Hdf4Array]) -> Iterator[Hdf4Array]:
    """The images, those with dimensions of their own that do not lie on the same pixels as the first.

    A raster image's dimensions have no names in the file: they must never be taken for those of another array's scale.
    """
    taken = {name for array in arrays for name in (array.name, *array.dimensions)}
    sizes: dict[str, int] = {}
    for image in images:
        wanted = dict(zip(image.dimensions, image.source.shape, strict=True))
        if taken.isdisjoint(wanted) and all(sizes.get(name, size) == size for name, size in wanted.items()):
            sizes |= wanted
            yield image
        else:
            yield replace(image, dimensions=tuple(f"{image.name}_{name}" for name in wanted))


def _find_unsupported_reason(header: library.RasterHeader, dtype: np.dtype[Any] | None) -> str:
    """Why an image cannot be read; empty where it can."""
    if dtype is None:
        return f"its HDF4 number type {header.number_type} is not known"
    if header.coder == library.JPEG:  # libjpeg's default error handler calls exit(), and HDF4 4.2 installs no other
        return "it is a JPEG inside HDF4, which the HDF4 library cannot decode safely"
    if header.coder == library.SZIP and not library.can_decode_szip():
        return "it is compressed by szip, which the HDF4 library at hand lacks"
    is_of_bytes = dtype.itemsize == header.shape[2] == 1
    if header.interlace not in range(3) or (header.coder == library.IMCOMP and not is_of_bytes):
        return "its header is damaged"
    if math.prod(header.shape) * dtype.itemsize > _MAX_IMAGE_SIZE:
        return f"it would decode to more than {_MAX_IMAGE_SIZE >> 20} MiB"
    return ""


def _describe_missing_pixels(header: library.RasterHeader) -> str:
    """Name the rows and columns that IMCOMP left out; empty where it left out none."""
    lacking = [
        f"the last {count} {axis}s" if count > 1 else f"the last {axis}"
        for axis, size in zip(("row", "column"), header.shape, strict=False)
        if (count := size % IMCOMP_BLOCK_SIZE)
    ]
    reason = f"IMCOMP stores whole blocks of {IMCOMP_BLOCK_SIZE} by {IMCOMP_BLOCK_SIZE} pixels only; their values are not known, and 0 here"
    return f"{' and '.join(lacking)}: {reason}" if lacking else ""


@dataclass(frozen=True)
class _PaletteSource:
    """The colours of an image: so few that they are read with the headers."""

    colours: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.colours.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.colours.dtype

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        return self.colours[key]
