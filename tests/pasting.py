"""Code that users copy and paste: the lines that the demonstration prints, and those of a page such as README.md.

Standard library only: .ci/smoke.py loads this file into an environment that has no test packages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["find_code", "parse_instructions"]

_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "python": ("import ", "url = ", "xr."),
        "octave": ("ncread(", "pkg "),
        "gdl": ("id = NCDF_OPEN",),
        "shell": ("url=", "ncdump ", "ncks ", "curl "),
        "suffix": ("url.",),
        "path": ("/api/", "/thredds/"),
    }
)
"""Patterns of code in a sentence or in a table cell, by the program that runs it."""


def parse_instructions(text: str) -> dict[str, list[str]]:
    """Return the lines that `shotdap demo` prints for pasting, by the label of their block: "In Python"."""
    blocks = re.findall(r"^((?:In|To) .+):\n((?:.+\n)+)", text, re.MULTILINE)
    return {label: block.splitlines() for label, block in blocks}


def find_code(markdown: str) -> dict[str, list[str]]:
    """Return the code of a page, in the page's order, by the program that runs it.

    For "python" it is fenced blocks and code in sentences and tables, for all others the latter.
    """
    found: dict[str, list[str]] = {name: [] for name in _PREFIXES}
    for fenced, inline in re.findall(r"^```python\n(.*?)^```$|`([^`\n]+)`", markdown, re.MULTILINE | re.DOTALL):
        if fenced:
            found["python"].append(fenced)
        for name, prefixes in _PREFIXES.items():
            if inline.startswith(prefixes):
                found[name].append(inline)
    return found
