"""What a package says of itself to programs: ``manifest.json`` and ``SHA256SUMS``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import xarray as xr

from shotdap import __version__
from shotdap.catalog import Entry, Fact, Version
from shotdap.server.exports.package.package_order import Order
from shotdap.transforms import Origin

__all__ = ["ManifestRecord", "MemberRecord", "describe_variables", "encode_checksums", "encode_manifest"]

_SCHEMA_VERSION: Final = 1
"""The version of the manifest's form; it grows when a program that reads the old one would misread the new one."""
_NANOSECONDS_PER_SECOND: Final = 10**9  # nanoseconds


@dataclass(frozen=True)
class VariableDescription:
    """A variable of a member."""

    dtype: str
    dimensions: Mapping[str, int]
    units: str
    long_name: str

    @classmethod
    def from_variable(cls, variable: xr.Variable) -> VariableDescription:
        """What can be said of a variable."""
        sizes = {str(name): size for name, size in variable.sizes.items()}
        about = variable.attrs.get("long_name", variable.attrs.get("standard_name", ""))
        return cls(variable.dtype.name, sizes, str(variable.attrs.get("units", "")), str(about))


def describe_variables(dataset: xr.Dataset) -> dict[str, VariableDescription]:
    """What can be said of each variable of a dataset."""
    return {str(name): VariableDescription.from_variable(variable) for name, variable in dataset.variables.items()}


@dataclass(frozen=True)
class MemberRecord:
    """A member as it went into the package."""

    name: str
    size: int
    sha256: str
    variables: Mapping[str, VariableDescription] = field(default_factory=lambda: MappingProxyType({}))
    """Nothing of a file as it is in the archive."""


@dataclass(frozen=True)
class ManifestRecord:
    """An image of a package, and what became of it."""

    entry: Entry
    members: tuple[MemberRecord, ...] = ()
    problems: tuple[str, ...] = ()
    """Why there is less of it than was asked for, or nothing."""
    source: Version | None = None
    """Its file in the archive."""
    sha256: str = ""
    """Of that file; empty where nobody has looked."""
    origins: Mapping[str, Origin] = field(default_factory=lambda: MappingProxyType({}))
    """How each variable came to be."""


def encode_manifest(order: Order, lines: Iterable[ManifestRecord], made: datetime) -> bytes:
    """The manifest, as JSON."""
    document = {
        "schema": _SCHEMA_VERSION,
        "software": f"shotdap {__version__}",
        "path": order.path,
        "made": made.isoformat(timespec="seconds"),
        "request": order.request_url,
        "images": [_describe_image(order, line) for line in lines],
    }
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")


def _describe_image(order: Order, line: ManifestRecord) -> dict[str, Any]:
    entry = line.entry
    return {
        "path": entry.path,
        "url": f"{order.server_url}/dap/{entry.path}" if order.server_url else None,
        "facts": {name: _encode_fact(value) for name, value in entry.facts.items()},
        "health": entry.health.value,
        "source": _describe_source(line),
        "members": [_describe_member(each) for each in line.members],
        "provenance": {name: _describe_origin(each) for name, each in line.origins.items()},
        "problems": list(line.problems),
    }


def _encode_fact(value: Fact) -> str | int | float | None:
    """A number as JSON has it: what is not finite is nothing."""
    return None if isinstance(value, float) and value - value != 0 else value


def _describe_source(line: ManifestRecord) -> dict[str, Any]:
    said: dict[str, Any] = {"sha256": line.sha256 or None}
    if line.source is None:
        return said
    modified = datetime.fromtimestamp(line.source.modified // _NANOSECONDS_PER_SECOND, UTC)
    return {**said, "size": line.source.size, "modified": modified.isoformat()}


def _describe_member(written: MemberRecord) -> dict[str, Any]:
    variables = {
        name: {"type": each.dtype, "dimensions": dict(each.dimensions), "units": each.units}
        for name, each in written.variables.items()
    }
    return {"name": written.name, "size": written.size, "sha256": written.sha256, "variables": variables}


def _describe_origin(each: Origin) -> dict[str, Any]:
    """The tree behind a variable: transforms with their options, down to arrays of files."""
    if each.recipe is None:
        return {"array": each.array, "of": each.source.path, "sha256": each.source.sha256 or None}
    return {
        "made_by": str(each.recipe),
        "of": [{"variable": of.variable, **_describe_origin(of)} for of in each.inputs],
    }


def encode_checksums(members: Iterable[MemberRecord]) -> bytes:
    """What ``sha256sum -c`` checks the members by."""
    return b"".join(_sum_lines(members))


def _sum_lines(members: Iterable[MemberRecord]) -> Iterator[bytes]:
    for each in members:
        yield f"{each.sha256}  {each.name}\n".encode("utf-8", "replace")
