"""What goes into a package: chosen and weighed before any pixel is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final, TypeAlias

import xarray as xr

from shotdap.catalog import Catalog, Entry, ImageAddress, ImageCollection, NotFound, TooMany, retry_if_changed
from shotdap.server.exports.package.package_order import Order
from shotdap.server.extraction import Extraction
from shotdap.server.http.errors import TooLarge, to_problem
from shotdap.server.http.limits import Limits, refuse_size
from shotdap.server.pictures.levels import find_default_image
from shotdap.transforms import BadSelection

__all__ = [
    "CHECKSUMS_NAME",
    "LIMIT_ADVICE",
    "MANIFEST_NAME",
    "README_NAME",
    "PackageLimits",
    "PlanItem",
    "PlannedMember",
    "open_variant",
    "plan_package",
    "relative_path",
    "select_entries",
]

_LOG = logging.getLogger("shotdap.packages")

_MIB: Final = 2**20
LIMIT_ADVICE: Final = (
    "Ask for fewer images with image=… or diagnostic=…, or for less of each with variable=… and y=100:400; or let the"
    " server make it in its own time: POST /api/v1/exports."
)
"""The way round a limit."""

README_NAME: Final = "README.txt"
MANIFEST_NAME: Final = "manifest.json"
CHECKSUMS_NAME: Final = "SHA256SUMS"
_RESERVED_NAMES: Final = (README_NAME, MANIFEST_NAME, CHECKSUMS_NAME)
"""What a package holds besides images."""

_WHOLE_IMAGE_KINDS: Final = frozenset({"dataset", "lineout"})
"""What formats hold that take all that is wanted of an image in one file."""

_RESULT: Final = "result"
"""What the outcome of transforms is called."""


@dataclass(frozen=True)
class PackageLimits:
    """How much one package may hold."""

    max_images: int
    max_bytes: int
    """Bytes of values, or of files."""


@dataclass(frozen=True)
class PlannedMember:
    """What becomes one member of a ZIP file."""

    name: str
    """Of the member."""
    extraction: Extraction


@dataclass(frozen=True)
class PlanItem:
    """An image of a package."""

    entry: Entry
    members: tuple[PlannedMember, ...] = ()
    size: int = 0
    """Bytes of its values, or of its file."""
    failure: Exception | None = None
    """Why there is nothing of it in the package."""


def select_entries(catalog: Catalog, order: Order, most: int) -> tuple[Entry, ...]:
    """The images of a package, in the order of their paths. No file is looked at.

    Raises:
        NotFound: there is no such folder or image.
        BadSelection: the folder has none of the images or diagnostics that are asked for.
        TooLarge: they are more than `most`.
    """
    entries = _resolve_entries(catalog, order, most)
    if len(entries) > most:
        raise _build_limit_error(order, most)
    if not entries:
        raise NotFound(f"There are no images at {order.path!r}.")
    return entries


def _resolve_entries(catalog: Catalog, order: Order, most: int) -> tuple[Entry, ...]:
    address = catalog.resolve_path(order.path) if order.path else ImageCollection("")
    if isinstance(address, ImageAddress):
        if order.path != address.entry.path:
            raise BadSelection(
                f"A package is of images or folders; {order.path!r} is neither. Ask for {address.entry.path!r}, with"
                " transform=… or raw=1."
            )
        return (address.entry,)
    if address.steps:
        raise BadSelection("A package is of images or folders, not of a stack. Ask for the folder, with diagnostic=….")
    if order.images:
        return tuple(_find_image(catalog, address.folder, name) for name in dict.fromkeys(order.images))
    try:
        entries = catalog.list_images(address, most=most)
    except TooMany as error:
        raise _build_limit_error(order, most) from error
    return _filter_by_diagnostic(order, entries)


def _find_image(catalog: Catalog, folder: str, name: str) -> Entry:
    """An image by its path, or by what of it is below the folder."""
    below = name if not folder or name.startswith(f"{folder}/") else f"{folder}/{name}"
    try:
        return catalog.find_entry(below)
    except NotFound as error:
        raise BadSelection(
            f"There is no image {name!r} in {folder!r}; what is there, /dap/{folder} lists. Name one as it is called"
            " below the folder: asbo1/asbo1_s62328."
        ) from error


def _filter_by_diagnostic(order: Order, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    if not order.diagnostics:
        return tuple(entries)
    asked = {name.casefold() for name in order.diagnostics}
    there = {str(entry.facts.get("diagnostic", "")): None for entry in entries}
    unknown = asked - {name.casefold() for name in there}
    if unknown:
        known = ", ".join(filter(None, there)) or "none that the archive names"
        raise BadSelection(f"There are no images of {', '.join(sorted(unknown))} here. The diagnostics are: {known}.")
    return tuple(entry for entry in entries if str(entry.facts.get("diagnostic", "")).casefold() in asked)


def _build_limit_error(order: Order, most: int) -> TooLarge:
    return TooLarge(
        f"There are more than {most:,} images at {order.path!r}, and one package holds no more. {LIMIT_ADVICE}"
    )


def plan_package(
    catalog: Catalog, order: Order, entries: Iterable[Entry], limits: Limits, bounds: PackageLimits
) -> tuple[PlanItem, ...]:
    """Look into each image, as far as its headers, for what will be packed of it.

    Returns:
        An item for each image, in their order. One of which nothing can be packed says why.

    Raises:
        TooLarge: all together are more than one package may hold.
        Exception: what was wrong with the first, where nothing can be packed of any.
    """
    weigh = _plan_archived if order.has_archived_files else _plan_computed
    items = tuple(_ensure_unique_names(_plan_image(catalog, order, entry, limits, weigh) for entry in entries))
    failures = [item.failure for item in items if item.failure is not None]
    if len(failures) == len(items):
        raise failures[0]
    size = sum(item.size for item in items)
    if size > bounds.max_bytes:
        raise TooLarge(
            f"This package would hold {size / _MIB:,.1f} MiB, of {len(items):,} images; one holds"
            f" {bounds.max_bytes / _MIB:,.1f} MiB at most. {LIMIT_ADVICE}"
        )
    return items


_ImagePlanner: TypeAlias = Callable[[Catalog, Order, Entry, Limits], PlanItem]


def _plan_image(catalog: Catalog, order: Order, entry: Entry, limits: Limits, weigh: _ImagePlanner) -> PlanItem:
    try:
        return retry_if_changed(lambda: weigh(catalog, order, entry, limits))
    except Exception as error:  # noqa: BLE001 — whatever it is, it is said of this image, and the others are packed
        if not to_problem(error).expected:
            _LOG.exception("failed to look into %s", entry.path)
        return PlanItem(entry, failure=error)


def _plan_archived(catalog: Catalog, order: Order, entry: Entry, _limits: Limits) -> PlanItem:
    version = catalog.get_file_version(entry)
    if version.path.exists():  # what has yet to be fetched is opened when its turn comes
        catalog.hold_file(entry)
    folder, slash, called = relative_path(order, entry).rpartition("/")
    return PlanItem(
        entry, (PlannedMember(f"{folder}{slash}{_original_name(entry) or called}", order.extraction),), version.size
    )


def _original_name(entry: Entry) -> str:
    """What the user calls the file, without the folders that it was in; empty where that is no name for a file."""
    name = PureWindowsPath(str(entry.facts.get("name", ""))).name
    return name if name.isprintable() and name.strip(".") else ""


def _plan_computed(catalog: Catalog, order: Order, entry: Entry, limits: Limits) -> PlanItem:
    path, ending = relative_path(order, entry), order.file_format.extension
    dataset = open_variant(catalog, entry, order.extraction)
    narrow = order.extraction.apply(dataset)
    if order.container != "zip" or order.file_format.content_kind in _WHOLE_IMAGE_KINDS:
        refuse_size(narrow, limits, order.expansion_factor)
        return PlanItem(entry, (PlannedMember(f"{path}{ending}", order.extraction),), narrow.nbytes)
    pieces = tuple(
        PlannedMember(f"{path}.{name}{ending}", wanted) for name, wanted in _split_variables(order.extraction, narrow)
    )
    parts = [piece.extraction.apply(dataset) for piece in pieces]
    for part in parts:
        refuse_size(part, limits, order.expansion_factor)
    return PlanItem(entry, pieces, sum(part.nbytes for part in parts))


def _split_variables(wanted: Extraction, narrow: xr.Dataset) -> Iterator[tuple[str, Extraction]]:
    """What is wanted, one variable at a time, for formats that hold one."""
    if wanted.transforms:
        yield _RESULT, wanted
        return
    for name in wanted.variables or (find_default_image(narrow),):
        yield name, replace(wanted, variables=(name,))


def open_variant(catalog: Catalog, entry: Entry, wanted: Extraction) -> xr.Dataset:
    """An image, or the variant of it that is wanted; lazy, and without dask, as it is computed at once."""
    return catalog.open(wanted.build_path(entry.path), chunked=False)


def relative_path(order: Order, entry: Entry) -> str:
    """An image's path below the folder of the package."""
    return entry.path.rpartition("/")[2] if entry.path == order.path else entry.path.removeprefix(f"{order.path}/")


def _ensure_unique_names(items: Iterable[PlanItem]) -> Iterator[PlanItem]:
    """The items, with no two members of one name; on Windows and macOS, ``A`` and ``a`` are one."""
    taken: set[str] = set(map(str.casefold, _RESERVED_NAMES))
    for item in items:
        pieces = tuple(replace(piece, name=_claim_name(piece.name, taken)) for piece in item.members)
        yield replace(item, members=pieces)


def _claim_name(name: str, taken: set[str]) -> str:
    path = PurePosixPath(name)
    names = chain([name], (str(path.with_stem(f"{path.stem}_{number}")) for number in count(2)))
    fresh = next(each for each in names if each.casefold() not in taken)
    taken.add(fresh.casefold())
    return fresh
