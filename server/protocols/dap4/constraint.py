r"""DAP4 constraint expressions, as text → `Selection`.

Strategy: a constraint is a list of clauses between semicolons; two regular expressions without backtracking say what
a clause and what an index look like, so that any text is read or refused in linear time. No dataset is in sight:
whether names and indices fit is the business of `Selection.apply`.

Rules, from the DAP4 specification, volume 1, section 8 ("Constraints"):

Rule 1: ``[start:stride:last]``, the last index included; ``[n]`` keeps the rank; ``[start:]`` runs to the end;
``[]`` is the whole dimension.
Rule 2: a name is fully qualified, ``/group/variable``; clients leave the first slash away.
Rule 3: ``\.``, ``\/``, ``\\`` and ``\ `` stand for characters that would mean something else in a name.
Rule 4: a percent sign is in no name, so an expression which still has one has not been decoded often enough.

Not yet offered, and refused by name: dimension redefinitions, disjoint subsets, filters, and members in braces.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from shotdap.server.protocols.percent import decode_until
from shotdap.transforms.selection import BadSelection, Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["parse"]

CLAUSE = re.compile(
    r"""
    (?P<name>    (?: [^][{}|;=,%\\\s] | \\. )*+ )
    (?P<indices> (?: \[ [^][]*+ \] )*+ )
    (?: ; | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
INDEX = re.compile(r"\[([^][]*)\]")
BOUNDS = re.compile(r"([0-9]{1,19})(?::([0-9]{1,19}))?(?::([0-9]{0,19}))?")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)

EVERYTHING = frozenset({"", "/"})
LARGEST_INDEX = 2**63 - 1  # the specification's Int64; pydap sends 2⁶³ - 2 for a dimension without elements
EXCERPT = 40  # characters of a refused text that its message quotes

# What stops a clause → the sentence that refuses it. The first that is found speaks.
NOT_OFFERED = {
    "=": "dimension redefinitions (/d=[0:9]) are not offered yet: give the indices with each variable, as in /v[0:9]",
    "|": "filters (|) are not offered yet: ask for indices, and filter what arrives",
    "{": "members in braces ({}) are not offered yet: name each variable in full, separated by semicolons",
}
FORMS = "write [n], [first:last], [first:step:last], [first:] or []"
DISJOINT = "disjoint subsets ([0:1,3]) are not offered yet: ask for each range in a request of its own"


def parse(expression: str) -> Selection:
    """Read the value of ``dap4.ce``, percent-encoded any number of times, or not at all.

    Args:
        expression: ``/image[10:7:99][];/g/v``; an empty one wants everything.

    Returns:
        Variables, called as the dataset calls them (no leading slash), and the hyperslab of each.

    Raises:
        BadSelection: the text is no constraint, or one that is not offered yet; nothing else is ever raised.
    """
    return decode_until(_parse, expression)


def _parse(expression: str) -> Selection:
    if expression in EVERYTHING:
        return Selection()
    parts: dict[str, tuple[slice, ...]] = {}
    for name, indices in _clauses(expression):
        variable, hyperslab = _name(name), _hyperslab(indices)
        if parts.setdefault(variable, hyperslab) != hyperslab:
            raise BadSelection(f"{_quoted(variable)} is asked for twice with different indices; {DISJOINT}")
    if not parts:  # a selection without variables would want everything
        raise BadSelection(f"{_quoted(expression)} names no variable")
    return Selection(MappingProxyType(parts))


def _clauses(expression: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(expression):
        clause = CLAUSE.match(expression, position)
        if clause is None:
            raise BadSelection(_why_not(expression, position))
        position = clause.end()
        if clause[0] != ";":
            yield clause["name"], clause["indices"]


def _why_not(expression: str, position: int) -> str:
    clause = expression[position:].partition(";")[0]
    for mark, sentence in NOT_OFFERED.items():
        if mark in clause:
            return sentence
    return f"{_quoted(clause)} is no variable with its indices, such as /group/image[0:2:99][5]"


def _name(text: str) -> str:
    name = text.removeprefix("/")
    if "" in name.split("/"):
        raise BadSelection(f"{_quoted(text)} is no name of a variable: names look like /group/image")
    return ESCAPED.sub(r"\1", name)


def _hyperslab(text: str) -> tuple[slice, ...]:
    return tuple(_slice(index) for index in INDEX.findall(text))


def _slice(text: str) -> slice:
    if not text:
        return slice(0, None, 1)
    bounds = BOUNDS.fullmatch(text)
    if bounds is None:
        raise BadSelection(DISJOINT if "," in text else f"[{_quoted(text)}] is no index: {FORMS}")
    return _half_open(text, *_ordered(*bounds.groups()))


def _ordered(first: str, second: str | None, third: str | None) -> tuple[int, int, int | None]:
    """Give start, step and inclusive stop of the one to three numbers of an index."""
    if second is None:  # [n], or [first:]
        return int(first), 1, int(first) if third is None else None
    if third is None:
        return int(first), 1, int(second)
    return int(first), int(second), int(third) if third else None


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
