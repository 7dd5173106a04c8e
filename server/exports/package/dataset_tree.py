"""All images of a package in one dataset, each in a group of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import xarray as xr

from shotdap import __version__
from shotdap.catalog import Catalog
from shotdap.catalog.collections.shot_tree import together
from shotdap.server.exports.package.contents import Item, local, opened
from shotdap.server.exports.package.package_order import Order
from shotdap.server.exports.package.zip_stream import Member
from shotdap.server.http.errors import problem
from shotdap.server.protocols.zarr import Options, store

__all__ = ["stored", "tree"]


def tree(catalog: Catalog, order: Order, items: Iterable[Item], made: datetime) -> xr.Dataset:
    """The images as groups of one dataset, lazily, with what explains them as attributes.

    One of which nothing can be had is left out; the attribute ``left_out`` names it, and says why.

    Raises:
        Unreadable: a file cannot be read any more.
        BadSelection: likewise, what is wanted cannot be had of it.
    """
    items = list(items)
    left_out = [f"{item.entry.path}: {problem(item.failure).message}" for item in items if item.failure is not None]
    images = {
        local(order, item.entry): order.wanted.narrow(opened(catalog, item.entry, order.wanted))
        for item in items
        if item.failure is None
    }
    said = {
        "title": f"Images of {order.path or 'the archive'}",
        "software": f"shotdap {__version__}",
        "made": made.isoformat(timespec="seconds"),
        "request": order.url,
        "left_out": "; ".join(left_out),
    }
    return together(images, {name: value for name, value in said.items() if value})


def stored(dataset: xr.Dataset) -> Iterator[Member]:
    """A dataset as a Zarr 3 store: the members of a ZIP file that zarr-python opens as it is, a chunk at a time.

    Raises:
        Unreadable: a chunk cannot be had.
    """
    for key, encoded in store(dataset, Options()):
        content = encoded()
        yield Member(key, len(content), (content,))
        del content
