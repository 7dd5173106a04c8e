"""Parts of dimensions, and their text: ``100:400``, ``100:400:2``, or a single index, ``7``."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from shotdap.transforms import BadSelection

__all__ = ["INTEGER_PATTERN", "PART_PATTERN", "Part", "format_part", "parse_part"]

Part: TypeAlias = slice | int
"""Of a dimension: a half-open range, or a single index, which drops the dimension."""

INTEGER_PATTERN: Final = r"[0-9]{1,9}"
"""No dimension is longer, and none of a slice's numbers needs more."""

_SLICE_PATTERN: Final = rf"({INTEGER_PATTERN})?:({INTEGER_PATTERN})?(?::({INTEGER_PATTERN}))?"
PART_PATTERN: Final = rf"({INTEGER_PATTERN})|{_SLICE_PATTERN}"
"""What the text of a part matches entirely."""


def parse_part(name: str, text: str) -> Part | None:
    """The part that a text means; `None` if it is that of none.

    Args:
        name: the dimension's.
        text: as a client wrote it.

    Raises:
        BadSelection: the part holds nothing.
    """
    found = re.fullmatch(PART_PATTERN, text)
    if found is None:
        return None
    index, start, stop, step = (None if number is None else int(number) for number in found.groups())
    if index is not None:
        return index
    if step == 0 or (stop is not None and (start or 0) >= stop):
        raise BadSelection(f"{name}={text} holds nothing: a part goes up, by a step of 1 or more.")
    return slice(start, stop, step)


def format_part(part: Part) -> str:
    """A part as `parse_part` reads it."""
    if not isinstance(part, slice):
        return str(part)
    bounds = [part.start, part.stop, *([] if part.step is None else [part.step])]
    return ":".join("" if bound is None else str(bound) for bound in bounds)
