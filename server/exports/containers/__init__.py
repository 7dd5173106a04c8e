"""Containers of jobs: how a worker writes an image, and how one process finishes the container.

`WRITERS` has all of them. Each module is a kind of container; `zip_file` and `zarr_groups` also stream packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import xarray as xr

from shotdap.server.exports import Container
from shotdap.server.exports.checksum import Checksum
from shotdap.server.exports.containers import files, icechunk, netcdf_tree, zarr_groups
from shotdap.server.exports.export_plan import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import JobOrder
from shotdap.server.exports.workspace import Workspace

__all__ = ["WRITERS"]

WriteImage: TypeAlias = Callable[[Workspace, JobOrder, PlanItem, xr.Dataset], Checksum]
"""Write the computed values of an image atomically; many workers do so at the same time, each for other images.

Raises:
    BadSelection: the format cannot hold them.
    OSError: the folder cannot be written to.
"""

_FinishContainer: TypeAlias = Callable[[Workspace, JobOrder, Mapping[int, ManifestRecord]], None]
"""Make the ordered container of all images atomically, in one process and in bounded memory."""


@dataclass(frozen=True)
class _ContainerWriter:
    """The functions that make a container."""

    write_image: WriteImage
    finish: _FinishContainer
    file_name: str = ""
    """The name of a server's result; empty for containers that only the command line makes."""
    media_type: str = ""
    """The media type of that result."""


WRITERS: Final[Mapping[Container, _ContainerWriter]] = MappingProxyType(
    {
        "folder": _ContainerWriter(files.write_image, files.ensure_folder),
        "zip": _ContainerWriter(files.stage_image, files.finish_zip, "export.zip", "application/zip"),
        "zarr": _ContainerWriter(zarr_groups.write_image, zarr_groups.finish_store),
        "zarr-zip": _ContainerWriter(
            zarr_groups.stage_image, zarr_groups.finish_zip, "export.zarr.zip", "application/zip"
        ),
        "nc4": _ContainerWriter(netcdf_tree.stage_image, netcdf_tree.join_images, "export.nc", "application/x-netcdf"),
        "icechunk": _ContainerWriter(zarr_groups.stage_image, icechunk.commit_images),
    }
)
"""The containers of jobs by their names."""
