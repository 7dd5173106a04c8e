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

from shotdap.server.exports.atomic import written
from shotdap.server.exports.checksum import Written, write_file
from shotdap.server.exports.image_values import encoded
from shotdap.server.exports.items import Item
from shotdap.server.exports.manifest import Line
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Place

__all__ = ["leave", "put_file", "put_part", "zip_files", "zipped"]

_RIGHTS: Final = 0o644 << 16
_BLOCK: Final = 1 << 20


def put_file(place: Place, order: Order, item: Item, dataset: xr.Dataset) -> Written:
    """Write an image's file where it is to stay; see `Put`."""
    return write_file(place.target / item.name, encoded(order, dataset), place.drafts)


def put_part(place: Place, order: Order, item: Item, dataset: xr.Dataset) -> Written:
    """Write an image's file where it waits for the others; see `Put`."""
    return write_file(place.parts / item.name, encoded(order, dataset), place.drafts)


def leave(place: Place, _order: Order, _lines: Mapping[int, Line]) -> None:
    """Leave the files where they are."""
    place.target.mkdir(parents=True, exist_ok=True)


def zipped(place: Place, _order: Order, lines: Mapping[int, Line]) -> None:
    """Put all files and the manifest into one ZIP file."""
    names = [line.name for _, line in sorted(lines.items()) if line.status == "done"]
    zip_files(place, [(place.parts / name, name) for name in names])


def zip_files(place: Place, files: Iterable[tuple[Path, str]]) -> None:
    """Put files, each with its name, and the manifest into the ZIP file that is the export."""
    with written(place.target, place.drafts) as draft, ZipFile(draft, "w", ZIP_STORED) as archive:
        for path, name in (*files, (place.manifest, place.manifest.name)):
            info = ZipInfo(name)
            info.external_attr, info.file_size = _RIGHTS, path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, _BLOCK)
