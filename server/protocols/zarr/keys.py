"""Keys: ``image/zarr.json`` and ``image/c/0/1`` in version 3; ``image/.zarray`` and ``image/0.1`` in version 2.

Nothing in a URL tells where the path of an image ends and the name of an array begins. Here is what each version puts
behind an array's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from shotdap.server.protocols.zarr.options import V2, V3, ZarrVersion

ChunkAddress = tuple[ZarrVersion, str, tuple[int, ...]]
"""Of a chunk: the version of Zarr that asks for it, the path of its array, and where it lies in the grid."""

DOCUMENT_VERSIONS: Final[Mapping[str, ZarrVersion]] = MappingProxyType(
    {".zarray": 2, ".zattrs": 2, ".zgroup": 2, ".zmetadata": 2, "zarr.json": 3}
)
"""The names of metadata documents, and the version that they belong to."""

ARRAY_DOCUMENTS: Final[Mapping[ZarrVersion, tuple[str, ...]]] = MappingProxyType(
    {2: (".zarray", ".zattrs"), 3: ("zarr.json",)}
)
GROUP_DOCUMENTS: Final[Mapping[ZarrVersion, tuple[str, ...]]] = MappingProxyType(
    {2: (".zgroup", ".zattrs", ".zmetadata"), 3: ("zarr.json",)}
)
"""The documents that each of them has."""

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,18})"  # no array is longer than 64 bits can say
_V3_CHUNK_KEY: Final = re.compile(rf"(?:(?P<node>.+)/)?c(?P<numbers>(?:/{_NUMBER})*)", re.DOTALL)
_V2_CHUNK_KEY: Final = re.compile(rf"(?:(?P<node>.+)/)?(?P<numbers>{_NUMBER}(?:\.{_NUMBER})*)", re.DOTALL)
_SINGLE_NUMBER: Final = re.compile(_NUMBER)
_DOTTED_NUMBERS: Final = re.compile(rf"{_NUMBER}(?:\.{_NUMBER})*")


def format_chunk_key(version: ZarrVersion, path: str, numbers: tuple[int, ...]) -> str:
    """The key of a chunk."""
    if version == V2:
        return f"{path}/{'.'.join(map(str, numbers or (0,)))}"
    return "/".join((path, "c", *map(str, numbers)))


def parse_chunk_key(key: str) -> Iterator[ChunkAddress]:
    """The chunks that a key may be of. ``a/c/0`` is of ``a`` in version 3; or of ``a/c``, in version 2.

    A chunk of an array without dimensions is ``a/0`` in version 2, as if it had one.
    """
    found = _V3_CHUNK_KEY.fullmatch(key)
    if found:
        yield V3, found["node"] or "", tuple(map(int, found["numbers"].split("/")[1:]))
    found = _V2_CHUNK_KEY.fullmatch(key)
    if found:
        yield V2, found["node"] or "", tuple(map(int, found["numbers"].split(".")))


def is_chunk_key(key: str) -> bool:
    """Whether a key can be that of a chunk."""
    return any(True for _ in parse_chunk_key(key))


def extract_node_path(key: str) -> str:
    """What stands before a document's name or a chunk's numbers: at most the path of an array."""
    path, _, name = key.rpartition("/")
    names = key.split("/")
    end = len(names)
    while end and _SINGLE_NUMBER.fullmatch(names[end - 1]):
        end -= 1
    if end and names[end - 1] == "c":
        return "/".join(names[: end - 1])
    return path if name in DOCUMENT_VERSIONS or _DOTTED_NUMBERS.fullmatch(name) else key
