"""All images of a package in one dataset, each in a group of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import xarray as xr

from shotdap import __version__
from shotdap.catalog import Catalog
from shotdap.catalog.collections.shot_tree import combine_as_groups
from shotdap.server.exports.package.contents import PlanItem, open_variant, relative_path
from shotdap.server.exports.package.package_order import Order
from shotdap.server.exports.package.zip_stream import ZipMember
from shotdap.server.http.errors import to_problem
from shotdap.server.protocols.zarr import ZarrOptions, iter_store_entries

__all__ = ["combine_images", "iter_store_members"]


def combine_images(catalog: Catalog, order: Order, items: Iterable[PlanItem], made: datetime) -> xr.Dataset:
    """The images as groups of one dataset, lazily, with what explains them as attributes.

    One of which nothing can be had is left out; the attribute ``left_out`` names it, and says why.

    Raises:
        Unreadable: a file cannot be read any more.
        BadSelection: likewise, what is wanted cannot be had of it.
    """
    items = list(items)
    left_out = [f"{item.entry.path}: {to_problem(item.failure).message}" for item in items if item.failure is not None]
    images = {
        relative_path(order, item.entry): order.extraction.apply(open_variant(catalog, item.entry, order.extraction))
        for item in items
        if item.failure is None
    }
    said = {
        "title": f"Images of {order.path or 'the archive'}",
        "software": f"shotdap {__version__}",
        "made": made.isoformat(timespec="seconds"),
        "request": order.request_url,
        "left_out": "; ".join(left_out),
    }
    return combine_as_groups(images, {name: value for name, value in said.items() if value})


def iter_store_members(dataset: xr.Dataset) -> Iterator[ZipMember]:
    """A dataset as a Zarr 3 store: the members of a ZIP file that zarr-python opens as it is, a chunk at a time.

    Raises:
        Unreadable: a chunk cannot be had.
    """
    for key, encoded in iter_store_entries(dataset, ZarrOptions()):
        content = encoded()
        yield ZipMember(key, len(content), (content,))
        del content
