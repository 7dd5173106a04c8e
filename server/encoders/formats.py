"""The table of file formats and their encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import xarray as xr

from shotdap.server.encoders import (
    EncodedFile,
    Encoder,
    csv_table,
    jpeg,
    json_dataset,
    matlab,
    nexus,
    npy,
    npz,
    png,
    tiff,
    webp,
    zarr_zip,
)
from shotdap.server.encoders.netcdf import classic, netcdf4
from shotdap.server.pictures.levels import Display

ContentKind: TypeAlias = Literal["dataset", "image", "lineout", "picture"]
"""Content of a file: a whole dataset, one array, one-dimensional arrays, or a picture of one array."""

_TEXT_EXPANSION: Final = 8  # most characters of JSON or CSV for one byte of values


@dataclass(frozen=True)
class Format:
    """A file format of images."""

    name: str
    """Its name in requests: ``nc4``. File names end with a dot and this, unless `custom_extension` is given."""
    media_type: str
    description: str
    """A description for people."""
    content_kind: ContentKind
    encode: Callable[[xr.Dataset, Display], EncodedFile]
    """Encodes a computed dataset. Only pictures depend on the parameters of the display.

    Raises:
        BadSelection: the format cannot hold the dataset; the message names formats that can.
    """
    custom_extension: str = ""

    @property
    def extension(self) -> str:
        """The end of its file names, with the dot."""
        return self.custom_extension or f".{self.name}"

    @property
    def max_expansion(self) -> int:
        """The largest number of bytes in a file for one byte of values."""
        is_text = self.media_type.startswith("text/") or self.media_type.endswith("json")
        return _TEXT_EXPANSION if is_text else 1


def _ignore_display(encode: Encoder) -> Callable[[xr.Dataset, Display], EncodedFile]:
    """Adapt an encoder that does not depend on the parameters of the display."""

    def encode_without_display(dataset: xr.Dataset, _display: Display) -> EncodedFile:
        return encode(dataset)

    return encode_without_display


_NETCDF: Final = "application/x-netcdf"

_FORMATS: Final = (
    Format(
        "nc",
        _NETCDF,
        "netCDF-3, which every program of the last thirty years opens",
        "dataset",
        _ignore_display(classic.encode),
    ),
    Format("nc4", _NETCDF, "netCDF-4, with groups and all types", "dataset", _ignore_display(netcdf4.encode)),
    Format(
        "zarr", "application/zip", "Zarr 3, in a ZIP file", "dataset", _ignore_display(zarr_zip.encode), ".zarr.zip"
    ),
    Format(
        "h5",
        "application/x-hdf5",
        "HDF5 laid out as NeXus, which H5Web and NeXus tools open on the image",
        "dataset",
        _ignore_display(nexus.encode),
    ),
    Format(
        "npz",
        "application/zip",
        "NumPy's archive of all variables, with their attributes as JSON",
        "dataset",
        _ignore_display(npz.encode),
    ),
    Format(
        "mat",
        "application/x-matlab-data",
        "MATLAB's and Octave's, version 5",
        "dataset",
        _ignore_display(matlab.encode),
    ),
    Format(
        "json",
        "application/json",
        "strict JSON with all attributes and values, NaN as text",
        "dataset",
        _ignore_display(json_dataset.encode),
    ),
    Format(
        "npy",
        "application/x-npy",
        "NumPy's file of one array, without attributes",
        "image",
        _ignore_display(npy.encode),
    ),
    Format(
        "tiff",
        "image/tiff",
        "TIFF with the numbers untouched, a page for each frame, and ImageJ's calibration",
        "image",
        _ignore_display(tiff.encode),
    ),
    Format(
        "tiff_deflated",
        "image/tiff",
        "the same TIFF, compressed by deflate without loss",
        "image",
        _ignore_display(tiff.encode_deflated),
        ".tiff",
    ),
    Format(
        "csv",
        "text/csv; charset=utf-8",
        "a table of lineouts beside their coordinate",
        "lineout",
        _ignore_display(csv_table.encode),
    ),
    Format("png", "image/png", "a picture in 8 bits, or greys in 16, without loss", "picture", png.encode),
    Format("jpeg", "image/jpeg", "a small picture, with loss", "picture", jpeg.encode),
    Format("webp", "image/webp", "a smaller picture, with loss, for pages", "picture", webp.encode),
)

FORMATS: Final[Mapping[str, Format]] = MappingProxyType({each.name: each for each in _FORMATS})
"""Every format, by its name."""
