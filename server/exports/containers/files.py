"""A file for each image, in a folder or in a ZIP file."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from shotdap.server.exports.checksum import Checksum, write_encoded
from shotdap.server.exports.containers.zip_file import write_zip
from shotdap.server.exports.export_plan import PlanItem
from shotdap.server.exports.image_data import encode_image
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import JobOrder
from shotdap.server.exports.workspace import Workspace


def write_image(workspace: Workspace, order: JobOrder, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's file to its final place; see `WriteImage`."""
    return write_encoded(workspace.target / item.name, encode_image(order, dataset), workspace.drafts_folder)


def stage_image(workspace: Workspace, order: JobOrder, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's file to the staging folder; see `WriteImage`."""
    return write_encoded(workspace.staging_folder / item.name, encode_image(order, dataset), workspace.drafts_folder)


def ensure_folder(workspace: Workspace, _order: JobOrder, _records: Mapping[int, ManifestRecord]) -> None:
    """Create the folder if no image did; the files are in their places."""
    workspace.target.mkdir(parents=True, exist_ok=True)


def finish_zip(workspace: Workspace, _order: JobOrder, records: Mapping[int, ManifestRecord]) -> None:
    """Put all files and the manifest into one ZIP file."""
    names = [member.name for _, record in sorted(records.items()) for member in record.members]
    write_zip(workspace, [(workspace.staging_folder / name, name) for name in names])
