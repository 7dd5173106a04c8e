r"""DAP4 constraint expressions, as text → `Selection`.

Strategy: a constraint is cut into terms (a name, indices, and the mark that ends them) by a regular expression without
backtracking; a table says what each mark means; so any text is read or refused in linear time. No dataset is in sight:
whether names and indices fit, and whether a name is a variable's or a group's, is the business of `Selection.apply`.

Rules, from the DAP4 specification, volume 1, section 8 ("Constraints"):

Rule 1: ``[start:stride:last]``, the last index included; ``[n]`` keeps the rank; ``[start:]`` runs to the end;
``[]`` is the whole dimension, or what a redefinition left of it. Some clients write ``*`` for the end.
Rule 2: ``[0:1,3]`` is several ranges, in the order in which they are written.
Rule 3: ``/y=[0:9]`` redefines a shared dimension, for each variable that has it and gives no indices of its own there.
Rule 4: a name is fully qualified, ``/group/variable``; clients leave the first slash away.
Rule 5: ``/g{a;b}`` and ``/g.{a,b}`` are ``/g/a;/g/b``: clients write either separator.
Rule 6: ``\.``, ``\/``, ``\\`` and ``\ `` stand for characters that would mean something else in a name.
Rule 7: a percent sign is in no name, so an expression which still has one has not been decoded often enough.

Filters select rows of sequences; nothing here is one, so they are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from shotdap.server.protocols.percent import decode_until
from shotdap.transforms.selection import BadSelection, Selection

if TYPE_CHECKING:
    from shotdap.transforms.selection import Index

__all__ = ["parse"]

TERM = re.compile(
    r"""
    (?P<name>    (?: [^][{}|;=,%\\\s] | \\. )*+ )
    (?P<indices> (?: \[ [^][]*+ \] )*+ )
    (?P<mark>    [;,{}=] | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
INDEX = re.compile(r"\[([^][]*)\]")
BOUNDS = re.compile(r"([0-9]{1,19})(?::([0-9]{1,19}))?(?::([0-9]{0,19}|\*))?")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
MEMBERS_FOLLOW = re.compile(r"(?<!\\)[./]\Z")  # ``/g.{…}`` and ``/g/{…}`` are ``/g{…}``

# What ends a term → what may end the next one; any may be the last.
FOLLOWED_BY = {";": ";,{}=", ",": ";,{}", "{": ";,{}", "}": ";,}", "=": ";"}

EVERYTHING = frozenset({"", "/"})
WHOLE = frozenset({"", "*"})
LARGEST_INDEX = 2**63 - 1  # the specification's Int64; pydap sends 2⁶³ - 2 for a dimension without elements
MOST_LISTED = 1 << 16  # indices in all disjoint subsets: sixteen times a camera's rows
MOST_LEVELS = 32  # of braces within braces
EXCERPT = 40  # characters of a refused text that its message quotes

FILTERS = "filters (|) select rows of sequences, and there are none here: ask for indices, and filter what arrives"
EXAMPLE = "names with their indices between semicolons: /y=[0:9];/image[][0:2:99];/group{a;b}"
FORMS = "write [n], [first:last], [first:step:last], [first:], [], or several with commas between: [0:1,3]"

Ranges = tuple[slice, ...]
"""What stands between two brackets: one range, or several where there are commas."""


def parse(expression: str) -> Selection:
    """Read the value of ``dap4.ce``, percent-encoded any number of times, or not at all.

    Args:
        expression: ``/y=[0:9];/image[10:7:99][];/g/v``; an empty one wants everything.

    Returns:
        Variables and groups, called as the dataset calls them (no leading slash), and the hyperslab of each.

    Raises:
        BadSelection: the text is no constraint, or one that is not offered; nothing else is ever raised.
    """
    return decode_until(_parse, expression)


def _parse(expression: str) -> Selection:
    if expression in EVERYTHING:
        return Selection()
    constraint = _Constraint()
    position, before = 0, ";"
    while before:
        term = TERM.match(expression, position)
        if term is None or not constraint.takes(before, term["name"], term["indices"], term["mark"]):
            raise BadSelection(_why_not(expression, position))
        position, before = term.end(), term["mark"]
    if not constraint:  # a selection of nothing would want everything
        raise BadSelection(f"{_quoted(expression)} names no variable")
    return constraint.selection()


@dataclass
class _Constraint:
    """What was read so far, each index as the ranges that it lists."""

    parts: dict[str, tuple[Ranges, ...]] = field(default_factory=dict)
    dimensions: dict[str, tuple[Ranges, ...]] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    """The paths of the groups whose braces are open."""
    redefined: str = ""
    """The dimension whose equals sign was read last."""

    def __bool__(self) -> bool:
        return bool(self.parts or self.dimensions)

    def takes(self, before: str, name: str, indices: str, mark: str) -> bool:
        """Take a term in, between its marks; or say that it does not fit there."""
        if mark not in FOLLOWED_BY[before] or (mark in {",", "}"} and not self.groups):
            return False
        if before == "=":
            return not name and self._redefines(indices)
        if before == "}":
            fits = not name and not indices
        elif mark == "=":
            fits, self.redefined = not indices and not self.groups, name
        elif mark == "{":
            fits = not indices and len(self.groups) < MOST_LEVELS and self._enters(name)
        else:
            fits = (not name and not indices) or self._wants(name, indices)
        if mark == "}":
            self.groups.pop()
        return fits and (bool(mark) or not self.groups)

    def _wants(self, name: str, indices: str) -> bool:
        _enter(self.parts, self._path(name), _hyperslab(indices))
        return True

    def _redefines(self, indices: str) -> bool:
        ranges = _hyperslab(indices)
        if len(ranges) == 1:
            _enter(self.dimensions, _name(self.redefined), ranges)
        return len(ranges) == 1

    def _enters(self, name: str) -> bool:
        self.groups.append(f"{self._path(MEMBERS_FOLLOW.sub('', name))}/" if name.strip("/") else "")
        return True

    def _path(self, name: str) -> str:
        return f"{self.groups[-1]}{_name(name, inside=True)}" if self.groups else _name(name)

    def selection(self) -> Selection:
        """Make a selection of it."""
        indices = [index for hyperslab in (*self.parts.values(), *self.dimensions.values()) for index in hyperslab]
        if sum(map(_listed, indices)) > MOST_LISTED:
            raise BadSelection(f"disjoint subsets list more than {MOST_LISTED:,} indices: ask for ranges one by one")
        return Selection(
            MappingProxyType({name: tuple(map(_index, hyperslab)) for name, hyperslab in self.parts.items()}),
            MappingProxyType({name: _index(ranges) for name, (ranges,) in self.dimensions.items()}),
        )


def _enter(entries: dict[str, tuple[Ranges, ...]], name: str, hyperslab: tuple[Ranges, ...]) -> None:
    if entries.setdefault(name, hyperslab) != hyperslab:
        raise BadSelection(f"{_quoted(name)} is asked for twice with different indices: make that two requests")


def _why_not(expression: str, position: int) -> str:
    clause = expression[position:].partition(";")[0]
    if "|" in clause:
        return FILTERS
    return f"{_quoted(clause) or 'the end'} does not fit at character {position}; write {EXAMPLE}"


def _name(text: str, *, inside: bool = False) -> str:
    name = text if inside else text.removeprefix("/")
    if "" in name.split("/"):
        raise BadSelection(f"{_quoted(text)} is no name of a variable: names look like /group/image")
    return ESCAPED.sub(r"\1", name)


def _hyperslab(text: str) -> tuple[Ranges, ...]:
    return tuple(_ranges(index) for index in INDEX.findall(text))


def _ranges(text: str) -> Ranges:
    ranges = tuple(map(_range, text.split(",")))
    if len(ranges) > 1 and any(each.stop is None for each in ranges):
        raise BadSelection(f"[{_quoted(text)}] is open: where there are commas, each range says where it ends")
    return ranges


def _range(text: str) -> slice:
    if text in WHOLE:
        return slice(None)
    bounds = BOUNDS.fullmatch(text)
    if bounds is None:
        raise BadSelection(f"[{_quoted(text)}] is no index: {FORMS}")
    return _half_open(text, *_ordered(*bounds.groups()))


def _ordered(first: str, second: str | None, third: str | None) -> tuple[int, int, int | None]:
    """Give start, step and inclusive stop of the one to three numbers of an index."""
    if second is None:  # [n], or [first:]
        return int(first), 1, int(first) if third is None else None
    if third is None:
        return int(first), 1, int(second)
    return int(first), int(second), int(third) if third.isdigit() else None


def _listed(ranges: Ranges) -> int:
    """Count the indices that have to be written down: those of disjoint subsets."""
    return sum((each.stop - each.start - 1) // each.step + 1 for each in ranges) if len(ranges) > 1 else 0


def _index(ranges: Ranges) -> Index:
    return (
        ranges[0]
        if len(ranges) == 1
        else tuple(index for each in ranges for index in range(each.start, each.stop, each.step))
    )


def _half_open(text: str, start: int, step: int, last: int | None) -> slice:
    if step == 0:
        raise BadSelection(f"[{text}] has a step of 0: steps are 1 or more")
    if max(start, step, last or 0) > LARGEST_INDEX:
        raise BadSelection(f"[{text}] is beyond {LARGEST_INDEX}, the largest index there can be")
    if last is not None and last < start:
        raise BadSelection(f"[{text}] ends before it begins; the order is [first:step:last]")
    return slice(start, None if last is None else last + 1, step)


def _quoted(text: str) -> str:
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
