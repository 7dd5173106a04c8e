"""Pack the members of a package one at a time, while the package is sent.

Rule 1: a member is computed and encoded completely before any of it is sent. So a member that fails is a line of the
manifest, and not a broken file.
Rule 2: only the record of a member is kept in memory when the next member is made.
Rule 3: an archived file may be larger than memory. It is read twice: once for its hash, and once to send it. If the
file changes in between, the package ends without the directory that would make it a ZIP file.
Rule 4: all members of an image come from one version of its file. If the file changes after the first member, the
manifest reports it.
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
from typing import BinaryIO, Final

from shotdap.catalog import Catalog, Changed, FileHandle, retry_if_changed
from shotdap.server.encoders import Block
from shotdap.server.exports.containers.zip_file import ZipMember
from shotdap.server.exports.export_plan import PlannedMember
from shotdap.server.exports.manifest import (
    MemberRecord,
    PackageRecord,
    VariableDescription,
    describe_variables,
    encode_checksums,
    encode_manifest,
    report_failure,
)
from shotdap.server.exports.order import PackageOrder
from shotdap.server.exports.package_plan import CHECKSUMS_NAME, MANIFEST_NAME, README_NAME, PackageItem
from shotdap.server.exports.readme import render_readme
from shotdap.server.http.errors import to_problem
from shotdap.server.http.limits import Limits, check_size

_LOG = logging.getLogger("shotdap.packages")
_BLOCK_SIZE: Final = 1 << 20  # bytes of a file that are read at a time


@dataclass(frozen=True)
class _PreparedMember:
    """A member that only has to be sent."""

    size: int
    blocks: Iterable[Block]
    record: PackageRecord
    """The record of the image, with what was learned when it was opened."""
    variables: Mapping[str, VariableDescription] = field(default_factory=lambda: MappingProxyType({}))


def pack_members(
    catalog: Catalog, order: PackageOrder, items: Iterable[PackageItem], limits: Limits, created_at: datetime
) -> Iterator[ZipMember]:
    """Yield the members of a package: those of the images, each made when it is taken, then README, manifest and sums.

    Args:
        catalog: has the images.
        order: what to pack.
        items: the plan of the package.
        limits: the most that one member may hold, and read.
        created_at: the time that the package gives as its own.

    Raises:
        Changed: a file of the archive changed while it was being sent. The members sent so far are no package.
    """
    records: list[PackageRecord] = []
    for item in items:
        problems = () if item.failure is None else (to_problem(item.failure).message,)
        record = PackageRecord(item.number, item.path, problems=problems, entry=item.entry)
        for member in item.members:
            record = yield from _pack_member(catalog, order, member, limits, record)
        records.append(record)
    member_records = [member for record in records for member in record.members]
    for name, content in (
        (README_NAME, render_readme(order, records, created_at)),
        (MANIFEST_NAME, encode_manifest(order, records, created_at)),
    ):
        yield ZipMember(name, len(content), (content,), is_text=True)
        member_records.append(MemberRecord(name, len(content), sha256(content).hexdigest()))
    checksums = encode_checksums(member_records)
    yield ZipMember(CHECKSUMS_NAME, len(checksums), (checksums,), is_text=True)


def _pack_member(
    catalog: Catalog, order: PackageOrder, member: PlannedMember, limits: Limits, record: PackageRecord
) -> Generator[ZipMember, None, PackageRecord]:
    """Yield a member, unless it fails; return the record of its image, with this member or this problem."""
    prepare = _prepare_archived if order.has_archived_files else _prepare_computed
    with ExitStack() as stack:
        try:
            prepared = retry_if_changed(lambda: stack.enter_context(prepare(catalog, order, member, limits, record)))
        except Exception as error:  # noqa: BLE001 — report any failure in the manifest, and pack the other members
            message = report_failure(_LOG, f"pack {member.name}", error)
            return replace(record, problems=(*record.problems, f"{member.name}: {message}"))
        digest = sha256()

        def hash_blocks() -> Iterator[Block]:
            for block in prepared.blocks:
                digest.update(block)
                yield block

        yield ZipMember(member.name, prepared.size, hash_blocks())
        packed = MemberRecord(member.name, prepared.size, digest.hexdigest(), prepared.variables)
        return replace(prepared.record, members=(*record.members, packed))


@contextmanager
def _prepare_computed(
    catalog: Catalog, order: PackageOrder, member: PlannedMember, limits: Limits, record: PackageRecord
) -> Iterator[_PreparedMember]:
    """Compute and encode the selected variables of an image."""
    extraction = member.extraction or order.extraction
    image = catalog.image(extraction.build_path(record.path))
    version = image.version
    if record.source not in {None, version}:
        raise Changed(f"The file has changed since {record.members[0].name} was made of it.")
    selected = extraction.apply(image.open(chunked=False))
    check_size(selected, limits, order.expansion_factor)
    encoded = order.file_format.encode(selected.compute(), order.display)
    origins = image.list_origins()
    problems = dict.fromkeys(record.problems)
    if "integrity_warning" in selected.attrs:
        problems[str(selected.attrs["integrity_warning"])] = None
    record = replace(
        record,
        source=version,
        source_sha256=str(selected.attrs.get("source", "")).removeprefix("sha256:"),
        origins={**record.origins, **{str(name): origins[str(name)] for name in selected.data_vars if name in origins}},
        problems=tuple(problems),
    )
    yield _PreparedMember(encoded.size, encoded.blocks, record, describe_variables(selected))


@contextmanager
def _prepare_archived(
    catalog: Catalog, _order: PackageOrder, _member: PlannedMember, _limits: Limits, record: PackageRecord
) -> Iterator[_PreparedMember]:
    """Hash an archived file. It stays open, so that it can be sent even if it is removed meanwhile."""
    handle = catalog.open_file_handle(record.entry)
    with Path(handle).open("rb") as file:
        digest, size = sha256(), 0
        for block in _read_blocks(file, handle):
            digest.update(block)
            size += len(block)
        file.seek(0)
        inspection, problems = record.entry.last_good_inspection, record.problems
        if inspection is not None and inspection.sha256 != digest.hexdigest():
            problems = (*problems, "The file's bytes are not those that were inspected.")
        record = replace(record, source=handle.version, source_sha256=digest.hexdigest(), problems=problems)
        yield _PreparedMember(size, _read_blocks(file, handle), record)


def _read_blocks(file: BinaryIO, handle: FileHandle) -> Iterator[bytes]:
    """Yield the blocks of a file, and check after each that the file is still the version that is held.

    Raises:
        Changed: there is another version.
    """
    while block := file.read(_BLOCK_SIZE):
        handle.check_unchanged(handle.version)
        yield block
