"""From an order to the list of its images, and everything that can be said against it before work starts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from shotdap.catalog import Catalog, Unreadable, parse_query
from shotdap.server.exports.image_values import encode_image, open_extraction
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.order import BadOrder, Order
from shotdap.server.http.errors import TooLarge
from shotdap.transforms import BadSelection, BadVariant

__all__ = ["Plan", "plan_export"]

_PAGE_SIZE: Final = 1000  # images of a page of the search
_EXTRA_PAGES: Final = 100  # pages that may hold less: where what matches is rare, each looks at 20,000 images
_MAX_PROBED_IMAGES: Final = 16  # images, to see whether any is as the order takes it
_PROBE_POOL: Final = ThreadPoolExecutor(4, "shotdap export look")
"""Where images are opened for whoever does not wait for as long as that takes."""


@dataclass(frozen=True)
class Plan:
    """What an order comes to."""

    items: tuple[PlanItem, ...]
    estimate: int
    """Bytes that its values take in memory, by the first image that can be opened; 0 where that is not known yet."""


def plan_export(
    catalog: Catalog, order: Order, *, most: int | None = None, memory: int, patience: float | None = None
) -> Plan:
    """List the images of an order; no pixel is read.

    Args:
        catalog: where they are.
        order: what is wanted.
        most: how many images there may be; `None` for any number.
        memory: bytes that one image may take.
        patience: seconds to wait for the first images to be opened, which may have to be fetched, unpacked or read in
            isolation; `None` for as long as it takes. What is wrong with them and not known by then, the export finds.

    Raises:
        BadOrder: nothing matches, or no image that was tried can be had so.
        BadQuery: the query cannot be understood.
        BadSelection, BadVariant: the order does not hold together.
        TooLarge: there are too many images.
        Unsearchable: this index answers no queries.
    """
    order.validate()
    items = tuple(_iter_items(catalog, order, most))
    if not items:
        raise BadOrder(f"No image matches {order.query!r}.")
    if patience is None:
        return Plan(items, len(items) * _probe_images(catalog, order, items, memory))
    look = _PROBE_POOL.submit(_probe_images, catalog, order, items, memory)
    if wait([look], patience).not_done:
        look.cancel()
        return Plan(items, 0)
    return Plan(items, len(items) * look.result())


def _iter_items(catalog: Catalog, order: Order, most: int | None) -> Iterator[PlanItem]:
    pages = None if most is None else most // _PAGE_SIZE + _EXTRA_PAGES
    for number, path in enumerate(_iter_paths(catalog, order.query, pages)):
        if number == most:
            raise TooLarge(
                f"More than {most:,} images match; one export may have {most:,}. Narrow the query, by shots or dates,"
                " and order the rest in exports of their own; or run `shotdap export` where the archive is."
            )
        yield PlanItem(number, path, f"{path}{order.file_format.extension}" if order.has_files else path)


def _iter_paths(catalog: Catalog, query: str, pages: int | None) -> Iterator[str]:
    understood, after, looked = parse_query(query), None, 0
    while True:
        page = catalog.search(understood, after=after, limit=_PAGE_SIZE)
        yield from (entry.path for entry in page.entries)
        after, looked = page.after, looked + 1
        if after is None:
            return
        if looked == pages:
            raise TooLarge("What matches is too rare among what is looked at; narrow the query, by shots or dates.")


def _probe_images(catalog: Catalog, order: Order, items: tuple[PlanItem, ...], memory: int) -> int:
    """Return the bytes of the first image that can be had as the order wants it, as its headers say.

    Raises:
        BadOrder: of those that were tried none can, and it is not for their files.
    """
    refused: Exception | None = None
    for item in items[:_MAX_PROBED_IMAGES]:
        try:
            dataset = open_extraction(catalog, order, item.path, memory)
            if order.has_files:
                encode_image(
                    order, _build_sample_dataset(dataset)
                )  # a picture of two variables is refused now, and not 20,000 times
        except (BadSelection, BadVariant, TooLarge) as error:
            refused = refused or error
        except (LookupError, Unreadable):
            continue  # it is a line of the manifest
        else:
            return dataset.nbytes
    if refused is not None:
        tried = "No image" if len(items) <= _MAX_PROBED_IMAGES else f"None of the first {_MAX_PROBED_IMAGES} images"
        raise BadOrder(f"{tried} can be had so. {refused}") from refused
    return 0


def _build_sample_dataset(dataset: xr.Dataset) -> xr.Dataset:
    """A small dataset of the same variables, types and dimensions, without its values."""

    def build_variable(each: xr.Variable) -> xr.Variable:
        nothing = "" if each.dtype.kind in "OUST" else np.zeros((), each.dtype)
        values = np.full([min(size, 2) for size in each.shape], nothing, each.dtype)
        return xr.Variable(each.dims, values, each.attrs)

    variables = {name: build_variable(each) for name, each in dataset.variables.items()}
    coordinates = {name: variables[name] for name in dataset.coords}
    data = {name: each for name, each in variables.items() if name not in coordinates}
    return xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), dataset.attrs)
