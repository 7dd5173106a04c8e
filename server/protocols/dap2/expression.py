"""DAP2's constraint expressions: ``image[0:1:9][5],mean(image,y)&y>=100`` → `Constraint`.

Strategy: a text is taken from left to right by regular expressions that each match at one place, every character
looked at once. Possessive quantifiers (``*+``) keep them from ever going back.

Rules:

1. ``[i]``, ``[start:stop]`` and ``[start:stride:stop]``, the stop included. Clients' stops need not be on the
   stride's grid (netCDF-C: ``[5:3:19]``): a stop becomes the last index that is taken, so that one off the grid never
   reaches beyond the array. ``*`` is the last index there is, as for Hyrax, and ``[]`` the whole dimension.
2. Clients percent-encode the brackets once, twice or three times (netCDF-C 4.9.0 sends ``%25255b`` for one given in
   the URL): an expression that does not parse, or still has an encoded character, is decoded again until it does.
   ``+`` stands for itself.
3. After ``&`` come selections by value, and there may be empty ones. netCDF-C leaves out an ``&`` at the beginning.
   ``=~``, which takes a regular expression, is
   refused: one can be written that keeps the server busy for years.
4. A word among a function's arguments may stand in quotes, as pydap writes it.
5. What one request may ask for is bounded: calls, calls within calls, selections, and the values of a list.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from shotdap.server.protocols.dap2.constraint import Call, Constraint, Piece
from shotdap.server.protocols.dap2.filters import OPERATORS, Filter
from shotdap.server.protocols.dap2.functions import function
from shotdap.server.protocols.dap2.text import shown
from shotdap.server.protocols.percent import decode_until
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection

__all__ = ["parse"]

_MOST_CALLS: Final = 64
_MOST_NESTED: Final = 8
_MOST_FILTERS: Final = 64
_MOST_NUMBERS: Final = 3  # in an index
_MOST_LISTED: Final = 256  # values of one selection

_NAME: Final = re.compile(r"\s*+ ([A-Za-z0-9_.-]++) \s*+", re.VERBOSE)
_WORD: Final = re.compile(r'\s*+ (?: (?P<bare>[A-Za-z0-9_.-]++) | "(?P<quoted>[A-Za-z0-9_.-]*+)" ) \s*+', re.VERBOSE)
_SLAB: Final = re.compile(r"(?: \[ [0-9:*\s]*+ \] \s*+ )*+", re.VERBOSE)
_INDEX: Final = re.compile(r"\[ ([^]]*+) \] \s*+", re.VERBOSE)
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_OPENS: Final = re.compile(r"\( \s*+", re.VERBOSE)
_CLOSES: Final = re.compile(r"\s*+ \) \s*+", re.VERBOSE)
_COMMA: Final = re.compile(",")
_NO_MORE: Final = re.compile(r"\s*+ (?: & | \Z )", re.VERBOSE)

_COMPARISON: Final = re.compile(
    rf"\s*+ ([A-Za-z0-9_.-]++) \s*+ (=~ | {' | '.join(map(re.escape, OPERATORS))}) \s*+", re.VERBOSE
)
_VALUE: Final = re.compile(
    r"""\s*+ (?: "(?P<quoted> (?: [^"\\] | \\. )*+ )" | (?P<bare> [^\s,&{}()"<>=!~[\]]++ ) ) \s*+""",
    re.VERBOSE | re.DOTALL,
)
_LIST_OPENS: Final = re.compile(r"\{")
_LIST_CLOSES: Final = re.compile(r"\} \s*+", re.VERBOSE)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")

_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def parse(expression: str) -> Constraint:
    """What a constraint expression asks for, as it came in the query: raw or percent-encoded.

    An empty expression asks for everything. A variable may be named twice if it is with the same indices.

    Raises:
        BadSelection: the text is no constraint; the message says where it stops being one.
    """
    return decode_until(_constraint, expression)


class _Scanner:
    """A text, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read on, if what follows is of this kind."""
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def need(self, pattern: re.Pattern[str], form: str) -> re.Match[str]:
        """Read on; what follows must be of this kind."""
        match = self.take(pattern)
        if match is None:
            rest = shown(self.text[self.position :])
            raise BadSelection(f"The constraint does not read as {form} from character {self.position}: {rest}.")
        return match


_PROJECTION_FORM: Final = "name[start:stride:stop][...],function(name,...),...&name>=value"
_SELECTION_FORM: Final = 'a selection, such as name>=1.5, name="text" or name={1,2,3},'


def _constraint(text: str) -> Constraint:
    if _ENCODED.search(text):
        raise BadSelection(f"The constraint is percent-encoded too often: {shown(text)}.")
    scanner = _Scanner(f"&{text}" if _COMPARISON.match(text) else text)
    parts: dict[str, Hyperslab] = {}
    calls: dict[str, Call] = {}
    for item in _items(scanner):
        if isinstance(item, Call):
            calls[str(item)] = item
        elif parts.setdefault(item.name, item.hyperslab) != item.hyperslab:
            raise BadSelection(f"{shown(item.name)} is asked for twice, with different indices; ask in two requests.")
    if len(calls) > _MOST_CALLS:
        raise BadSelection(f"The constraint calls {len(calls)} functions; {_MOST_CALLS} are called at most.")
    return Constraint(Selection(MappingProxyType(parts)), tuple(calls.values()), tuple(_filters(scanner)))


def _items(scanner: _Scanner) -> list[Piece | Call]:
    """What is asked for, up to the first ``&`` or the end."""
    if scanner.take(_NO_MORE):
        return []
    items = [_item(scanner, _MOST_NESTED)]
    while scanner.take(_COMMA):
        items.append(_item(scanner, _MOST_NESTED))
    scanner.need(_NO_MORE, _PROJECTION_FORM)
    return items


def _item(scanner: _Scanner, levels: int) -> Piece | Call:
    name = scanner.need(_NAME, _PROJECTION_FORM)[1]
    if scanner.take(_OPENS):
        return _call(scanner, name, levels)
    return Piece(name, _hyperslab(name, scanner.need(_SLAB, _PROJECTION_FORM)[0]))


def _call(scanner: _Scanner, name: str, levels: int) -> Call:
    function(name)
    if not levels:
        raise BadSelection(f"Functions are called within one another {_MOST_NESTED} times at most.")
    if scanner.take(_CLOSES):
        return Call(name)
    argument = _item(scanner, levels - 1)
    words = []
    while scanner.take(_COMMA):
        word = scanner.need(_WORD, _PROJECTION_FORM)
        words.append(word["bare"] or word["quoted"])
    scanner.need(_CLOSES, _PROJECTION_FORM)
    return Call(name, argument, tuple(words))


def _hyperslab(name: str, slab: str) -> Hyperslab:
    return tuple(_slice(name, text) for text in _INDEX.findall(slab))


def _slice(name: str, text: str) -> slice:
    """A slice from one number (an index), two (start, stop) or three (start, stride, stop)."""
    words = [word.strip() for word in text.split(":")]
    if words in ([""], ["*"]):
        return slice(0, None, 1)
    open_ended = len(words) > 1 and words[-1] == "*"
    if len(words) > _MOST_NUMBERS or not all(map(_NUMBER.fullmatch, words[:-1] if open_ended else words)):
        raise BadSelection(f"{shown(name)}: [{shown(text)}] is none of [index], [start:stop] and [start:stride:stop].")
    start, step = int(words[0]), int(words[1]) if words[2:] else 1
    stop = None if open_ended else int(words[-1])
    if step < 1 or (stop is not None and stop < start):
        raise BadSelection(f"{shown(name)}: [{text}] selects nothing; the stride is 1 or more, stop not before start.")
    return slice(start, None if stop is None else stop - (stop - start) % step + 1, step)


def _filters(scanner: _Scanner) -> list[Filter]:
    """The selections by value, between one ``&`` and the next."""
    filters: list[Filter] = []
    while scanner.position < len(scanner.text):
        if scanner.take(_NO_MORE):
            continue
        filters.append(_filter(scanner))
        if len(filters) > _MOST_FILTERS:
            raise BadSelection(f"The constraint has more than {_MOST_FILTERS} selections by value.")
        scanner.need(_NO_MORE, _SELECTION_FORM)
    return filters


def _filter(scanner: _Scanner) -> Filter:
    name, comparison = scanner.need(_COMPARISON, _SELECTION_FORM).groups()
    if comparison == "=~":
        raise BadSelection("Selections by a regular expression (=~) are not served; list the values: name={...,...}.")
    if not scanner.take(_LIST_OPENS):
        return Filter(name, comparison, (_value(scanner),))
    values = [_value(scanner)]
    while scanner.take(_COMMA):
        values.append(_value(scanner))
        if len(values) > _MOST_LISTED:
            raise BadSelection(f"{shown(name)} is compared with more than {_MOST_LISTED} values.")
    scanner.need(_LIST_CLOSES, _SELECTION_FORM)
    return Filter(name, comparison, tuple(values))


def _value(scanner: _Scanner) -> int | float | str:
    match = scanner.need(_VALUE, _SELECTION_FORM)
    quoted, bare = match["quoted"], match["bare"]
    if bare is None:
        return _ESCAPED.sub(r"\1", quoted)
    if _INTEGER.fullmatch(bare):
        return int(bare)
    return float(bare) if _FLOAT.fullmatch(bare) else str(bare)
