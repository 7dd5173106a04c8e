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

from zarr.core.buffer import default_buffer_prototype

from shotdap.server.exports.containers.zarr_store import walked, write_groups
from shotdap.server.exports.manifest import Line
from shotdap.server.exports.order import BadOrder, Order
from shotdap.server.exports.workspace import Place

__all__ = ["committed"]

_BRANCH: Final = "main"
_METADATA: Final = "zarr.json"
_AT_ONCE: Final = 32  # chunks on their way into the repository


def committed(place: Place, order: Order, lines: Mapping[int, Line]) -> None:
    """Commit all images to the repository, which is made if there is none.

    Raises:
        BadOrder: Icechunk is not installed.
    """
    icechunk = library()
    write_groups(place.parts, order, lines)
    repository = icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(place.target)))
    session = repository.writable_session(_BRANCH)
    done = [line.name for line in lines.values() if line.status == "done"]
    asyncio.run(_copied(place.parts, session.store, done))
    told = {"images": len(done), "failed": len(lines) - len(done), "order": order.as_json()}
    session.commit(f"shotdap export {order.query}", metadata=told)


def library() -> Any:  # noqa: ANN401 — a module that may be absent
    """Icechunk, which an extra brings.

    Raises:
        BadOrder: it is not installed.
    """
    try:
        return importlib.import_module("icechunk")
    except ImportError as error:
        raise BadOrder("Exports to Icechunk need the extra: pip install 'shotdap[publishing]'.") from error


async def _copied(folder: Path, store: Any, names: list[str]) -> None:  # noqa: ANN401 — icechunk's store
    """Put a store's files into another store, in place of what that holds of the same images."""
    for name in names:
        await store.delete_dir(name)
    paths = list(walked(folder))
    nodes = sorted((path for path in paths if path.name == _METADATA), key=lambda path: len(path.parts))
    chunks = [path for path in paths if path.name != _METADATA]
    for path in nodes:  # one after the other, a group before what is in it: an array before its chunks
        await _copy(folder, path, store)
    for start in range(0, len(chunks), _AT_ONCE):
        await asyncio.gather(*(_copy(folder, path, store) for path in chunks[start : start + _AT_ONCE]))


async def _copy(folder: Path, path: Path, store: Any) -> None:  # noqa: ANN401
    content = default_buffer_prototype().buffer.from_bytes(await asyncio.to_thread(path.read_bytes))
    await store.set(path.relative_to(folder).as_posix(), content)
