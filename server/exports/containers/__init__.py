"""One module for each container: how a worker puts an image into it, and how it is finished when all are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import xarray as xr

from shotdap.server.exports.checksum import Checksum
from shotdap.server.exports.containers import files, icechunk, netcdf_tree, zarr_store
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import Container, Order
from shotdap.server.exports.workspace import Workspace

__all__ = ["WRITERS", "Checksum", "ContainerWriter", "FinishContainer", "WriteImage"]

WriteImage: TypeAlias = Callable[[Workspace, Order, PlanItem, xr.Dataset], Checksum]
"""Write the computed values of an image, all or nothing; many workers do so at once, each its own images.

Raises:
    BadSelection: the format cannot hold them.
    OSError: the place cannot be written to.
"""

FinishContainer: TypeAlias = Callable[[Workspace, Order, Mapping[int, ManifestRecord]], None]
"""Make of what was put the container that was ordered, in one process, in bounded memory, all or nothing."""


@dataclass(frozen=True)
class ContainerWriter:
    """How a container is made."""

    write_image: WriteImage
    finish: FinishContainer


WRITERS: Final[Mapping[Container, ContainerWriter]] = MappingProxyType(
    {
        "folder": ContainerWriter(files.write_image, files.ensure_folder),
        "zip": ContainerWriter(files.stage_image, files.finish_zip),
        "zarr": ContainerWriter(zarr_store.write_image, zarr_store.finish_store),
        "zarr-zip": ContainerWriter(zarr_store.stage_image, zarr_store.finish_zip),
        "nc4": ContainerWriter(netcdf_tree.stage_image, netcdf_tree.join_images),
        "icechunk": ContainerWriter(zarr_store.stage_image, icechunk.commit_images),
    }
)
"""Every container, by its name."""
