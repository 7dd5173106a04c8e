"""Parts of dimensions as text: ``100:400``, ``100:400:2``, or a single index, ``7``."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from shotdap.transforms import BadSelection

Part: TypeAlias = slice | int
"""Part of a dimension: a half-open range, or a single index, which drops the dimension."""

INTEGER_PATTERN: Final = r"[0-9]{1,9}"
"""An integer in a part. No dimension is longer than nine digits."""

_SLICE_PATTERN: Final = rf"({INTEGER_PATTERN})?:({INTEGER_PATTERN})?(?::({INTEGER_PATTERN}))?"
PART_PATTERN: Final = rf"({INTEGER_PATTERN})|{_SLICE_PATTERN}"
"""A part; to be matched with the whole text."""


def parse_part(name: str, text: str) -> Part | None:
    """Parse a part; return `None` if the text is none.

    Args:
        name: of the dimension, for the message.
        text: of the part.

    Raises:
        BadSelection: the part is empty.
    """
    match = re.fullmatch(PART_PATTERN, text)
    if match is None:
        return None
    index, start, stop, step = (None if number is None else int(number) for number in match.groups())
    if index is not None:
        return index
    if step == 0 or (stop is not None and (start or 0) >= stop):
        raise BadSelection(f"{name}={text} holds nothing: a part goes up, by a step of 1 or more.")
    return slice(start, stop, step)


def format_part(part: Part) -> str:
    """Format a part as `parse_part` parses it."""
    if not isinstance(part, slice):
        return str(part)
    bounds = [part.start, part.stop, *([] if part.step is None else [part.step])]
    return ":".join("" if bound is None else str(bound) for bound in bounds)
