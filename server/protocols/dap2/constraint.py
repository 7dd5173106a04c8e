"""Parse constraint expressions of DAP2: ``image[0:1:9][5],mean(image,y)&y>=100`` → `Constraint`.

Strategy: read the text from left to right by regular expressions that each match at one position, so that every
character is read once. Possessive quantifiers (``*+``) prevent backtracking.

Rules:

1. ``[i]``, ``[start:stop]`` and ``[start:stride:stop]``, the stop included. The stop of a client need not be on the
   grid of the stride (netCDF-C: ``[5:3:19]``): it becomes the last selected index, so that it never reaches beyond the
   array. ``*`` is the last index, as for Hyrax, and ``[]`` the whole dimension.
2. Clients percent-encode the brackets once, twice or three times (netCDF-C 4.9.0 sends ``%25255b`` for a bracket in the
   URL): an expression that does not parse, or still has an encoded character, is decoded again until it does. ``+``
   is a plus.
3. ``&`` precedes each selection by value; it may be empty. netCDF-C omits an ``&`` at the beginning. ``=~``, a regular
   expression, is refused: some expressions keep the server busy for years.
4. A word among the arguments of a function may be in quotes, as pydap writes it.
5. A request has limits: for calls, nested calls, selections, and the values of a list.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from shotdap.server.protocols.dap2.constraint_model import Constraint, FunctionCall, Projection
from shotdap.server.protocols.dap2.filters import OPERATORS, Filter
from shotdap.server.protocols.dap2.functions import get_function
from shotdap.server.protocols.dap2.text import quote_excerpt
from shotdap.server.protocols.percent import parse_percent_encoded
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection

_MAX_CALLS: Final = 64
_MAX_CALL_DEPTH: Final = 8
_MAX_FILTERS: Final = 64
_MAX_INDEX_NUMBERS: Final = 3
_MAX_LIST_VALUES: Final = 256  # values of one selection

_NAME: Final = re.compile(r"\s*+ ([A-Za-z0-9_.-]++) \s*+", re.VERBOSE)
_LITERAL: Final = re.compile(r'\s*+ (?: (?P<bare>[A-Za-z0-9_.-]++) | "(?P<quoted>[A-Za-z0-9_.-]*+)" ) \s*+', re.VERBOSE)
_HYPERSLAB: Final = re.compile(r"(?: \[ [0-9:*\s]*+ \] \s*+ )*+", re.VERBOSE)
_INDEX: Final = re.compile(r"\[ ([^]]*+) \] \s*+", re.VERBOSE)
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_CALL_OPEN: Final = re.compile(r"\( \s*+", re.VERBOSE)
_CALL_CLOSE: Final = re.compile(r"\s*+ \) \s*+", re.VERBOSE)
_COMMA: Final = re.compile(",")
_CLAUSE_END: Final = re.compile(r"\s*+ (?: & | \Z )", re.VERBOSE)

_COMPARISON: Final = re.compile(
    rf"\s*+ ([A-Za-z0-9_.-]++) \s*+ (=~ | {' | '.join(map(re.escape, OPERATORS))}) \s*+", re.VERBOSE
)
_VALUE: Final = re.compile(
    r"""\s*+ (?: "(?P<quoted> (?: [^"\\] | \\. )*+ )" | (?P<bare> [^\s,&{}()"<>=!~[\]]++ ) ) \s*+""",
    re.VERBOSE | re.DOTALL,
)
_LIST_OPEN: Final = re.compile(r"\{")
_LIST_CLOSE: Final = re.compile(r"\} \s*+", re.VERBOSE)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")

_PERCENT_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def parse_constraint(expression: str) -> Constraint:
    """Parse a constraint expression from a query: raw or percent-encoded.

    An empty expression selects everything. A variable may appear twice with the same indices.

    Raises:
        BadSelection: the text is no constraint; the message contains the position of the error.
    """
    return parse_percent_encoded(_parse_decoded, expression)


class _Scanner:
    """A text and the position of the next character to read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Consume a match of the pattern, if there is one at the current position."""
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def expect(self, pattern: re.Pattern[str], form: str) -> re.Match[str]:
        """Consume a match of the pattern, or refuse the text."""
        match = self.take(pattern)
        if match is None:
            rest = quote_excerpt(self.text[self.position :])
            raise BadSelection(f"The constraint does not read as {form} from character {self.position}: {rest}.")
        return match


_PROJECTION_SYNTAX: Final = "name[start:stride:stop][...],function(name,...),...&name>=value"
_SELECTION_SYNTAX: Final = 'a selection, such as name>=1.5, name="text" or name={1,2,3},'


def _parse_decoded(text: str) -> Constraint:
    if _PERCENT_ENCODED.search(text):
        raise BadSelection(f"The constraint is percent-encoded too often: {quote_excerpt(text)}.")
    scanner = _Scanner(f"&{text}" if _COMPARISON.match(text) else text)
    parts: dict[str, Hyperslab] = {}
    calls: dict[str, FunctionCall] = {}
    items: list[Projection | FunctionCall] = []
    if not scanner.take(_CLAUSE_END):
        items.append(_parse_projection(scanner, _MAX_CALL_DEPTH))
        while scanner.take(_COMMA):
            items.append(_parse_projection(scanner, _MAX_CALL_DEPTH))
        scanner.expect(_CLAUSE_END, _PROJECTION_SYNTAX)
    for item in items:
        if isinstance(item, FunctionCall):
            calls[str(item)] = item
        elif parts.setdefault(item.name, item.hyperslab) != item.hyperslab:
            raise BadSelection(
                f"{quote_excerpt(item.name)} is asked for twice, with different indices; ask in two requests."
            )
    if len(calls) > _MAX_CALLS:
        raise BadSelection(f"The constraint calls {len(calls)} functions; {_MAX_CALLS} are called at most.")
    return Constraint(Selection(MappingProxyType(parts)), tuple(calls.values()), tuple(_parse_filters(scanner)))


def _parse_projection(scanner: _Scanner, levels: int) -> Projection | FunctionCall:
    name = scanner.expect(_NAME, _PROJECTION_SYNTAX)[1]
    if not scanner.take(_CALL_OPEN):
        indices = _INDEX.findall(scanner.expect(_HYPERSLAB, _PROJECTION_SYNTAX)[0])
        return Projection(name, tuple(_parse_slice(name, text) for text in indices))
    get_function(name)
    if not levels:
        raise BadSelection(f"Functions are called within one another {_MAX_CALL_DEPTH} times at most.")
    if scanner.take(_CALL_CLOSE):
        return FunctionCall(name)
    argument = _parse_projection(scanner, levels - 1)
    words = []
    while scanner.take(_COMMA):
        word = scanner.expect(_LITERAL, _PROJECTION_SYNTAX)
        words.append(word["bare"] or word["quoted"])
    scanner.expect(_CALL_CLOSE, _PROJECTION_SYNTAX)
    return FunctionCall(name, argument, tuple(words))


def _parse_slice(name: str, text: str) -> slice:
    """Parse an index: one number, two (start, stop) or three (start, stride, stop)."""
    words = [word.strip() for word in text.split(":")]
    if words in ([""], ["*"]):
        return slice(0, None, 1)
    open_ended = len(words) > 1 and words[-1] == "*"
    if len(words) > _MAX_INDEX_NUMBERS or not all(map(_NUMBER.fullmatch, words[:-1] if open_ended else words)):
        raise BadSelection(
            f"{quote_excerpt(name)}: [{quote_excerpt(text)}] is none of [index], [start:stop] and [start:stride:stop]."
        )
    start, step = int(words[0]), int(words[1]) if words[2:] else 1
    stop = None if open_ended else int(words[-1])
    if step < 1 or (stop is not None and stop < start):
        raise BadSelection(
            f"{quote_excerpt(name)}: [{text}] selects nothing; the stride is 1 or more, stop not before start."
        )
    return slice(start, None if stop is None else stop - (stop - start) % step + 1, step)


def _parse_filters(scanner: _Scanner) -> list[Filter]:
    """Parse the selections by value, each between two ``&``."""
    filters: list[Filter] = []
    while scanner.position < len(scanner.text):
        if scanner.take(_CLAUSE_END):
            continue
        name, comparison = scanner.expect(_COMPARISON, _SELECTION_SYNTAX).groups()
        if comparison == "=~":
            raise BadSelection(
                "Selections by a regular expression (=~) are not served; list the values: name={...,...}."
            )
        is_list = scanner.take(_LIST_OPEN)
        values = [_parse_value(scanner)]
        while is_list and scanner.take(_COMMA):
            values.append(_parse_value(scanner))
            if len(values) > _MAX_LIST_VALUES:
                raise BadSelection(f"{quote_excerpt(name)} is compared with more than {_MAX_LIST_VALUES} values.")
        if is_list:
            scanner.expect(_LIST_CLOSE, _SELECTION_SYNTAX)
        filters.append(Filter(name, comparison, tuple(values)))
        if len(filters) > _MAX_FILTERS:
            raise BadSelection(f"The constraint has more than {_MAX_FILTERS} selections by value.")
        scanner.expect(_CLAUSE_END, _SELECTION_SYNTAX)
    return filters


def _parse_value(scanner: _Scanner) -> int | float | str:
    match = scanner.expect(_VALUE, _SELECTION_SYNTAX)
    quoted, bare = match["quoted"], match["bare"]
    if bare is None:
        return _ESCAPED.sub(r"\1", quoted)
    if _INTEGER.fullmatch(bare):
        return int(bare)
    return float(bare) if _FLOAT.fullmatch(bare) else str(bare)
