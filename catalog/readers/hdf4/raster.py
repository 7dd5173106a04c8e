"""Raster images (GR, and the older 24 and 8 bit ones): each an array (y, x) or (y, x, band), its palette beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shotdap.catalog.readers.attributes import decoded
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.readers.hdf4.contents import Found, Omitted
from shotdap.catalog.readers.hdf4.data_descriptors import Directory
from shotdap.catalog.readers.hdf4.scientific import described, named
from shotdap.catalog.readers.hdf4.value_sources import BLOCK, File, Raster
from shotdap.catalog.readers.lazy import Array, Chunks, Key, Remember

__all__ = ["placed", "raster_arrays"]

_DIMENSIONS: Final = ("y", "x", "band")
_LARGEST_IMAGE = 1 << 30


def raster_arrays(
    file: File, listed: Directory, remember: Remember
) -> tuple[list[Found], list[Omitted], dict[str, Any]]:
    """A file's images and palettes, those that cannot be read, and the attributes of all of them, not cleaned.

    Raises:
        Unreadable: the file is damaged.
    """
    if not listed.has_rasters:
        return [], [], {}
    with file.rasters() as images:
        count, attribute_count = library.raster_contents(images)
        attributes = named(library.attributes(images, attribute_count, "GR"))
        found = [_array(file, images, index, listed, remember) for index in range(count)]
    return (
        [array for array in found if isinstance(array, Found)],
        [array for array in found if isinstance(array, Omitted)],
        attributes,
    )


def _array(file: File, images: int, index: int, listed: Directory, remember: Remember) -> Found | Omitted:
    with library.selected_raster(images, index) as image:
        header = library.raster(image)
        name, dtype = decoded(header.name), library.memory_type(header.number_type)
        if (obstacle := _obstacle(header, dtype)) or dtype is None:
            return Omitted(name, obstacle)
        said = library.attributes(image, header.attribute_count, "GR")
        attributes = described(said, library.raster_reference(image), listed)
        colours = library.palette(image)
    if header.coder == library.IMCOMP and (left_out := _left_out(header)):
        attributes["never_written"] = left_out
    numbers = np.dtype(np.uint8) if dtype.kind == "S" else dtype  # an image of characters is one of bytes
    raster = Raster(file, index, header, numbers)
    source = Chunks(raster, f"raster {index}", raster.shape, remember)
    palette = None if colours is None else _Palette(colours)
    return Found(name, _DIMENSIONS[: len(raster.shape)], source, attributes, palette=palette)


def placed(images: Sequence[Found], arrays: Sequence[Found]) -> Iterator[Found]:
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


def _obstacle(header: library.Image, dtype: np.dtype[Any] | None) -> str:
    """Why an image cannot be read; empty where it can."""
    if dtype is None:
        return f"its HDF4 number type {header.number_type} is not known"
    if header.coder == library.JPEG:  # libjpeg's default error handler calls exit(), and HDF4 4.2 installs no other
        return "it is a JPEG inside HDF4, which the HDF4 library cannot decode safely"
    if header.coder == library.SZIP and not library.decodes_szip():
        return "it is compressed by szip, which the HDF4 library at hand lacks"
    is_of_bytes = dtype.itemsize == header.shape[2] == 1
    if header.interlace not in range(3) or (header.coder == library.IMCOMP and not is_of_bytes):
        return "its header is damaged"
    if math.prod(header.shape) * dtype.itemsize > _LARGEST_IMAGE:
        return f"it would decode to more than {_LARGEST_IMAGE >> 20} MiB"
    return ""


def _left_out(header: library.Image) -> str:
    """Name the rows and columns that IMCOMP left out; empty where it left out none."""
    lacking = [
        f"the last {count} {axis}s" if count > 1 else f"the last {axis}"
        for axis, size in zip(("row", "column"), header.shape, strict=False)
        if (count := size % BLOCK)
    ]
    reason = f"IMCOMP stores whole blocks of {BLOCK} by {BLOCK} pixels only; their values are not known, and 0 here"
    return f"{' and '.join(lacking)}: {reason}" if lacking else ""


@dataclass(frozen=True)
class _Palette:
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

    def read(self, key: Key) -> Array:
        """Read a hyperslab; see `Source`."""
        return self.colours[key]
