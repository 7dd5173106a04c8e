"""``shotdap package``: make a package as a file on this machine, without a server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from shotdap.config import Site
from shotdap.server.cli import output
from shotdap.server.exports.containers.zip_file import stream_zip
from shotdap.server.exports.order import PackageOrder
from shotdap.server.exports.package_members import pack_members
from shotdap.server.exports.package_plan import MANIFEST_NAME, PackageLimits, plan_package, select_entries
from shotdap.server.http.limits import create_limits

_UNLIMITED: Final = 1 << 62  # on the user's own machine only the disk limits a package


def save_package(site: Site, order: PackageOrder, target: Path) -> None:
    """Write a package, replace the target when the file is complete, and print the problems of images.

    Raises:
        NotFound: there is no such folder or image.
        BadSelection: no image has what is selected.
        Unreadable: no image can be read, or a file changed while it was packed.
    """
    catalog, limits = site.open_catalog(), create_limits(site.settings)
    draft = target.with_name(f".{target.name}.unfinished")
    with output.show_bytes("Packing") as update:
        order.validate()
        entries = select_entries(catalog, order, _UNLIMITED)
        items = plan_package(catalog, order, entries, limits, PackageLimits(_UNLIMITED, _UNLIMITED))
        try:
            with draft.open("wb") as file:
                for block in stream_zip(pack_members(catalog, order, items, limits, datetime.now(UTC))):
                    file.write(block)
                    update(file.tell())
            with ZipFile(draft) as archive:
                images = json.loads(archive.read(MANIFEST_NAME))["images"]
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    problems = {image["path"]: "; ".join(image["problems"]) for image in images if image["problems"]}
    for path, reason in problems.items():
        output.print_line(f"{path}: {reason}")
    output.print_line(f"{target} has all {'but these' if problems else 'of it'}.")
