"""Names that every client accepts: segments of public paths, and names of variables.

Paths use only ``[A-Za-z0-9_.-]`` and ``/``: netCDF-C encodes a ``%`` in a path twice. Variables use only
``[A-Za-z0-9_]``, with ``/`` between groups: netCDF-C refuses a dataset with any other name in DAP2, or cannot fetch it
in DAP4. A name between two slashes has at most `MAX_NAME_BYTES` bytes; a longer one is cut, and ends in a hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import shorten_name

# The escape is the one of Office Open XML (ECMA-376, ST_Xstring): "[" is "_x5B_".
_ESCAPE_PATTERN = re.compile("_x([0-9A-F]{2,6})_")
_FORBIDDEN_PATTERN = re.compile(r"[^A-Za-z0-9_.-]|^\.|_(?=x[0-9A-F]{2})")
_EMPTY_NAME = "_xFFFFFF_"  # stands for the empty name; no character has this number


def encode_path_segment(name: str) -> str:
    """Encode a name of the archive as one segment of a public path; `decode_path_segment` reverses it.

    ``PCIS-[phosphor]`` becomes ``PCIS-_x5B_phosphor_x5D_``. Different names never give the same segment.
    """
    return _FORBIDDEN_PATTERN.sub(lambda match: f"_x{ord(match[0]):02X}_", name) or _EMPTY_NAME


def decode_path_segment(segment: str) -> str:
    """Decode a segment of a public path into the archive's name."""
    if segment == _EMPTY_NAME:
        return ""
    return _ESCAPE_PATTERN.sub(lambda match: chr(min(int(match[1], 16), 0x10FFFF)), segment)


def make_variable_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each name in a file a safe and unique name for clients; a safe name stays as it is.

    A slash separates a group from its members. Numbers distinguish names within one group only, and a group has one
    name for all its members. A repeated name counts once.
    """
    names = list(dict.fromkeys(names))
    members: dict[tuple[str, ...], dict[str, None]] = {}  # of each group; a group comes before its subgroups
    for name in names:
        path = tuple(name.split("/"))
        for depth, part in enumerate(path):
            members.setdefault(path[:depth], {})[part] = None
    safe_names: dict[tuple[str, ...], str] = {(): ""}
    for group, parts in members.items():
        candidates = {part: shorten_name(re.sub("[^A-Za-z0-9_]", "_", part) or "_", part) for part in parts}
        free = UniqueNames(part for part in parts if part == candidates[part])
        for part, candidate in candidates.items():
            safe = part if part == candidate else free.claim(candidate)
            safe_names[*group, part] = f"{safe_names[group]}/{safe}".removeprefix("/")
    return {name: safe_names[tuple(name.split("/"))] for name in names}
