"""The plan of an export: its images and what each becomes, listed and checked before any pixel is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from shotdap.catalog import Catalog, Unreadable, parse_query
from shotdap.server.exports.atomic import write_atomically
from shotdap.server.exports.image_data import check_memory, encode_image, open_extraction
from shotdap.server.exports.order import BadOrder, JobOrder
from shotdap.server.extraction import Extraction
from shotdap.server.http.errors import TooLarge
from shotdap.transforms import BadSelection, BadVariant

_PAGE_SIZE: Final = 1000  # images of a page of the search
_EXTRA_PAGES: Final = 100  # pages that may be shorter: where matches are rare, a page scans only 20,000 images
_MAX_PROBED_IMAGES: Final = 16  # opened to check that any image fits the order
_PROBE_POOL: Final = ThreadPoolExecutor(4, "shotdap export look")
"""Threads that open images for callers who wait for a limited time."""


@dataclass(frozen=True)
class PlannedMember:
    """A file or group of the export."""

    name: str
    """The path of the file or group."""
    extraction: Extraction | None = None
    """Its variables and ranges; `None` for the order's."""


@dataclass(frozen=True)
class PlanItem:
    """An image of an export. Jobs send it to workers: it is plain data, and has one member."""

    number: int
    """Position in the list, from 0."""
    path: str
    """The image's public path."""
    members: tuple[PlannedMember, ...] = ()

    @property
    def name(self) -> str:
        """The name of the one member."""
        return self.members[0].name


@dataclass(frozen=True)
class Plan:
    """The images of a job."""

    items: tuple[PlanItem, ...]
    estimate: int
    """Bytes of all values in memory, estimated from the first image that opens; 0 while unknown."""


def write_items(path: Path, items: Iterable[PlanItem]) -> None:
    """Store the images of a job, one a line, so that the list stays the same in later runs."""
    with write_atomically(path) as draft, draft.open("w", encoding="utf-8") as file:
        for item in items:
            file.write(f"{json.dumps({'number': item.number, 'path': item.path, 'name': item.name})}\n")


def read_items(path: Path) -> tuple[PlanItem, ...]:
    """Read the list that `write_items` stored."""
    with path.open(encoding="utf-8") as file:
        lines = map(json.loads, file)
        return tuple(PlanItem(line["number"], line["path"], (PlannedMember(line["name"]),)) for line in lines)


def plan_export(
    catalog: Catalog, order: JobOrder, *, max_images: int | None = None, memory_limit: int, timeout: float | None = None
) -> Plan:
    """List the images of a job; no pixel is read.

    Args:
        catalog: has the images.
        order: what to export.
        max_images: the most images that there may be; `None` for any number.
        memory_limit: bytes that one image may take.
        timeout: seconds to wait for the first images to open, which may have to be fetched, unpacked or read in a
            sandbox; `None` for no limit. Errors in them that are not known by then, the export finds.

    Raises:
        BadOrder: no image matches, or none of those that were tried fits the order.
        BadQuery: the query has a syntax error.
        BadSelection, BadVariant: the order contradicts itself.
        TooLarge: there are too many images.
        Unsearchable: this index answers no queries.
    """
    order.validate()
    suffix = order.file_format.extension if order.has_files else ""
    paths = _search_paths(catalog, order.source.query, max_images)
    items = tuple(PlanItem(number, path, (PlannedMember(f"{path}{suffix}"),)) for number, path in enumerate(paths))
    if not items:
        raise BadOrder(f"No image matches {order.source.query!r}.")
    if timeout is None:
        return Plan(items, len(items) * _probe_images(catalog, order, items, memory_limit))
    probe = _PROBE_POOL.submit(_probe_images, catalog, order, items, memory_limit)
    if wait([probe], timeout).not_done:
        probe.cancel()
        return Plan(items, 0)
    return Plan(items, len(items) * probe.result())


def _search_paths(catalog: Catalog, text: str, max_images: int | None) -> Iterator[str]:
    """Yield the paths of the images that match, page by page.

    Raises:
        TooLarge: more than `max_images` match, or they are so rare that the search takes too many pages.
    """
    max_pages = None if max_images is None else max_images // _PAGE_SIZE + _EXTRA_PAGES
    query, after, pages, count = parse_query(text), None, 0, 0
    while True:
        page = catalog.search(query, after=after, limit=_PAGE_SIZE)
        for entry in page.entries:
            if count == max_images:
                raise TooLarge(
                    f"More than {max_images:,} images match; one export may have {max_images:,}. Narrow the query, by"
                    " shots or dates, and order the rest in exports of their own; or run `shotdap export` where the"
                    " archive is."
                )
            count += 1
            yield entry.path
        after, pages = page.after, pages + 1
        if after is None:
            return
        if pages == max_pages:
            raise TooLarge(
                "Matching images are too rare in what one search scans; narrow the query, by shots or dates."
            )


def _probe_images(catalog: Catalog, order: JobOrder, items: tuple[PlanItem, ...], memory_limit: int) -> int:
    """Return the size in bytes of the first image that fits the order, from its headers.

    Raises:
        BadOrder: none of the first images fits, and not because their files are unreadable.
    """
    refusal: Exception | None = None
    for item in items[:_MAX_PROBED_IMAGES]:
        try:
            dataset = open_extraction(catalog, order.extraction, item.path)
            check_memory(dataset, memory_limit)
            if order.has_files:  # refuse a picture of two variables now, and not 20,000 times later
                encode_image(order, _build_sample_dataset(dataset))
        except (BadSelection, BadVariant, TooLarge) as error:
            refusal = refusal or error
        except (LookupError, Unreadable):
            continue  # the manifest reports it
        else:
            return dataset.nbytes
    if refusal is not None:
        tried = "No image" if len(items) <= _MAX_PROBED_IMAGES else f"None of the first {_MAX_PROBED_IMAGES} images"
        raise BadOrder(f"{tried} can be exported in this way. {refusal}") from refusal
    return 0


def _build_sample_dataset(dataset: xr.Dataset) -> xr.Dataset:
    """Return a small dataset with the same variables, types and dimensions, and constant values."""

    def build_variable(variable: xr.Variable) -> xr.Variable:
        fill = "" if variable.dtype.kind in "OUST" else np.zeros((), variable.dtype)
        values = np.full([min(size, 2) for size in variable.shape], fill, variable.dtype)
        return xr.Variable(variable.dims, values, variable.attrs)

    variables = {name: build_variable(variable) for name, variable in dataset.variables.items()}
    coordinates = {name: variables[name] for name in dataset.coords}
    data = {name: variable for name, variable in variables.items() if name not in coordinates}
    return xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), dataset.attrs)
