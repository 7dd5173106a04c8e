"""The table of formats: what an image can be had as, and by which encoder."""

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
    zarr_zip,
)
from shotdap.server.encoders.netcdf import classic, netcdf4
from shotdap.server.pictures.levels import Display

ContentKind: TypeAlias = Literal["dataset", "image", "lineout", "picture"]
"""What a file can hold: a whole dataset, one array, arrays of one dimension, or a picture of one array."""

_TEXT_EXPANSION: Final = 8  # a byte of values is up to so many characters of JSON or CSV


@dataclass(frozen=True)
class Format:
    """A format that images can be had in."""

    name: str
    """As a request names it: ``nc4``. The file's suffix is a dot and this, unless `custom_extension` says otherwise."""
    media_type: str
    description: str
    """What it is, for people."""
    content_kind: ContentKind
    encode: Callable[[xr.Dataset, Display], EncodedFile]
    """Puts a computed dataset into a file. What is no picture is not changed by how it would be shown.

    Raises:
        BadSelection: the format cannot hold the dataset; the sentence says what it could.
    """
    custom_extension: str = ""

    @property
    def extension(self) -> str:
        """What the names of its files end in, the dot included."""
        return self.custom_extension or f".{self.name}"

    @property
    def max_expansion(self) -> int:
        """How many bytes of a file one byte of values becomes at most."""
        is_text = self.media_type.startswith("text/") or self.media_type.endswith("json")
        return _TEXT_EXPANSION if is_text else 1


def _ignore_display(encode: Encoder) -> Callable[[xr.Dataset, Display], EncodedFile]:
    """An encoder that does not care how things are shown."""

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
)

FORMATS: Final[Mapping[str, Format]] = MappingProxyType({each.name: each for each in _FORMATS})
"""Every format, by its name."""
