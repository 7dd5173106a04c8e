"""Reports of the audit: who read an image, what a user read, and a summary for a campaign."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shotdap.catalog.paths import RAW_SUFFIX
from shotdap.server.access.audit.audit_log import AuditRecord
from shotdap.transforms import MARK

_REFUSED: Final = frozenset({401, 403, 404})
_FIRST_ERROR: Final = 400
_VALUE_SUFFIXES: Final = frozenset({".dods", ".asc", ".ascii", ".dap", ".nc", ".nc4"})
_VALUE_PROTOCOLS: Final = frozenset({"zarr", "api/packages"})


@dataclass(frozen=True)
class Accesses:
    """Accesses that have something in common."""

    name: str
    """The user, or the path."""
    reads: int
    """Number of answers that were not refused."""
    refused: int
    """Number of requests that were refused, or found nothing."""
    bytes: int
    first: str
    last: str
    """Times in ISO 8601."""
    clients: tuple[str, ...]
    """The client programs."""


def list_readers(records: Iterable[AuditRecord], path: str) -> list[Accesses]:
    """Return who has read an image, or one below a folder; whoever read most, first.

    An answer with the values of a whole folder counts for each image in it.
    """
    return _group(records, lambda record: record.user or record.address, lambda record: _concerns(record, path))


def list_paths(records: Iterable[AuditRecord], user: str) -> list[Accesses]:
    """Return what a user has read; those of whom nobody knows the name are known by their address."""
    return _group(records, lambda record: record.path, lambda record: user == (record.user or record.address))


def summarize(records: Iterable[AuditRecord], paths: Collection[str]) -> list[Accesses]:
    """Return who has read some images; see `list_readers`.

    Args:
        records: of the audit.
        paths: public paths of images, or of folders.
    """
    wanted = frozenset(paths)
    folders = frozenset(folder for path in wanted for folder in _list_folders(path))

    def concerns(record: AuditRecord) -> bool:
        base = _get_base_path(record)
        is_inside = base in wanted or any(folder in wanted for folder in _list_folders(base))
        return is_inside or (_has_values(record) and base in folders)

    return _group(records, lambda record: record.user or record.address, concerns)


def _group(
    records: Iterable[AuditRecord], key: Callable[[AuditRecord], str], concerns: Callable[[AuditRecord], bool]
) -> list[Accesses]:
    groups: dict[str, Accesses] = {}
    for record in records:
        if concerns(record):
            name = key(record)
            groups[name] = _add(groups.get(name, Accesses(name, 0, 0, 0, record.time, record.time, ())), record)
    return sorted(groups.values(), key=lambda each: (-each.bytes, -each.reads, each.name))


def _add(accesses: Accesses, record: AuditRecord) -> Accesses:
    return Accesses(
        accesses.name,
        accesses.reads + (record.status < _FIRST_ERROR),
        accesses.refused + (record.status in _REFUSED),
        accesses.bytes + (record.bytes if record.status < _FIRST_ERROR else 0),
        min(accesses.first, record.time),
        max(accesses.last, record.time),
        accesses.clients if record.client in {*accesses.clients, ""} else (*accesses.clients, record.client),
    )


def _concerns(record: AuditRecord, path: str) -> bool:
    base = _get_base_path(record)
    return _is_below(base, path) or (_has_values(record) and _is_below(path, base))


def _has_values(record: AuditRecord) -> bool:
    """Check whether an answer has the values of all images of a folder, if its path is a folder."""
    return record.suffix in _VALUE_SUFFIXES or record.protocol in _VALUE_PROTOCOLS


def _get_base_path(record: AuditRecord) -> str:
    """Return the path without a variant, and without the mark of the unmodified file."""
    return f"/{record.path}".partition(f"/{MARK}")[0].strip("/").removesuffix(RAW_SUFFIX)


def _list_folders(path: str) -> list[str]:
    """Return the folders above a path."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts))]


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def to_row(accesses: Accesses, heading: str) -> Mapping[str, object]:
    """Return the accesses as a row of a table, or an object of JSON."""
    return {
        heading: accesses.name,
        "reads": accesses.reads,
        "refused": accesses.refused,
        "bytes": accesses.bytes,
        "first": accesses.first,
        "last": accesses.last,
        "clients": ", ".join(accesses.clients),
    }
