"""Names that every client can carry: segments of public paths, and names of variables.

Paths use only ``[A-Za-z0-9_.-]`` and ``/``: netCDF-C encodes a ``%`` in a path twice. Variables use only
``[A-Za-z0-9_]``, with ``/`` between groups: netCDF-C refuses a dataset with any other name in DAP2, or cannot fetch it
in DAP4. What stands between two slashes is at most `MAX_NAME_BYTES` bytes long; a longer name is cut, and ends in a hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import shorten_name

__all__ = ["decode_path_segment", "encode_path_segment", "make_variable_names"]

# The escape is the one of Office Open XML (ECMA-376, ST_Xstring): "[" is "_x5B_".
_ESCAPE_PATTERN = re.compile("_x([0-9A-F]{2,6})_")
_FORBIDDEN_PATTERN = re.compile(r"[^A-Za-z0-9_.-]|^\.|_(?=x[0-9A-F]{2})")
_EMPTY_NAME = "_xFFFFFF_"  # stands for the empty name; no character has this number


def encode_path_segment(name: str) -> str:
    """The archive's name as one segment of a public path; `decode_path_segment` turns it back.

    ``PCIS-[phosphor]`` becomes ``PCIS-_x5B_phosphor_x5D_``. Different names never give the same segment.
    """
    return _FORBIDDEN_PATTERN.sub(lambda match: f"_x{ord(match[0]):02X}_", name) or _EMPTY_NAME


def decode_path_segment(segment: str) -> str:
    """The archive's name behind a segment of a public path."""
    if segment == _EMPTY_NAME:
        return ""
    return _ESCAPE_PATTERN.sub(lambda match: chr(min(int(match[1], 16), 0x10FFFF)), segment)


def make_variable_names(names: Iterable[str]) -> dict[str, str]:
    """Return, for each name in a file, the name that clients see: safe, unique, and the same where it was safe already.

    A slash leads from a group to what is in it. Only names within one group are told apart by numbers, and a group has
    one name for all that is in it. A name given more than once counts once.
    """
    names = list(dict.fromkeys(names))
    members: dict[tuple[str, ...], dict[str, None]] = {}  # what is in each group; a group comes before those within it
    for name in names:
        parts = tuple(name.split("/"))
        for depth, part in enumerate(parts):
            members.setdefault(parts[:depth], {})[part] = None
    seen: dict[tuple[str, ...], str] = {(): ""}
    for group, inside in members.items():
        free = UniqueNames(part for part in inside if part == _make_safe_name(part))
        for part in inside:
            safe = part if part == _make_safe_name(part) else free.claim(_make_safe_name(part))
            seen[*group, part] = f"{seen[group]}/{safe}".removeprefix("/")
    return {name: seen[tuple(name.split("/"))] for name in names}


def _make_safe_name(part: str) -> str:
    return shorten_name(re.sub("[^A-Za-z0-9_]", "_", part) or "_", part)
