"""Combine all images of a package in one dataset, each in a group of its own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import xarray as xr

from shotdap import __version__
from shotdap.catalog import Catalog
from shotdap.catalog.collections.shot_tree import combine_as_groups
from shotdap.server.exports.image_data import open_extraction
from shotdap.server.exports.order import PackageOrder
from shotdap.server.exports.package_plan import PackageItem, relative_path
from shotdap.server.http.errors import to_problem


def combine_images(
    catalog: Catalog, order: PackageOrder, items: Iterable[PackageItem], created_at: datetime
) -> xr.Dataset:
    """Return the images as groups of one lazy dataset, described by its attributes.

    Images that cannot be packed are missing; the attribute ``left_out`` has their names and the reasons.

    Raises:
        Unreadable: a file cannot be read any more.
        BadSelection: an image does not have what is selected any more.
    """
    images: dict[str, xr.Dataset] = {}
    left_out: list[str] = []
    for item in items:
        if item.failure is None:
            images[relative_path(order, item.path)] = open_extraction(catalog, order.extraction, item.path)
        else:
            left_out.append(f"{item.path}: {to_problem(item.failure).message}")
    attributes = {
        "title": f"Images of {order.source.title}",
        "software": f"shotdap {__version__}",
        "made": created_at.isoformat(timespec="seconds"),
        "request": order.context.request_url,
        "left_out": "; ".join(left_out),
    }
    return combine_as_groups(images, {name: value for name, value in attributes.items() if value})
