"""Keys: ``image/zarr.json`` and ``image/c/0/1`` in version 3; ``image/.zarray`` and ``image/0.1`` in version 2.

A URL does not show where the path of an image ends and the name of an array begins. This module knows what follows the
name of an array in each version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from shotdap.server.protocols.zarr.options import V2, V3, ZarrVersion

_ChunkAddress = tuple[ZarrVersion, str, tuple[int, ...]]
"""The version of Zarr, the path of the array, and the position of the chunk in the grid."""

DOCUMENT_VERSIONS: Final[Mapping[str, ZarrVersion]] = MappingProxyType(
    {".zarray": 2, ".zattrs": 2, ".zgroup": 2, ".zmetadata": 2, "zarr.json": 3}
)
"""The version of Zarr, by the name of the metadata document."""

ARRAY_DOCUMENTS: Final[Mapping[ZarrVersion, tuple[str, ...]]] = MappingProxyType(
    {2: (".zarray", ".zattrs"), 3: ("zarr.json",)}
)
GROUP_DOCUMENTS: Final[Mapping[ZarrVersion, tuple[str, ...]]] = MappingProxyType(
    {2: (".zgroup", ".zattrs", ".zmetadata"), 3: ("zarr.json",)}
)
"""The documents of a group in each version."""

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,18})"  # 64 bits
_V3_CHUNK_KEY: Final = re.compile(rf"(?:(?P<node>.+)/)?c(?P<numbers>(?:/{_NUMBER})*)", re.DOTALL)
_V2_CHUNK_KEY: Final = re.compile(rf"(?:(?P<node>.+)/)?(?P<numbers>{_NUMBER}(?:\.{_NUMBER})*)", re.DOTALL)
_SINGLE_NUMBER: Final = re.compile(_NUMBER)
_DOTTED_NUMBERS: Final = re.compile(rf"{_NUMBER}(?:\.{_NUMBER})*")


def format_chunk_key(version: ZarrVersion, path: str, numbers: tuple[int, ...]) -> str:
    """Format the key of a chunk."""
    if version == V2:
        return f"{path}/{'.'.join(map(str, numbers or (0,)))}"
    return "/".join((path, "c", *map(str, numbers)))


def parse_chunk_key(key: str) -> Iterator[_ChunkAddress]:
    """Yield the chunks that a key can mean: ``a/c/0`` is a chunk of ``a`` in version 3, and of ``a/c`` in version 2.

    The chunk of an array without dimensions is ``a/0`` in version 2, as if it had one.
    """
    if match := _V3_CHUNK_KEY.fullmatch(key):
        yield V3, match["node"] or "", tuple(map(int, match["numbers"].split("/")[1:]))
    if match := _V2_CHUNK_KEY.fullmatch(key):
        yield V2, match["node"] or "", tuple(map(int, match["numbers"].split(".")))


def is_chunk_key(key: str) -> bool:
    """Check whether a key can be the key of a chunk."""
    return any(True for _ in parse_chunk_key(key))


def extract_node_path(key: str) -> str:
    """Return the path before the name of a document or the numbers of a chunk: at most the path of an array."""
    path, _, name = key.rpartition("/")
    names = key.split("/")
    end = len(names)
    while end and _SINGLE_NUMBER.fullmatch(names[end - 1]):
        end -= 1
    if end and names[end - 1] == "c":
        return "/".join(names[: end - 1])
    return path if name in DOCUMENT_VERSIONS or _DOTTED_NUMBERS.fullmatch(name) else key
