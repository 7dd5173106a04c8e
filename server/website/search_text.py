"""The text of the search box: what may be typed beyond the query language, as a query.

A bare number is a shot, ``A..B`` a range of shots, a date a date, the name of a diagnostic or a facility that exists is
that; anything else is the query language.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from shotdap.catalog import parse_query
from shotdap.catalog.query import Pattern, Query, Term, TextRange
from shotdap.server.website.known_names import KnownNames

_NUMBER: Final = re.compile(r"\d{1,18}")
_RANGE: Final = re.compile(r"(\d{1,18})?\.\.(\d{1,18})?")
_DATE: Final = re.compile(r"\d{4}-\d{2}(-\d{2})?(\.\.\d{4}-\d{2}(-\d{2})?)?")


def parse_search_text(text: str, names: KnownNames) -> Query:
    """Parse the text of the search box.

    Raises:
        BadQuery: the query language does not allow it.
    """
    query = parse_query(text)
    return Query(tuple(_interpret_term(term, names) for term in query.terms), text)


def _interpret_term(term: Term, names: KnownNames) -> Term:
    """Return what a word without a field means."""
    pattern = term.values[0]
    if term.name is not None or not isinstance(pattern, Pattern) or pattern.is_quoted:
        return term
    word = pattern.text
    shots, words = _RANGE.fullmatch(word), word.split(",")
    if _NUMBER.fullmatch(word):
        return replace(term, name="shot")
    if shots and (shots[1] or shots[2]):
        return replace(term, name="shot", values=(TextRange(shots[1], shots[2]),))
    if _DATE.fullmatch(word):
        first, dots, last = word.partition("..")
        return replace(term, name="date", values=(TextRange(first, last) if dots else pattern,))
    for name, find in (("diagnostic", names.find_diagnostic), ("facility", names.find_facility)):
        found = [find(each) for each in words]
        if all(found):
            return replace(term, name=name, values=tuple(Pattern(each or "", is_quoted=True) for each in found))
    return term


def get_single_shot(query: Query) -> int | None:
    """Return the number of the shot if a query names one and nothing else."""
    if len(query.terms) != 1 or query.terms[0].name != "shot" or query.terms[0].is_negated:
        return None
    values = query.terms[0].values
    is_number = len(values) == 1 and isinstance(values[0], Pattern) and _NUMBER.fullmatch(values[0].text)
    return int(values[0].text) if is_number and isinstance(values[0], Pattern) else None
