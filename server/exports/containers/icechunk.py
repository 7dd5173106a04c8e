"""A new version of an Icechunk repository: one commit, whose message is the query.

The images are in a Zarr store of the export's own first, whose files then go into the repository as they are, chunk by
chunk. So a commit has all of them, and an export that is killed has changed nothing. What earlier versions hold of
other images stays.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from zarr.buffer import default_buffer_prototype

from shotdap.server.exports.containers.zarr_store import walk_files, write_parent_groups
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import BadOrder, Order
from shotdap.server.exports.workspace import Workspace

__all__ = ["commit_images"]

_BRANCH: Final = "main"
_METADATA_FILE: Final = "zarr.json"
_MAX_CONCURRENT_COPIES: Final = 32  # chunks on their way into the repository


def commit_images(place: Workspace, order: Order, lines: Mapping[int, ManifestRecord]) -> None:
    """Commit all images to the repository, which is made if there is none.

    Raises:
        BadOrder: Icechunk is not installed.
    """
    icechunk = import_icechunk()
    write_parent_groups(place.staging_folder, order, lines)
    repository = icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(place.target)))
    session = repository.writable_session(_BRANCH)
    done = [line.name for line in lines.values() if line.status == "done"]
    asyncio.run(_copy_store(place.staging_folder, session.store, done))
    told = {"images": len(done), "failed": len(lines) - len(done), "order": order.to_json()}
    session.commit(f"shotdap export {order.query}", metadata=told)


def import_icechunk() -> Any:  # noqa: ANN401 — a module that may be absent
    """Icechunk, which an extra brings.

    Raises:
        BadOrder: it is not installed.
    """
    try:
        return importlib.import_module("icechunk")
    except ImportError as error:
        raise BadOrder("Exports to Icechunk need the extra: pip install 'shotdap[publishing]'.") from error


async def _copy_store(folder: Path, store: Any, names: list[str]) -> None:  # noqa: ANN401 — icechunk's store
    """Put a store's files into another store, in place of what that holds of the same images."""
    for name in names:
        await store.delete_dir(name)
    paths = list(walk_files(folder))
    nodes = sorted((path for path in paths if path.name == _METADATA_FILE), key=lambda path: len(path.parts))
    chunks = [path for path in paths if path.name != _METADATA_FILE]
    for path in nodes:  # one after the other, a group before what is in it: an array before its chunks
        await _copy_file(folder, path, store)
    for start in range(0, len(chunks), _MAX_CONCURRENT_COPIES):
        await asyncio.gather(
            *(_copy_file(folder, path, store) for path in chunks[start : start + _MAX_CONCURRENT_COPIES])
        )


async def _copy_file(folder: Path, path: Path, store: Any) -> None:  # noqa: ANN401
    content = default_buffer_prototype().buffer.from_bytes(await asyncio.to_thread(path.read_bytes))
    await store.set(path.relative_to(folder).as_posix(), content)
