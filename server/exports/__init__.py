"""Exports of many images at once: packages and jobs.

Both have an order (`order`), a list of images with their members (`export_plan`, `package_plan`), and a record of the
outcome of each image (`manifest`). A package is streamed in the request, one member at a time (`package_members`), or
is one dataset (`package_tree`). A job runs on Dask (`job_run`, `worker`, `cluster`), can be resumed (`workspace`), and
writes one of the `containers`; `jobs` has the jobs of a server.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["Container", "JobContainer", "PackageContainer"]

JobContainer: TypeAlias = Literal["folder", "zip", "zarr", "zarr-zip", "nc4", "icechunk"]
"""A folder of files, or a ZIP file of them; a Zarr store with a group for each image, as a folder or as one file; a
netCDF-4 file with such groups; or an Icechunk repository, which gets a new version."""

PackageContainer: TypeAlias = Literal["zip", "nc4", "h5", "zarr"]
"""One file for each image, in a ZIP file; or a group for each, in a netCDF-4 or HDF5 file or in a zipped Zarr store."""

Container: TypeAlias = JobContainer | PackageContainer
