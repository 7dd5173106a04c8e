"""Raster images (GR, and the older 24 and 8 bit ones): each an array (y, x) or (y, x, band), and its palette."""

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
from shotdap.catalog.readers.hdf4.data_descriptors import FileDirectory
from shotdap.catalog.readers.hdf4.scientific import decode_attribute_names, merge_annotations
from shotdap.catalog.readers.hdf4.value_sources import IMCOMP_BLOCK_SIZE, Hdf4File, RasterSource
from shotdap.catalog.readers.lazy import Array, BasicIndex, ChunkSource
from shotdap.transforms import Memo

_DIMENSION_NAMES: Final = ("y", "x", "band")
_MAX_IMAGE_SIZE = 1 << 30


def find_raster_arrays(
    file: Hdf4File, directory: FileDirectory, memo: Memo
) -> tuple[list[Hdf4Array], list[OmittedArray], dict[str, Any]]:
    """Return a file's images and palettes, the unsupported images, and the raw attributes of all images.

    Raises:
        Unreadable: the file is damaged.
    """
    arrays: list[Hdf4Array] = []
    omitted: list[OmittedArray] = []
    if not directory.has_rasters:
        return arrays, omitted, {}
    with file.open_rasters() as images:
        count, attribute_count = library.count_rasters(images)
        attributes = decode_attribute_names(library.read_attributes(images, attribute_count, "GR"))
        for index in range(count):
            with library.select_raster(images, index) as image:
                header = library.read_raster_header(image)
                name, dtype = decode_text(header.name), library.get_memory_dtype(header.number_type)
                if (reason := _find_unsupported_reason(header, dtype)) or dtype is None:
                    omitted.append(OmittedArray(name, reason))
                    continue
                raw_attributes = library.read_attributes(image, header.attribute_count, "GR")
                own_attributes = merge_annotations(raw_attributes, library.get_raster_reference(image), directory)
                colours = library.read_palette(image)
            missing = [
                f"the last {number} {axis}s" if number > 1 else f"the last {axis}"
                for axis, size in zip(("row", "column"), header.shape, strict=False)
                if (number := size % IMCOMP_BLOCK_SIZE)
            ]
            if header.coder == library.IMCOMP and missing:
                block = f"{IMCOMP_BLOCK_SIZE} by {IMCOMP_BLOCK_SIZE}"
                reason = f"IMCOMP stores whole blocks of {block} pixels only; their values are not known, and 0 here"
                own_attributes["never_written"] = f"{' and '.join(missing)}: {reason}"
            numbers = np.dtype(np.uint8) if dtype.kind == "S" else dtype  # an image of characters is one of bytes
            raster = RasterSource(file, index, header, numbers)
            source = ChunkSource(raster, f"raster {index}", raster.shape, memo)
            palette = None if colours is None else _PaletteSource(colours)
            dimensions = _DIMENSION_NAMES[: len(raster.shape)]
            arrays.append(Hdf4Array(name, dimensions, source, own_attributes, palette=palette))
    return arrays, omitted, attributes


def rename_conflicting_dimensions(images: Sequence[Hdf4Array], arrays: Sequence[Hdf4Array]) -> Iterator[Hdf4Array]:
    """Yield the images; rename dimensions that differ from the first image's, or are another array's.

    The dimensions of a raster image have no names in the file, so they must not get the names of another array's scale.
    """
    taken = {name for array in arrays for name in (array.name, *array.dimensions)}
    sizes: dict[str, int] = {}
    for image in images:
        image_sizes = dict(zip(image.dimensions, image.source.shape, strict=True))
        if taken.isdisjoint(image_sizes) and all(sizes.get(name, size) == size for name, size in image_sizes.items()):
            sizes |= image_sizes
            yield image
        else:
            yield replace(image, dimensions=tuple(f"{image.name}_{name}" for name in image_sizes))


def _find_unsupported_reason(header: library.RasterHeader, dtype: np.dtype[Any] | None) -> str:
    """Return the reason why an image cannot be read; empty if it can."""
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


@dataclass(frozen=True)
class _PaletteSource:
    """The colours of an image; they are few, so they are read with the headers."""

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
