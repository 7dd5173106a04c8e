"""The manifest of an export: the outcome of each image.

A job has ``manifest.jsonl``, one line of JSON for each image, appended as the outcome becomes known. A process that is
killed may leave the last line incomplete; this line does not count, and the image is exported again. A package has
``manifest.json`` and ``SHA256SUMS``.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import xarray as xr

from shotdap import __version__
from shotdap.catalog import Entry, Version
from shotdap.server.exports.atomic import write_atomically
from shotdap.server.exports.order import PackageOrder
from shotdap.server.http.errors import to_problem
from shotdap.transforms import Origin

_SCHEMA_VERSION: Final = 1
"""Version of ``manifest.json``; it grows when a program that reads the old one would misread the new one."""
_NANOSECONDS_PER_SECOND: Final = 10**9

_Status: TypeAlias = Literal["done", "failed"]


@dataclass(frozen=True)
class VariableDescription:
    """A variable of a member."""

    dtype: str
    dimensions: Mapping[str, int]
    units: str
    long_name: str


@dataclass(frozen=True)
class MemberRecord:
    """A file or group of an export."""

    name: str
    """Its path."""
    size: int
    sha256: str
    """The hash of the file; of a group in a Zarr store, the hash of all its files in the order of their names."""
    variables: Mapping[str, VariableDescription] = field(default_factory=lambda: MappingProxyType({}))
    """Its variables, for packages; empty for archived files."""


@dataclass(frozen=True)
class ManifestRecord:
    """The outcome of an image."""

    number: int
    path: str
    """The image's public path."""
    members: tuple[MemberRecord, ...] = ()
    problems: tuple[str, ...] = ()
    """Reasons why there is less of the image than was ordered, or nothing."""
    provenance: str = ""
    """The path of the provenance document on a server, for jobs."""

    @property
    def is_done(self) -> bool:
        """Return whether anything of the image was exported."""
        return bool(self.members)

    @property
    def size(self) -> int:
        """The bytes of its members."""
        return sum(member.size for member in self.members)


@dataclass(frozen=True, kw_only=True)
class PackageRecord(ManifestRecord):
    """The outcome of an image of a package."""

    entry: Entry
    source: Version | None = None
    """The version of its file in the archive."""
    source_sha256: str = ""
    """The hash of that file; empty if unknown."""
    origins: Mapping[str, Origin] = field(default_factory=lambda: MappingProxyType({}))
    """The provenance of each variable."""


def report_failure(log: logging.Logger, action: str, error: Exception) -> str:
    """Return the message of an image's failure, and log the failure if it is unexpected."""
    problem = to_problem(error)
    if not problem.expected:
        log.error("failed to %s", action, exc_info=error)
    return problem.message


# manifest.jsonl -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """A line of ``manifest.jsonl``: the keys of its JSON object, in their order."""

    number: int
    path: str
    status: _Status
    reason: str = ""
    bytes: int = 0
    sha256: str = ""
    name: str = ""
    provenance: str = ""

    @classmethod
    def from_record(cls, record: ManifestRecord) -> _Line:
        """Return the line of a record of a job, which has one member or one problem."""
        if not record.members:
            return cls(record.number, record.path, "failed", record.problems[0])
        (member,) = record.members
        sizes = (member.size, member.sha256, member.name)
        return cls(record.number, record.path, "done", "", *sizes, record.provenance)

    def to_record(self) -> ManifestRecord:
        """Return the record of a line."""
        if self.status != "done":
            return ManifestRecord(self.number, self.path, problems=(self.reason,))
        members = (MemberRecord(self.name, self.bytes, self.sha256),)
        return ManifestRecord(self.number, self.path, members, provenance=self.provenance)


def add_records(path: Path, records: Iterable[ManifestRecord]) -> None:
    """Append records to a job's manifest."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(map(_encode_record, records)))


def read_records(path: Path) -> dict[int, ManifestRecord]:
    """Read the last complete line of each image, by the image's number."""
    records: dict[int, ManifestRecord] = {}
    if not path.exists():
        return records
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            if not text.endswith("\n"):
                continue
            try:
                line = _Line(**json.loads(text))
            except (TypeError, ValueError):
                continue  # incomplete: the image is exported again
            records[line.number] = line.to_record()
    return records


def write_records(path: Path, records: Mapping[int, ManifestRecord]) -> None:
    """Replace a job's manifest: one line for each image, in the order of the images."""
    with write_atomically(path) as draft:
        draft.write_text("".join(_encode_record(records[number]) for number in sorted(records)), "utf-8")


def _encode_record(record: ManifestRecord) -> str:
    return f"{json.dumps(asdict(_Line.from_record(record)), ensure_ascii=False)}\n"


# manifest.json and SHA256SUMS ---------------------------------------------------------------------------------------


def describe_variables(dataset: xr.Dataset) -> dict[str, VariableDescription]:
    """Return the description of each variable of a dataset."""
    descriptions = {}
    for name, variable in dataset.variables.items():
        sizes = {str(dimension): size for dimension, size in variable.sizes.items()}
        attributes = variable.attrs
        long_name = attributes.get("long_name", attributes.get("standard_name", ""))
        descriptions[str(name)] = VariableDescription(
            variable.dtype.name, sizes, str(attributes.get("units", "")), str(long_name)
        )
    return descriptions


def encode_manifest(order: PackageOrder, records: Iterable[PackageRecord], created_at: datetime) -> bytes:
    """Return the manifest of a package as JSON."""
    context, images = order.context, []
    for record in records:
        entry, source = record.entry, record.source
        source_document: dict[str, Any] = {"sha256": record.source_sha256 or None}
        if source is not None:
            modified = datetime.fromtimestamp(source.modified // _NANOSECONDS_PER_SECOND, UTC)
            source_document |= {"size": source.size, "modified": modified.isoformat()}
        members = [
            {
                "name": member.name,
                "size": member.size,
                "sha256": member.sha256,
                "variables": {
                    name: {"type": variable.dtype, "dimensions": dict(variable.dimensions), "units": variable.units}
                    for name, variable in member.variables.items()
                },
            }
            for member in record.members
        ]
        image = {
            "path": entry.path,
            "url": f"{context.server_url}/dap/{entry.path}" if context.server_url else None,
            "facts": {  # JSON has no number that is not finite
                name: None if isinstance(fact, float) and not math.isfinite(fact) else fact
                for name, fact in entry.facts.items()
            },
            "health": entry.health.value,
            "source": source_document,
            "members": members,
            "provenance": {name: _serialize_origin(origin) for name, origin in record.origins.items()},
            "problems": list(record.problems),
        }
        images.append(image)
    document = {
        "schema": _SCHEMA_VERSION,
        "software": f"shotdap {__version__}",
        "path": order.source.path,
        "made": created_at.isoformat(timespec="seconds"),
        "request": context.request_url,
        "images": images,
    }
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")


def _serialize_origin(origin: Origin) -> dict[str, Any]:
    """Return the provenance tree of a variable: transforms with their options, down to the arrays of files."""
    if origin.recipe is None:
        return {"array": origin.array, "of": origin.source.path, "sha256": origin.source.sha256 or None}
    inputs = [{"variable": each.variable, **_serialize_origin(each)} for each in origin.inputs]
    return {"made_by": str(origin.recipe), "of": inputs}


def encode_checksums(members: Iterable[MemberRecord]) -> bytes:
    """Return the text that ``sha256sum -c`` reads."""
    return "".join(f"{member.sha256}  {member.name}\n" for member in members).encode("utf-8", "replace")
