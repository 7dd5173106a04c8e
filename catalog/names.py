"""Names that every client can carry: segments of public paths, and names of variables.

Paths use only ``[A-Za-z0-9_.-]`` and ``/``: netCDF-C encodes a ``%`` in a path twice. Variables use only
``[A-Za-z0-9_]``, with ``/`` between groups: netCDF-C refuses a dataset with any other name in DAP2, or cannot fetch it
in DAP4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from shotdap.transforms import UniqueNames

__all__ = ["archive_name", "path_segment", "variable_names"]

# The escape is the one of Office Open XML (ECMA-376, ST_Xstring): "[" is "_x5B_".
_ESCAPED = re.compile("_x([0-9A-F]{2,6})_")
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]|^\.|_(?=x[0-9A-F]{2})")
_NOTHING = "_xFFFFFF_"  # stands for the empty name; no character has this number


def path_segment(name: str) -> str:
    """The archive's name as one segment of a public path; `archive_name` turns it back.

    ``PCIS-[phosphor]`` becomes ``PCIS-_x5B_phosphor_x5D_``. Different names never give the same segment.
    """
    return _FORBIDDEN.sub(lambda match: f"_x{ord(match[0]):02X}_", name) or _NOTHING


def archive_name(segment: str) -> str:
    """The archive's name behind a segment of a public path."""
    if segment == _NOTHING:
        return ""
    return _ESCAPED.sub(lambda match: chr(min(int(match[1], 16), 0x10FFFF)), segment)


def variable_names(names: Iterable[str]) -> dict[str, str]:
    """For each name in a file, the name that clients see: safe, unique, and the same where it was safe already."""
    safe = {name: _safe(name) for name in names}
    unique = UniqueNames(name for name in safe if name == safe[name])
    return {name: name if name == candidate else unique.claim(candidate) for name, candidate in safe.items()}


def _safe(name: str) -> str:
    return "/".join(re.sub("[^A-Za-z0-9_]", "_", part) or "_" for part in name.split("/"))
