"""The plan of a package: its images, selected and measured before any pixel is read."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from shotdap.catalog import Catalog, Entry, NotFound, TooMany, retry_if_changed
from shotdap.server.exports.export_plan import PlanItem, PlannedMember
from shotdap.server.exports.image_data import open_variant
from shotdap.server.exports.manifest import report_failure
from shotdap.server.exports.order import PackageOrder
from shotdap.server.http.errors import TooLarge
from shotdap.server.http.limits import Limits, check_size
from shotdap.server.pictures.levels import find_default_image
from shotdap.transforms import MARK, BadSelection

README_NAME: Final = "README.txt"
MANIFEST_NAME: Final = "manifest.json"
CHECKSUMS_NAME: Final = "SHA256SUMS"

_LOG = logging.getLogger("shotdap.packages")
_MIB: Final = 2**20
_LIMIT_ADVICE: Final = (
    "Ask for fewer images with image=… or diagnostic=…, or for less of each with variable=… and y=100:400; or let the"
    " server make it in its own time: POST /api/v1/exports."
)
_MULTI_VARIABLE_KINDS: Final = frozenset({"dataset", "lineout"})
"""Kinds of formats that hold several variables of an image in one file."""
_RESULT: Final = "result"
"""The variable that transforms make."""


@dataclass(frozen=True)
class PackageLimits:
    """The most that one package may hold."""

    max_images: int
    max_bytes: int
    """Bytes of values, or of archived files."""


@dataclass(frozen=True, kw_only=True)
class PackageItem(PlanItem):
    """An image of a package; it may have several members, and none if it cannot be packed."""

    entry: Entry
    size: int = 0
    """Bytes of its values, or of its archived file."""
    failure: Exception | None = None
    """The reason why it cannot be packed."""


def select_entries(catalog: Catalog, order: PackageOrder, max_images: int) -> tuple[Entry, ...]:
    """Return the images of a package, sorted by path unless the order names them. No file is opened.

    Raises:
        NotFound: there is no such folder or image.
        BadSelection: the folder has none of the images or diagnostics that the order names.
        TooLarge: there are more than `max_images`.
    """
    source, too_many = order.source, None
    image = catalog.image(source.path) if source.path else None
    entries: tuple[Entry, ...] = ()
    if image is not None and image.entry is not None:
        if source.path != image.entry.path:
            raise BadSelection(
                f"A package is of images or folders; {source.path!r} is neither. Ask for {image.entry.path!r}, with"
                " transform=… or raw=1."
            )
        entries = (image.entry,)
    elif image is not None and not image.has_groups:
        raise BadSelection("A package is of images or folders, not of a stack. Ask for the folder, with diagnostic=….")
    elif source.images:
        entries = tuple(_find_image(catalog, source.path, name) for name in dict.fromkeys(source.images))
    else:
        folder = source.path.removesuffix(f"/{MARK}")  # an empty variant of a folder is the folder
        try:
            entries = _filter_by_diagnostic(catalog.list_entries(folder, most=max_images), source.diagnostics)
        except TooMany as error:
            too_many = error
    if too_many is not None or len(entries) > max_images:
        raise TooLarge(
            f"There are more than {max_images:,} images at {source.path!r}, and one package holds no more."
            f" {_LIMIT_ADVICE}"
        ) from too_many
    if not entries:
        raise NotFound(f"There are no images at {source.path!r}.")
    return entries


def _find_image(catalog: Catalog, folder: str, name: str) -> Entry:
    """Return an image of a folder by its complete path, or by its path below the folder."""
    path = name if not folder or name.startswith(f"{folder}/") else f"{folder}/{name}"
    try:
        return catalog.find_entry(path)
    except NotFound as error:
        raise BadSelection(
            f"There is no image {name!r} in {folder!r}; /dap/{folder} lists its images. Use a name below the folder,"
            " such as asbo1/asbo1_s62328."
        ) from error


def _filter_by_diagnostic(entries: Iterable[Entry], diagnostics: tuple[str, ...]) -> tuple[Entry, ...]:
    if not diagnostics:
        return tuple(entries)
    named_entries = [(str(entry.facts.get("diagnostic", "")), entry) for entry in entries]
    requested = {name.casefold() for name in diagnostics}
    existing = dict.fromkeys(name for name, _ in named_entries)
    unknown = requested - {name.casefold() for name in existing}
    if unknown:
        known = ", ".join(filter(None, existing)) or "none that the archive names"
        raise BadSelection(f"There are no images of {', '.join(sorted(unknown))} here. The diagnostics are: {known}.")
    return tuple(entry for name, entry in named_entries if name.casefold() in requested)


def plan_package(
    catalog: Catalog, order: PackageOrder, entries: Iterable[Entry], limits: Limits, package_limits: PackageLimits
) -> tuple[PackageItem, ...]:
    """Open each image as far as its headers, and list the members that it becomes.

    Returns:
        An item for each image, in the same order. An item of an image that cannot be packed has the reason.

    Raises:
        TooLarge: all images together are more than one package may hold.
        Exception: the failure of the first image, if no image can be packed.
    """
    plan_image = _plan_archived if order.has_archived_files else _plan_computed
    items: list[PackageItem] = []
    taken_names = {name.casefold() for name in (README_NAME, MANIFEST_NAME, CHECKSUMS_NAME)}
    for number, entry in enumerate(entries):
        try:
            members, size = retry_if_changed(partial(plan_image, catalog, order, entry, limits))
        except Exception as error:  # noqa: BLE001 — report any failure for this image only, and pack the others
            report_failure(_LOG, f"look into {entry.path}", error)
            items.append(PackageItem(number, entry.path, entry=entry, failure=error))
        else:
            members = tuple(replace(member, name=_claim_name(member.name, taken_names)) for member in members)
            items.append(PackageItem(number, entry.path, members, entry=entry, size=size))
    failures = [item.failure for item in items if item.failure is not None]
    if len(failures) == len(items):
        raise failures[0]
    size = sum(item.size for item in items)
    if size > package_limits.max_bytes:
        raise TooLarge(
            f"This package would hold {size / _MIB:,.1f} MiB, of {len(items):,} images; one holds"
            f" {package_limits.max_bytes / _MIB:,.1f} MiB at most. {_LIMIT_ADVICE}"
        )
    return tuple(items)


def _plan_archived(
    catalog: Catalog, order: PackageOrder, entry: Entry, _limits: Limits
) -> tuple[tuple[PlannedMember, ...], int]:
    """Return the one member of an archived file, under the file's original name, and its size."""
    version = catalog.get_file_version(entry)
    if version.path.exists():  # a file that has yet to be fetched is opened when its turn comes
        catalog.open_file_handle(entry)
    folder, slash, name = relative_path(order, entry.path).rpartition("/")
    original = PureWindowsPath(str(entry.facts.get("name", ""))).name
    if original.isprintable() and original.strip("."):
        name = original
    return (PlannedMember(f"{folder}{slash}{name}", order.extraction),), version.size


def _plan_computed(
    catalog: Catalog, order: PackageOrder, entry: Entry, limits: Limits
) -> tuple[tuple[PlannedMember, ...], int]:
    """Return the members of an image: one, or one for each variable if the format holds one; and the size of all."""
    path, suffix = relative_path(order, entry.path), order.file_format.extension
    dataset = open_variant(catalog, order.extraction, entry.path)
    selected = order.extraction.apply(dataset)
    if order.container != "zip" or order.file_format.content_kind in _MULTI_VARIABLE_KINDS:
        check_size(selected, limits, order.expansion_factor)
        return (PlannedMember(f"{path}{suffix}", order.extraction),), selected.nbytes
    if order.extraction.transforms:
        extractions = {_RESULT: order.extraction}
    else:
        names = order.extraction.variables or (find_default_image(selected),)
        extractions = {name: replace(order.extraction, variables=(name,)) for name in names}
    members, size = [], 0
    for name, extraction in extractions.items():
        part = extraction.apply(dataset)
        check_size(part, limits, order.expansion_factor)
        members.append(PlannedMember(f"{path}.{name}{suffix}", extraction))
        size += part.nbytes
    return tuple(members), size


def relative_path(order: PackageOrder, path: str) -> str:
    """Return an image's path below the folder of the package."""
    folder = order.source.path
    return path.rpartition("/")[2] if path == folder else path.removeprefix(f"{folder}/")


def _claim_name(name: str, taken_names: set[str]) -> str:
    """Return a member's name, numbered if it is taken; on Windows and macOS, ``A`` and ``a`` are the same name."""
    path = PurePosixPath(name)
    candidates = chain([name], (str(path.with_stem(f"{path.stem}_{number}")) for number in count(2)))
    free_name = next(candidate for candidate in candidates if candidate.casefold() not in taken_names)
    taken_names.add(free_name.casefold())
    return free_name
