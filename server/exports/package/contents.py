"""What goes into a package: chosen and weighed before any pixel is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final, TypeAlias

import xarray as xr

from shotdap.catalog import Address, Catalog, Collection, Entry, NotFound, TooMany, retry_changed
from shotdap.server.exports.package.package_order import Order
from shotdap.server.extraction import Wanted
from shotdap.server.http.errors import TooLarge, problem
from shotdap.server.http.limits import Limits, refuse_size
from shotdap.server.pictures.levels import shown
from shotdap.transforms import BadSelection

__all__ = [
    "MANIFEST",
    "OTHERWISE",
    "README",
    "SUMS",
    "Bounds",
    "Item",
    "Piece",
    "chosen",
    "local",
    "opened",
    "surveyed",
]

_LOG = logging.getLogger("shotdap.packages")

_MIB: Final = 2**20
OTHERWISE: Final = (
    "Ask for fewer images with image=… or diagnostic=…, or for less of each with variable=… and y=100:400; or let the"
    " server make it in its own time: POST /api/v1/exports."
)
"""The way round a limit."""

README: Final = "README.txt"
MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
_RESERVED: Final = (README, MANIFEST, SUMS)
"""What a package holds besides images."""

_WHOLE: Final = frozenset({"dataset", "lineout"})
"""What formats hold that take all that is wanted of an image in one file."""

_RESULT: Final = "result"
"""What the outcome of transforms is called."""


@dataclass(frozen=True)
class Bounds:
    """How much one package may hold."""

    images: int
    size: int
    """Bytes of values, or of files."""


@dataclass(frozen=True)
class Piece:
    """What becomes one member of a ZIP file."""

    name: str
    """Of the member."""
    wanted: Wanted


@dataclass(frozen=True)
class Item:
    """An image of a package."""

    entry: Entry
    pieces: tuple[Piece, ...] = ()
    size: int = 0
    """Bytes of its values, or of its file."""
    failure: Exception | None = None
    """Why there is nothing of it in the package."""


def chosen(catalog: Catalog, order: Order, most: int) -> tuple[Entry, ...]:
    """The images of a package, in the order of their paths. No file is looked at.

    Raises:
        NotFound: there is no such folder or image.
        BadSelection: the folder has none of the images or diagnostics that are asked for.
        TooLarge: they are more than `most`.
    """
    entries = _below(catalog, order, most)
    if len(entries) > most:
        raise _too_many(order, most)
    if not entries:
        raise NotFound(f"There are no images at {order.path!r}.")
    return entries


def _below(catalog: Catalog, order: Order, most: int) -> tuple[Entry, ...]:
    address = catalog.resolve(order.path) if order.path else Collection("")
    if isinstance(address, Address):
        if order.path != address.entry.path:
            raise BadSelection(
                f"A package is of images or folders; {order.path!r} is neither. Ask for {address.entry.path!r}, with"
                " transform=… or raw=1."
            )
        return (address.entry,)
    if address.steps:
        raise BadSelection("A package is of images or folders, not of a stack. Ask for the folder, with diagnostic=….")
    if order.images:
        return tuple(_named(catalog, address.folder, name) for name in dict.fromkeys(order.images))
    try:
        entries = catalog.images(address, most=most)
    except TooMany as error:
        raise _too_many(order, most) from error
    return _of_diagnostics(order, entries)


def _named(catalog: Catalog, folder: str, name: str) -> Entry:
    """An image by its path, or by what of it is below the folder."""
    below = name if not folder or name.startswith(f"{folder}/") else f"{folder}/{name}"
    try:
        return catalog.find(below)
    except NotFound as error:
        raise BadSelection(
            f"There is no image {name!r} in {folder!r}; what is there, /dap/{folder} lists. Name one as it is called"
            " below the folder: asbo1/asbo1_s62328."
        ) from error


def _of_diagnostics(order: Order, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    if not order.diagnostics:
        return tuple(entries)
    asked = {name.casefold() for name in order.diagnostics}
    there = {str(entry.facts.get("diagnostic", "")): None for entry in entries}
    unknown = asked - {name.casefold() for name in there}
    if unknown:
        known = ", ".join(filter(None, there)) or "none that the archive names"
        raise BadSelection(f"There are no images of {', '.join(sorted(unknown))} here. The diagnostics are: {known}.")
    return tuple(entry for entry in entries if str(entry.facts.get("diagnostic", "")).casefold() in asked)


def _too_many(order: Order, most: int) -> TooLarge:
    return TooLarge(
        f"There are more than {most:,} images at {order.path!r}, and one package holds no more. {OTHERWISE}"
    )


def surveyed(
    catalog: Catalog, order: Order, entries: Iterable[Entry], limits: Limits, bounds: Bounds
) -> tuple[Item, ...]:
    """Look into each image, as far as its headers, for what will be packed of it.

    Returns:
        An item for each image, in their order. One of which nothing can be packed says why.

    Raises:
        TooLarge: all together are more than one package may hold.
        Exception: what was wrong with the first, where nothing can be packed of any.
    """
    weigh = _as_archived if order.is_archived else _as_computed
    items = tuple(_apart(_tried(catalog, order, entry, limits, weigh) for entry in entries))
    failures = [item.failure for item in items if item.failure is not None]
    if len(failures) == len(items):
        raise failures[0]
    size = sum(item.size for item in items)
    if size > bounds.size:
        raise TooLarge(
            f"This package would hold {size / _MIB:,.1f} MiB, of {len(items):,} images; one holds"
            f" {bounds.size / _MIB:,.1f} MiB at most. {OTHERWISE}"
        )
    return items


Weigh: TypeAlias = Callable[[Catalog, Order, Entry, Limits], Item]


def _tried(catalog: Catalog, order: Order, entry: Entry, limits: Limits, weigh: Weigh) -> Item:
    try:
        return retry_changed(lambda: weigh(catalog, order, entry, limits))
    except Exception as error:  # noqa: BLE001 — whatever it is, it is said of this image, and the others are packed
        if not problem(error).expected:
            _LOG.exception("failed to look into %s", entry.path)
        return Item(entry, failure=error)


def _as_archived(catalog: Catalog, order: Order, entry: Entry, _limits: Limits) -> Item:
    version = catalog.version(entry)
    if version.path.exists():  # what has yet to be fetched is opened when its turn comes
        catalog.hold(entry)
    folder, slash, called = local(order, entry).rpartition("/")
    return Item(entry, (Piece(f"{folder}{slash}{_own_name(entry) or called}", order.wanted),), version.size)


def _own_name(entry: Entry) -> str:
    """What the user calls the file, without the folders that it was in; empty where that is no name for a file."""
    name = PureWindowsPath(str(entry.facts.get("name", ""))).name
    return name if name.isprintable() and name.strip(".") else ""


def _as_computed(catalog: Catalog, order: Order, entry: Entry, limits: Limits) -> Item:
    path, ending = local(order, entry), order.format.ending
    dataset = opened(catalog, entry, order.wanted)
    narrow = order.wanted.narrow(dataset)
    if order.kind != "zip" or order.format.holds in _WHOLE:
        refuse_size(narrow, limits, order.expands)
        return Item(entry, (Piece(f"{path}{ending}", order.wanted),), narrow.nbytes)
    pieces = tuple(Piece(f"{path}.{name}{ending}", wanted) for name, wanted in _each(order.wanted, narrow))
    parts = [piece.wanted.narrow(dataset) for piece in pieces]
    for part in parts:
        refuse_size(part, limits, order.expands)
    return Item(entry, pieces, sum(part.nbytes for part in parts))


def _each(wanted: Wanted, narrow: xr.Dataset) -> Iterator[tuple[str, Wanted]]:
    """What is wanted, one variable at a time, for formats that hold one."""
    if wanted.transforms:
        yield _RESULT, wanted
        return
    for name in wanted.variables or (shown(narrow),):
        yield name, replace(wanted, variables=(name,))


def opened(catalog: Catalog, entry: Entry, wanted: Wanted) -> xr.Dataset:
    """An image, or the variant of it that is wanted; lazy, and without dask, as it is computed at once."""
    return catalog.open(wanted.path(entry.path), chunked=False)


def local(order: Order, entry: Entry) -> str:
    """An image's path below the folder of the package."""
    return entry.path.rpartition("/")[2] if entry.path == order.path else entry.path.removeprefix(f"{order.path}/")


def _apart(items: Iterable[Item]) -> Iterator[Item]:
    """The items, with no two members of one name; on Windows and macOS, ``A`` and ``a`` are one."""
    taken: set[str] = set(map(str.casefold, _RESERVED))
    for item in items:
        pieces = tuple(replace(piece, name=_unused(piece.name, taken)) for piece in item.pieces)
        yield replace(item, pieces=pieces)


def _unused(name: str, taken: set[str]) -> str:
    path = PurePosixPath(name)
    names = chain([name], (str(path.with_stem(f"{path.stem}_{number}")) for number in count(2)))
    fresh = next(each for each in names if each.casefold() not in taken)
    taken.add(fresh.casefold())
    return fresh
