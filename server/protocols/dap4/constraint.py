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

from shotdap.server.protocols.percent import parse_percent_encoded
from shotdap.transforms.selection import BadSelection, Selection

if TYPE_CHECKING:
    from shotdap.transforms.selection import DimensionIndex

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
GROUP_SUFFIX = re.compile(r"(?<!\\)[./]\Z")  # ``/g.{…}`` and ``/g/{…}`` are ``/g{…}``

# What ends a term → what may end the next one; any may be the last.
ALLOWED_NEXT_MARKS = {";": ";,{}=", ",": ";,{}", "{": ";,{}", "}": ";,}", "=": ";"}

WHOLE_DATASET = frozenset({"", "/"})
WHOLE_DIMENSION = frozenset({"", "*"})
MAX_INDEX = 2**63 - 1  # the specification's Int64; pydap sends 2⁶³ - 2 for a dimension without elements
MAX_LISTED_INDICES = 1 << 16  # indices in all disjoint subsets: sixteen times a camera's rows
MAX_GROUP_DEPTH = 32  # of braces within braces
EXCERPT_LENGTH = 40  # characters of a refused text that its message quotes

FILTERS_UNSUPPORTED = (
    "filters (|) select rows of sequences, and there are none here: ask for indices, and filter what arrives"
)
CONSTRAINT_EXAMPLE = "names with their indices between semicolons: /y=[0:9];/image[][0:2:99];/group{a;b}"
INDEX_SYNTAX = "write [n], [first:last], [first:step:last], [first:], [], or several with commas between: [0:1,3]"

Ranges = tuple[slice, ...]
"""What stands between two brackets: one range, or several where there are commas."""


def parse_constraint(expression: str) -> Selection:
    """Read the value of ``dap4.ce``, percent-encoded any number of times, or not at all.

    Args:
        expression: ``/y=[0:9];/image[10:7:99][];/g/v``; an empty one wants everything.

    Returns:
        Variables and groups, called as the dataset calls them (no leading slash), and the hyperslab of each.

    Raises:
        BadSelection: the text is no constraint, or one that is not offered; nothing else is ever raised.
    """
    return parse_percent_encoded(_parse_decoded, expression)


def _parse_decoded(expression: str) -> Selection:
    if expression in WHOLE_DATASET:
        return Selection()
    constraint = _ConstraintBuilder()
    position, before = 0, ";"
    while before:
        term = TERM.match(expression, position)
        if term is None or not constraint.try_add_term(before, term["name"], term["indices"], term["mark"]):
            raise BadSelection(_describe_syntax_error(expression, position))
        position, before = term.end(), term["mark"]
    if not constraint:  # a selection of nothing would want everything
        raise BadSelection(f"{_truncate_text(expression)} names no variable")
    return constraint.build_selection()


@dataclass
class _ConstraintBuilder:
    """What was read so far, each index as the ranges that it lists."""

    parts: dict[str, tuple[Ranges, ...]] = field(default_factory=dict)
    dimensions: dict[str, tuple[Ranges, ...]] = field(default_factory=dict)
    open_groups: list[str] = field(default_factory=list)
    """The paths of the groups whose braces are open."""
    redefined_dimension: str = ""
    """The dimension whose equals sign was read last."""

    def __bool__(self) -> bool:
        return bool(self.parts or self.dimensions)

    def try_add_term(self, before: str, name: str, indices: str, mark: str) -> bool:
        """Take a term in, between its marks; or say that it does not fit there."""
        if mark not in ALLOWED_NEXT_MARKS[before] or (mark in {",", "}"} and not self.open_groups):
            return False
        if before == "=":
            return not name and self._redefine_dimension(indices)
        if before == "}":
            fits = not name and not indices
        elif mark == "=":
            fits, self.redefined_dimension = not indices and not self.open_groups, name
        elif mark == "{":
            fits = not indices and len(self.open_groups) < MAX_GROUP_DEPTH and self._open_group(name)
        else:
            fits = (not name and not indices) or self._add_variable(name, indices)
        if mark == "}":
            self.open_groups.pop()
        return fits and (bool(mark) or not self.open_groups)

    def _add_variable(self, name: str, indices: str) -> bool:
        _add_hyperslab(self.parts, self._resolve_path(name), _parse_hyperslab(indices))
        return True

    def _redefine_dimension(self, indices: str) -> bool:
        ranges = _parse_hyperslab(indices)
        if len(ranges) == 1:
            _add_hyperslab(self.dimensions, _parse_name(self.redefined_dimension), ranges)
        return len(ranges) == 1

    def _open_group(self, name: str) -> bool:
        self.open_groups.append(f"{self._resolve_path(GROUP_SUFFIX.sub('', name))}/" if name.strip("/") else "")
        return True

    def _resolve_path(self, name: str) -> str:
        return f"{self.open_groups[-1]}{_parse_name(name, inside=True)}" if self.open_groups else _parse_name(name)

    def build_selection(self) -> Selection:
        """Make a selection of it."""
        indices = [index for hyperslab in (*self.parts.values(), *self.dimensions.values()) for index in hyperslab]
        if sum(map(_count_listed_indices, indices)) > MAX_LISTED_INDICES:
            raise BadSelection(
                f"disjoint subsets list more than {MAX_LISTED_INDICES:,} indices: ask for ranges one by one"
            )
        return Selection(
            MappingProxyType({name: tuple(map(_build_index, hyperslab)) for name, hyperslab in self.parts.items()}),
            MappingProxyType({name: _build_index(ranges) for name, (ranges,) in self.dimensions.items()}),
        )


def _add_hyperslab(entries: dict[str, tuple[Ranges, ...]], name: str, hyperslab: tuple[Ranges, ...]) -> None:
    if entries.setdefault(name, hyperslab) != hyperslab:
        raise BadSelection(f"{_truncate_text(name)} is asked for twice with different indices: make that two requests")


def _describe_syntax_error(expression: str, position: int) -> str:
    clause = expression[position:].partition(";")[0]
    if "|" in clause:
        return FILTERS_UNSUPPORTED
    return f"{_truncate_text(clause) or 'the end'} does not fit at character {position}; write {CONSTRAINT_EXAMPLE}"


def _parse_name(text: str, *, inside: bool = False) -> str:
    name = text if inside else text.removeprefix("/")
    if "" in name.split("/"):
        raise BadSelection(f"{_truncate_text(text)} is no name of a variable: names look like /group/image")
    return ESCAPED.sub(r"\1", name)


def _parse_hyperslab(text: str) -> tuple[Ranges, ...]:
    return tuple(_parse_ranges(index) for index in INDEX.findall(text))


def _parse_ranges(text: str) -> Ranges:
    ranges = tuple(map(_parse_range, text.split(",")))
    if len(ranges) > 1 and any(each.stop is None for each in ranges):
        raise BadSelection(f"[{_truncate_text(text)}] is open: where there are commas, each range says where it ends")
    return ranges


def _parse_range(text: str) -> slice:
    if text in WHOLE_DIMENSION:
        return slice(None)
    bounds = BOUNDS.fullmatch(text)
    if bounds is None:
        raise BadSelection(f"[{_truncate_text(text)}] is no index: {INDEX_SYNTAX}")
    return _build_slice(text, *_order_bounds(*bounds.groups()))


def _order_bounds(first: str, second: str | None, third: str | None) -> tuple[int, int, int | None]:
    """Give start, step and inclusive stop of the one to three numbers of an index."""
    if second is None:  # [n], or [first:]
        return int(first), 1, int(first) if third is None else None
    if third is None:
        return int(first), 1, int(second)
    return int(first), int(second), int(third) if third.isdigit() else None


def _count_listed_indices(ranges: Ranges) -> int:
    """Count the indices that have to be written down: those of disjoint subsets."""
    return sum((each.stop - each.start - 1) // each.step + 1 for each in ranges) if len(ranges) > 1 else 0


def _build_index(ranges: Ranges) -> DimensionIndex:
    return (
        ranges[0]
        if len(ranges) == 1
        else tuple(index for each in ranges for index in range(each.start, each.stop, each.step))
    )


def _build_slice(text: str, start: int, step: int, last: int | None) -> slice:
    if step == 0:
        raise BadSelection(f"[{text}] has a step of 0: steps are 1 or more")
    if max(start, step, last or 0) > MAX_INDEX:
        raise BadSelection(f"[{text}] is beyond {MAX_INDEX}, the largest index there can be")
    if last is not None and last < start:
        raise BadSelection(f"[{text}] ends before it begins; the order is [first:step:last]")
    return slice(start, None if last is None else last + 1, step)


def _truncate_text(text: str) -> str:
    return text if len(text) <= EXCERPT_LENGTH else f"{text[:EXCERPT_LENGTH]}…"
