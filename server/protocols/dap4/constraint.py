r"""DAP4 constraint expressions: text → `Selection`.

Strategy: split a constraint into terms (a name, indices, and the mark that ends them) by a regular expression without
backtracking; a table defines which mark can follow which; so any text is parsed or refused in linear time. No dataset
is needed: `Selection.apply` checks whether names and indices fit, and whether a name is a variable or a group.

Rules, from the DAP4 specification, volume 1, section 8 ("Constraints"):

Rule 1: ``[start:stride:last]``, the last index included; ``[n]`` keeps the rank; ``[start:]`` runs to the end;
``[]`` is the whole dimension, or its redefinition. Some clients write ``*`` for the end.
Rule 2: ``[0:1,3]`` is several ranges, in this order.
Rule 3: ``/y=[0:9]`` redefines a shared dimension, for each variable with this dimension and without indices for it.
Rule 4: a name is fully qualified, ``/group/variable``; clients omit the first slash.
Rule 5: ``/g{a;b}`` and ``/g.{a,b}`` are ``/g/a;/g/b``: clients write either separator.
Rule 6: ``\.``, ``\/``, ``\\`` and ``\ `` are characters that would otherwise have a special meaning.
Rule 7: no name contains a percent sign, so an expression with one has to be decoded once more.

Filters select rows of sequences; there are no sequences here, so filters are refused with a message of their own.
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

_TERM = re.compile(
    r"""
    (?P<name>    (?: [^][{}|;=,%\\\s] | \\. )*+ )
    (?P<indices> (?: \[ [^][]*+ \] )*+ )
    (?P<mark>    [;,{}=] | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_INDEX = re.compile(r"\[([^][]*)\]")
_BOUNDS = re.compile(r"([0-9]{1,19})(?::([0-9]{1,19}))?(?::([0-9]{0,19}|\*))?")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_GROUP_SUFFIX = re.compile(r"(?<!\\)[./]\Z")  # ``/g.{…}`` and ``/g/{…}`` are ``/g{…}``

# The mark that ends a term → the marks that can end the next one; any can be the last.
_ALLOWED_NEXT_MARKS = {";": ";,{}=", ",": ";,{}", "{": ";,{}", "}": ";,}", "=": ";"}

_WHOLE_DATASET = frozenset({"", "/"})
_WHOLE_DIMENSION = frozenset({"", "*"})
_MAX_INDEX = 2**63 - 1  # the specification's Int64; pydap sends 2⁶³ - 2 for a dimension without elements
_MAX_LISTED_INDICES = 1 << 16  # in all disjoint subsets: sixteen times the rows of a camera
_MAX_GROUP_DEPTH = 32  # nested braces
_EXCERPT_LENGTH = 40  # characters of a refused text in its message

_FILTERS_UNSUPPORTED = (
    "filters (|) select rows of sequences, and there are none here: ask for indices, and filter what arrives"
)
_CONSTRAINT_EXAMPLE = "names with their indices between semicolons: /y=[0:9];/image[][0:2:99];/group{a;b}"
_INDEX_SYNTAX = "write [n], [first:last], [first:step:last], [first:], [], or several with commas between: [0:1,3]"

Ranges = tuple[slice, ...]
"""The content of a pair of brackets: one range, or several with commas."""


def parse_constraint(expression: str) -> Selection:
    """Parse the value of ``dap4.ce``, percent-encoded any number of times, or not at all.

    Args:
        expression: ``/y=[0:9];/image[10:7:99][];/g/v``; an empty one selects everything.

    Returns:
        Variables and groups, by their names in the dataset (no leading slash), and the hyperslab of each.

    Raises:
        BadSelection: the text is no constraint, or one that is not supported; no other error is raised.
    """
    return parse_percent_encoded(_parse_decoded, expression)


def _parse_decoded(expression: str) -> Selection:
    if expression in _WHOLE_DATASET:
        return Selection()
    constraint = _ConstraintBuilder()
    position, before = 0, ";"
    while before:
        term = _TERM.match(expression, position)
        if term is None or not constraint.try_add_term(before, term["name"], term["indices"], term["mark"]):
            clause = expression[position:].partition(";")[0]
            if "|" in clause:
                raise BadSelection(_FILTERS_UNSUPPORTED)
            raise BadSelection(
                f"{_truncate_text(clause) or 'the end'} does not fit at character {position};"
                f" write {_CONSTRAINT_EXAMPLE}"
            )
        position, before = term.end(), term["mark"]
    if not constraint:  # an empty selection would select everything
        raise BadSelection(f"{_truncate_text(expression)} names no variable")
    return constraint.build_selection()


@dataclass
class _ConstraintBuilder:
    """The terms parsed so far, each index as a list of ranges."""

    parts: dict[str, tuple[Ranges, ...]] = field(default_factory=dict)
    dimensions: dict[str, tuple[Ranges, ...]] = field(default_factory=dict)
    open_groups: list[str] = field(default_factory=list)
    """The paths of the groups whose braces are open."""
    redefined_dimension: str = ""
    """The dimension before the last equals sign."""

    def __bool__(self) -> bool:
        return bool(self.parts or self.dimensions)

    def try_add_term(self, before: str, name: str, indices: str, mark: str) -> bool:
        """Add a term between its marks; return false if the grammar does not allow it there."""
        if mark not in _ALLOWED_NEXT_MARKS[before] or (mark in {",", "}"} and not self.open_groups):
            return False
        if before == "=":
            ranges = () if name else _parse_hyperslab(indices)
            if len(ranges) == 1:
                _add_hyperslab(self.dimensions, _parse_name(self.redefined_dimension), ranges)
            return len(ranges) == 1
        fits = True
        if before == "}":
            fits = not name and not indices
        elif mark == "=":
            fits, self.redefined_dimension = not indices and not self.open_groups, name
        elif mark == "{":
            fits = not indices and len(self.open_groups) < _MAX_GROUP_DEPTH
            if fits:
                group = f"{self._resolve_path(_GROUP_SUFFIX.sub('', name))}/" if name.strip("/") else ""
                self.open_groups.append(group)
        elif name or indices:
            _add_hyperslab(self.parts, self._resolve_path(name), _parse_hyperslab(indices))
        if mark == "}":
            self.open_groups.pop()
        return fits and (bool(mark) or not self.open_groups)

    def _resolve_path(self, name: str) -> str:
        return f"{self.open_groups[-1]}{_parse_name(name, inside=True)}" if self.open_groups else _parse_name(name)

    def build_selection(self) -> Selection:
        """Build the selection; only the indices of disjoint subsets are listed one by one."""
        indices = [index for hyperslab in (*self.parts.values(), *self.dimensions.values()) for index in hyperslab]
        subsets = [each for ranges in indices if len(ranges) > 1 for each in ranges]
        if sum((each.stop - each.start - 1) // each.step + 1 for each in subsets) > _MAX_LISTED_INDICES:
            raise BadSelection(
                f"disjoint subsets list more than {_MAX_LISTED_INDICES:,} indices: ask for ranges one by one"
            )
        return Selection(
            MappingProxyType({name: tuple(map(_build_index, hyperslab)) for name, hyperslab in self.parts.items()}),
            MappingProxyType({name: _build_index(ranges) for name, (ranges,) in self.dimensions.items()}),
        )


def _add_hyperslab(entries: dict[str, tuple[Ranges, ...]], name: str, hyperslab: tuple[Ranges, ...]) -> None:
    if entries.setdefault(name, hyperslab) != hyperslab:
        raise BadSelection(f"{_truncate_text(name)} is asked for twice with different indices: make that two requests")


def _parse_name(text: str, *, inside: bool = False) -> str:
    name = text if inside else text.removeprefix("/")
    if "" in name.split("/"):
        raise BadSelection(f"{_truncate_text(text)} is no name of a variable: names look like /group/image")
    return _ESCAPED.sub(r"\1", name)


def _parse_hyperslab(text: str) -> tuple[Ranges, ...]:
    hyperslab: list[Ranges] = []
    for index in _INDEX.findall(text):
        ranges = tuple(map(_parse_range, index.split(",")))
        if len(ranges) > 1 and any(each.stop is None for each in ranges):
            raise BadSelection(
                f"[{_truncate_text(index)}] is open: where there are commas, each range says where it ends"
            )
        hyperslab.append(ranges)
    return tuple(hyperslab)


def _parse_range(text: str) -> slice:
    """Parse an index by rule 1: one number, or first, step and last."""
    if text in _WHOLE_DIMENSION:
        return slice(None)
    bounds = _BOUNDS.fullmatch(text)
    if bounds is None:
        raise BadSelection(f"[{_truncate_text(text)}] is no index: {_INDEX_SYNTAX}")
    first, second, third = bounds.groups()
    end = third if third is not None else second if second is not None else first
    start, step = int(first), int(second) if second is not None and third is not None else 1
    last = int(end) if end.isdigit() else None
    if step == 0:
        raise BadSelection(f"[{text}] has a step of 0: steps are 1 or more")
    if max(start, step, last or 0) > _MAX_INDEX:
        raise BadSelection(f"[{text}] is beyond {_MAX_INDEX}, the largest index there can be")
    if last is not None and last < start:
        raise BadSelection(f"[{text}] ends before it begins; the order is [first:step:last]")
    return slice(start, None if last is None else last + 1, step)


def _build_index(ranges: Ranges) -> DimensionIndex:
    if len(ranges) == 1:
        return ranges[0]
    return tuple(index for each in ranges for index in range(each.start, each.stop, each.step))


def _truncate_text(text: str) -> str:
    return text if len(text) <= _EXCERPT_LENGTH else f"{text[:_EXCERPT_LENGTH]}…"
