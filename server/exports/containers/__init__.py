"""One module for each container: how a worker puts an image into it, and how it is finished when all are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import xarray as xr

from shotdap.server.exports.checksum import Written
from shotdap.server.exports.containers import files, icechunk, netcdf_tree, zarr_store
from shotdap.server.exports.items import Item
from shotdap.server.exports.manifest import Line
from shotdap.server.exports.order import Container, Order
from shotdap.server.exports.workspace import Place

__all__ = ["WRITERS", "Finish", "Put", "Writer", "Written"]

Put: TypeAlias = Callable[[Place, Order, Item, xr.Dataset], Written]
"""Write the computed values of an image, all or nothing; many workers do so at once, each its own images.

Raises:
    BadSelection: the format cannot hold them.
    OSError: the place cannot be written to.
"""

Finish: TypeAlias = Callable[[Place, Order, Mapping[int, Line]], None]
"""Make of what was put the container that was ordered, in one process, in bounded memory, all or nothing."""


@dataclass(frozen=True)
class Writer:
    """How a container is made."""

    put: Put
    finish: Finish


WRITERS: Final[Mapping[Container, Writer]] = MappingProxyType(
    {
        "folder": Writer(files.put_file, files.leave),
        "zip": Writer(files.put_part, files.zipped),
        "zarr": Writer(zarr_store.put_group, zarr_store.finish_store),
        "zarr-zip": Writer(zarr_store.put_part, zarr_store.zipped),
        "nc4": Writer(netcdf_tree.put_part, netcdf_tree.joined),
        "icechunk": Writer(zarr_store.put_part, icechunk.committed),
    }
)
"""Every container, by its name."""
