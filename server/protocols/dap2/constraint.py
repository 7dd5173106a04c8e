"""DAP2's constraint expressions: ``image[0:1:9][5],frame`` → `Selection`.

Strategy: one regular expression for a variable and its hyperslab, matched from left to right, each character looked at
once. Possessive quantifiers (``*+``) keep it from ever going back.

Rules:

1. ``[i]``, ``[start:stop]`` and ``[start:stride:stop]``, the stop included. Clients' stops need not be on the
   stride's grid (netCDF-C: ``[5:3:19]``): a stop becomes the last index that is taken, so that one off the grid never
   reaches beyond the array.
2. Clients percent-encode the brackets once, twice or three times (netCDF-C 4.9.0 sends ``%25255b`` for one given in
   the URL): an expression that does not parse is decoded again until it does. ``+`` stands for itself.
3. ``&`` and what follows it (selections), and server functions, are refused.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from shotdap.server.protocols.percent import decode_until
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection

__all__ = ["parse"]

_SHOWN: Final = 40  # characters of an expression in a message

_VARIABLE: Final = re.compile(
    r"""\s*+ (?P<name> [A-Za-z0-9_.-]++ )
        \s*+ (?P<slab> (?: \[ [0-9:\s]*+ \] \s*+ )*+ )
        (?P<end> , | \Z )""",
    re.VERBOSE,
)
_INDEX: Final = re.compile(
    r"""\[ \s*+ (?P<first> [0-9]{1,19}+ )
        (?: \s*+ : \s*+ (?P<second> [0-9]{1,19}+ ) )?+
        (?: \s*+ : \s*+ (?P<third> [0-9]{1,19}+ ) )?+
        \s*+ \] \s*+""",
    re.VERBOSE,
)


def parse(expression: str) -> Selection:
    """The selection that a constraint expression asks for, as it came in the query: raw or percent-encoded.

    An empty expression selects everything. A variable may be named twice if it is with the same hyperslab.

    Raises:
        BadSelection: the text is no projection; the message says where it stops being one.
    """
    return decode_until(_projection, expression)


def _projection(text: str) -> Selection:
    if not text.strip():
        return Selection()
    parts: dict[str, Hyperslab] = {}
    position, more = 0, True
    while more:
        match = _VARIABLE.match(text, position)
        if match is None:
            raise _refusal(text, position)
        name, hyperslab = match["name"], _hyperslab(match["name"], match["slab"])
        if parts.setdefault(name, hyperslab) != hyperslab:
            raise BadSelection(f"{_shown(name)} is asked for twice, with different indices; ask in two requests.")
        position, more = match.end(), match["end"] == ","
    return Selection(MappingProxyType(parts))


def _hyperslab(name: str, slab: str) -> Hyperslab:
    pieces: list[slice] = []
    position = 0
    while position < len(slab):
        match = _INDEX.match(slab, position)
        if match is None:
            raise BadSelection(
                f"{_shown(name)}: {_shown(slab[position:])} does not begin with [index], [start:stop]"
                " or [start:stride:stop]."
            )
        pieces.append(_slice(name, *(int(number) for number in match.groups() if number is not None)))
        position = match.end()
    return tuple(pieces)


def _slice(name: str, *numbers: int) -> slice:
    """A slice from one number (an index), two (start, stop) or three (start, stride, stop)."""
    start, stop = numbers[0], numbers[-1]
    step = numbers[1] if numbers[2:] else 1
    if step < 1 or stop < start:
        asked = ":".join(map(str, numbers))
        raise BadSelection(
            f"{_shown(name)}: [{asked}] selects nothing; the stride is 1 or more, stop not before start."
        )
    return slice(start, stop - (stop - start) % step + 1, step)


def _refusal(text: str, position: int) -> BadSelection:
    """Why the text is no projection from this position on."""
    if "&" in text:
        return BadSelection("Selections by value (after '&') are not served; constrain by name and index only.")
    if "(" in text:
        return BadSelection("Server functions are not served; constrain by name and index only.")
    return BadSelection(
        f"The constraint does not read as name[start:stride:stop][…],name,… from character {position}:"
        f" {_shown(text[position : position + _SHOWN + 1])}."
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
