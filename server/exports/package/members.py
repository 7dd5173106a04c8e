"""The members of a package, made one at a time while they are sent.

Rule 1: a member is computed and encoded whole before it is given, so that one that fails is a line of the manifest, and
not a broken file. What follows is only bytes to be put in order.
Rule 2: nothing of a member is kept when the next is made but its line.
Rule 3: a file as it is in the archive may be larger than memory. It is read twice: once to know its bytes, and once to
send them. If it is changed between, the package breaks off, without the directory that would make it a ZIP file.
Rule 4: all members of an image are of one version of its file. One that is changed after the first of them is a line
of the manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Protocol

from shotdap.catalog import Catalog, Changed, FileHandle, retry_if_changed
from shotdap.server.encoders import Block
from shotdap.server.exports.package.contents import CHECKSUMS_NAME, MANIFEST_NAME, README_NAME, PlanItem, PlannedMember
from shotdap.server.exports.package.package_manifest import (
    ManifestRecord,
    MemberRecord,
    VariableDescription,
    describe_variables,
    encode_checksums,
    encode_manifest,
)
from shotdap.server.exports.package.package_order import Order
from shotdap.server.exports.package.readme import render_readme
from shotdap.server.exports.package.zip_stream import ZipMember
from shotdap.server.http.errors import to_problem
from shotdap.server.http.limits import Limits, refuse_size

__all__ = ["pack_members"]

_LOG = logging.getLogger("shotdap.packages")
_BLOCK_SIZE: Final = 1 << 20  # bytes of a file that are read at a time


class _Digest(Protocol):
    def update(self, data: Block, /) -> None: ...


@dataclass(frozen=True)
class _PreparedMember:
    """A member that only has to be sent."""

    size: int
    blocks: Iterable[Block]
    record: ManifestRecord
    """The image's, with what is known since it was opened."""
    variables: Mapping[str, VariableDescription] = field(default_factory=lambda: MappingProxyType({}))


def pack_members(
    catalog: Catalog, order: Order, items: Iterable[PlanItem], limits: Limits, made: datetime
) -> Iterator[ZipMember]:
    """The members of a package: those of images, each made when its turn comes, and what explains them.

    Args:
        catalog: has the images.
        order: what was asked for.
        items: what that is, after a look at each image.
        limits: how much one member may hold, and read.
        made: the moment that the package says it was made.

    Raises:
        Changed: a file of the archive changed while it was being sent. What was made until then is no package.
    """
    lines: list[ManifestRecord] = []
    for item in items:
        lines.append((yield from _pack_image(catalog, order, item, limits)))  # noqa: PERF401 — a comprehension cannot yield
    written = [member for line in lines for member in line.members]
    for name, content in (
        (README_NAME, render_readme(order, lines, made)),
        (MANIFEST_NAME, encode_manifest(order, lines, made)),
    ):
        yield ZipMember(name, len(content), (content,), is_text=True)
        written.append(MemberRecord(name, len(content), sha256(content).hexdigest()))
    summed = encode_checksums(written)
    yield ZipMember(CHECKSUMS_NAME, len(summed), (summed,), is_text=True)


def _pack_image(
    catalog: Catalog, order: Order, item: PlanItem, limits: Limits
) -> Generator[ZipMember, None, ManifestRecord]:
    line = ManifestRecord(item.entry, problems=(_describe_error(item.failure),) if item.failure else ())
    for piece in item.members:
        line = yield from _pack_member(catalog, order, piece, limits, line)
    return line


def _pack_member(
    catalog: Catalog, order: Order, piece: PlannedMember, limits: Limits, line: ManifestRecord
) -> Generator[ZipMember, None, ManifestRecord]:
    make = _prepare_archived if order.has_archived_files else _prepare_computed
    with ExitStack() as kept:
        try:
            made = retry_if_changed(lambda: kept.enter_context(make(catalog, order, piece, limits, line)))
        except Exception as error:  # noqa: BLE001 — whatever it is, the manifest says it, and the others are packed
            if not to_problem(error).expected:
                _LOG.exception("failed to pack %s", piece.name)
            return replace(line, problems=(*line.problems, f"{piece.name}: {_describe_error(error)}"))
        digest = sha256()
        yield ZipMember(piece.name, made.size, _hash_blocks(made.blocks, digest))
        written = MemberRecord(piece.name, made.size, digest.hexdigest(), made.variables)
        return replace(made.record, members=(*line.members, written))


def _describe_error(error: Exception) -> str:
    return to_problem(error).message


def _hash_blocks(blocks: Iterable[Block], digest: _Digest) -> Iterator[Block]:
    for block in blocks:
        digest.update(block)
        yield block


@contextmanager
def _prepare_computed(
    catalog: Catalog, order: Order, piece: PlannedMember, limits: Limits, line: ManifestRecord
) -> Iterator[_PreparedMember]:
    """What is wanted of an image, encoded."""
    address = catalog.resolve_path(piece.extraction.build_path(line.entry.path))
    state = catalog.get_state(address)
    if line.source not in {None, state.version}:
        raise Changed(f"The file has changed since {line.members[0].name} was made of it.")
    narrow = piece.extraction.apply(catalog.open_address(address, chunked=False, state=state))
    refuse_size(narrow, limits, order.expansion_factor)
    encoded = order.file_format.encode(narrow.compute(), order.display)
    origins = catalog.get_origins(address, state)
    told = replace(
        line,
        source=state.version,
        sha256=str(narrow.attrs.get("source", "")).removeprefix("sha256:"),
        origins={**line.origins, **{str(name): origins[str(name)] for name in narrow.data_vars if name in origins}},
        problems=tuple(dict.fromkeys([*line.problems, *_warned(narrow.attrs)])),
    )
    yield _PreparedMember(encoded.size, encoded.blocks, told, describe_variables(narrow))


def _warned(attributes: Mapping[Any, Any]) -> Iterator[str]:
    if "integrity_warning" in attributes:
        yield str(attributes["integrity_warning"])


@contextmanager
def _prepare_archived(
    catalog: Catalog, _order: Order, _piece: PlannedMember, _limits: Limits, line: ManifestRecord
) -> Iterator[_PreparedMember]:
    """The file as it is in the archive. It stays open: whoever removes it meanwhile takes nothing away."""
    held = catalog.hold_file(line.entry)
    with Path(held).open("rb") as file:
        digest, size = sha256(), 0
        for block in _read_blocks(file, held):
            digest.update(block)
            size += len(block)
        file.seek(0)
        told = replace(
            line,
            source=held.version,
            sha256=digest.hexdigest(),
            problems=_compare_inspected_hash(line, digest.hexdigest()),
        )
        yield _PreparedMember(size, _read_blocks(file, held), told)


def _compare_inspected_hash(line: ManifestRecord, found: str) -> tuple[str, ...]:
    seen = line.entry.first_inspection
    if seen is None or seen.sha256 == found:
        return line.problems
    return (*line.problems, "The file's bytes are not those that were inspected.")


def _read_blocks(file: BinaryIO, held: FileHandle) -> Iterator[bytes]:
    """The blocks of a file, each of the version that is held.

    Raises:
        Changed: there is another version by now.
    """
    while block := file.read(_BLOCK_SIZE):
        held.check_unchanged(held.version)
        yield block
