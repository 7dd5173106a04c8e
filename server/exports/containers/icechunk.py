"""An Icechunk repository: each export is one commit, whose message is the query.

The images are staged as a Zarr store, whose files are then copied into the repository unchanged. So a commit has all of
them, and an export that is killed changes nothing. Other images of earlier versions stay.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from zarr.buffer import default_buffer_prototype

from shotdap.server.exports.containers.zarr_groups import walk_files, write_parent_groups
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import BadOrder, JobOrder
from shotdap.server.exports.workspace import Workspace

_BRANCH: Final = "main"
_METADATA_FILE: Final = "zarr.json"
_MAX_CONCURRENT_COPIES: Final = 32  # chunks


def commit_images(workspace: Workspace, order: JobOrder, records: Mapping[int, ManifestRecord]) -> None:
    """Commit all images to the repository; create it if it does not exist.

    Raises:
        BadOrder: Icechunk is not installed.
    """
    icechunk = import_icechunk()
    write_parent_groups(workspace.staging_folder, order, records)
    repository = icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(workspace.target)))
    session = repository.writable_session(_BRANCH)
    names = [member.name for record in records.values() for member in record.members]
    asyncio.run(_copy_store(workspace.staging_folder, session.store, names))
    metadata = {"images": len(names), "failed": len(records) - len(names), "order": order.to_json()}
    session.commit(f"shotdap export {order.source.query}", metadata=metadata)


def import_icechunk() -> Any:  # noqa: ANN401 — a module that may be absent
    """Import Icechunk, which an extra installs.

    Raises:
        BadOrder: it is not installed.
    """
    try:
        return importlib.import_module("icechunk")
    except ImportError as error:
        raise BadOrder("Exports to Icechunk need the extra: pip install 'shotdap[publishing]'.") from error


async def _copy_store(folder: Path, store: Any, names: list[str]) -> None:  # noqa: ANN401 — icechunk's store
    """Copy a store's files into another store, and replace the groups of the same images."""

    async def copy_file(path: Path) -> None:
        content = default_buffer_prototype().buffer.from_bytes(await asyncio.to_thread(path.read_bytes))
        await store.set(path.relative_to(folder).as_posix(), content)

    for name in names:
        await store.delete_dir(name)
    paths = list(walk_files(folder))
    nodes = sorted((path for path in paths if path.name == _METADATA_FILE), key=lambda path: len(path.parts))
    chunks = [path for path in paths if path.name != _METADATA_FILE]
    for path in nodes:  # in sequence: a group before its members, an array before its chunks
        await copy_file(path)
    for start in range(0, len(chunks), _MAX_CONCURRENT_COPIES):
        await asyncio.gather(*map(copy_file, chunks[start : start + _MAX_CONCURRENT_COPIES]))
