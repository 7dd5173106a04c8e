"""The table of formats: what an image can be had as, and by which encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import xarray as xr

from shotdap.server.encoders import Encode, Encoded, netcdf3, netcdf4, zarr
from shotdap.transforms.display import Display

__all__ = ["FORMATS", "Format", "Holds"]

Holds: TypeAlias = Literal["dataset", "image", "lineout", "picture"]
"""What a file can hold: a whole dataset, one array, arrays of one dimension, or a picture of one array."""


@dataclass(frozen=True)
class Format:
    """A format that images can be had in."""

    name: str
    """As a request names it: ``nc4``. The file's suffix is a dot and this, unless `suffix` says otherwise."""
    media_type: str
    sentence: str
    """What it is, for people."""
    holds: Holds
    encode: Callable[[xr.Dataset, Display], Encoded]
    """Puts a computed dataset into a file. What is no picture is not changed by how it would be shown.

    Raises:
        BadSelection: the format cannot hold the dataset; the sentence says what it could.
    """
    suffix: str = ""

    @property
    def ending(self) -> str:
        """What the names of its files end in, the dot included."""
        return self.suffix or f".{self.name}"


def _plain(encode: Encode) -> Callable[[xr.Dataset, Display], Encoded]:
    """An encoder that does not care how things are shown."""

    def encoded(dataset: xr.Dataset, _display: Display) -> Encoded:
        return encode(dataset)

    return encoded


_NETCDF: Final = "application/x-netcdf"

_FORMATS: Final = (
    Format(
        "nc", _NETCDF, "netCDF-3, which every program of the last thirty years opens", "dataset", _plain(netcdf3.encode)
    ),
    Format("nc4", _NETCDF, "netCDF-4, with groups and all types", "dataset", _plain(netcdf4.encode)),
    Format("zarr", "application/zip", "Zarr 3, in a ZIP file", "dataset", _plain(zarr.encode), ".zarr.zip"),
)

FORMATS: Final[Mapping[str, Format]] = MappingProxyType({each.name: each for each in _FORMATS})
"""Every format, by its name."""
