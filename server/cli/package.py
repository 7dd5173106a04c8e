"""``shotdap package``: a data package as a file, made on this machine without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

from shotdap.catalog import Catalog
from shotdap.server.exports.containers.zip_file import stream_zip
from shotdap.server.exports.members import pack_members
from shotdap.server.exports.order import PackageOrder
from shotdap.server.exports.package_plan import MANIFEST_NAME, PackageLimits, plan_package, select_entries
from shotdap.server.http.limits import Limits

__all__ = ["save_package"]

_UNLIMITED = 1 << 62  # on one's own machine nothing but the disk bounds a package


def save_package(
    catalog: Catalog, order: PackageOrder, limits: Limits, out: Path, progress: Callable[[int], None]
) -> dict[str, str]:
    """Make a package, and put it where it belongs once it is whole.

    Args:
        catalog: has the images.
        order: what to pack.
        limits: how much of one image may be held in memory, and read.
        out: the file to make; one that is there is replaced.
        progress: told how many bytes have been written.

    Returns:
        What is wrong with images, by their paths; nothing where all is well.

    Raises:
        NotFound: there is no such folder or image.
        BadSelection: what is asked for cannot be had of any image.
        Unreadable: likewise, or a file changed while it was packed.
    """
    order.validate()
    items = plan_package(
        catalog, order, select_entries(catalog, order, _UNLIMITED), limits, PackageLimits(_UNLIMITED, _UNLIMITED)
    )
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            for block in stream_zip(pack_members(catalog, order, items, limits, datetime.now(UTC))):
                file.write(block)
                progress(file.tell())
        problems = _read_problems(unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return problems


def _read_problems(package: Path) -> dict[str, str]:
    with ZipFile(package) as archive:
        lines = json.loads(archive.read(MANIFEST_NAME))["images"]
    return {line["path"]: "; ".join(line["problems"]) for line in lines if line["problems"]}
