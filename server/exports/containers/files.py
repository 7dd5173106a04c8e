"""A file for each image: in a folder, or in a ZIP file.

A ZIP file is put together from files that are whole, one after the other, so that its making takes no memory. It packs
nothing: images are noise, and most formats have packed what can be. Its dates are the format's first, so that equal
exports are equal files.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import xarray as xr

from shotdap.server.exports.atomic import write_atomically
from shotdap.server.exports.checksum import Checksum, write_encoded
from shotdap.server.exports.image_values import encode_image
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Workspace

__all__ = ["ensure_folder", "finish_zip", "stage_image", "write_image", "write_zip"]

_FILE_MODE: Final = 0o644 << 16
_BLOCK_SIZE: Final = 1 << 20


def write_image(place: Workspace, order: Order, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's file where it is to stay; see `WriteImage`."""
    return write_encoded(place.target / item.name, encode_image(order, dataset), place.drafts_folder)


def stage_image(place: Workspace, order: Order, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's file where it waits for the others; see `WriteImage`."""
    return write_encoded(place.staging_folder / item.name, encode_image(order, dataset), place.drafts_folder)


def ensure_folder(place: Workspace, _order: Order, _lines: Mapping[int, ManifestRecord]) -> None:
    """Leave the files where they are."""
    place.target.mkdir(parents=True, exist_ok=True)


def finish_zip(place: Workspace, _order: Order, lines: Mapping[int, ManifestRecord]) -> None:
    """Put all files and the manifest into one ZIP file."""
    names = [line.name for _, line in sorted(lines.items()) if line.status == "done"]
    write_zip(place, [(place.staging_folder / name, name) for name in names])


def write_zip(place: Workspace, files: Iterable[tuple[Path, str]]) -> None:
    """Put files, each with its name, and the manifest into the ZIP file that is the export."""
    with write_atomically(place.target, place.drafts_folder) as draft, ZipFile(draft, "w", ZIP_STORED) as archive:
        for path, name in (*files, (place.manifest_path, place.manifest_path.name)):
            info = ZipInfo(name)
            info.external_attr, info.file_size = _FILE_MODE, path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, _BLOCK_SIZE)
