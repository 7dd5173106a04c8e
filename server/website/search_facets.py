"""Conditions and facets of a search: what is chosen, what could be, and the plain links that change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from shotdap.catalog import FacetCounts
from shotdap.catalog.query import Pattern, Query, Term, TextRange
from shotdap.server.http.request import HttpRequest
from shotdap.server.pages.formatting import RANGE_DASH

_FACETS: Final = ("facility", "diagnostic", "health", "year")
_MAX_VALUES: Final = 16  # of one facet


@dataclass(frozen=True)
class TermChip:
    """A condition of the query, and the URL of the search without it."""

    name: str
    value: str
    url_without: str


@dataclass(frozen=True)
class FacetValue:
    """A value of a facet, how many images have it, and the URL of the search with it, or without."""

    label: str
    count: int
    url: str
    is_chosen: bool


def build_search_url(request: HttpRequest, text: str, **parameters: str | None) -> str:
    """Build the URL of a search, without the host."""
    values = {"q": text, **parameters}
    query = urlencode({name: value for name, value in values.items() if value}, errors="replace")
    return f"{request.root_path}/search{f'?{query}' if query else ''}"


def list_chips(request: HttpRequest, query: Query) -> list[TermChip]:
    """List the conditions of a query, each with the URL of the search without it."""
    chips = []
    for number, term in enumerate(query.terms):
        rest = Query((*query.terms[:number], *query.terms[number + 1 :]))
        name = "shots" if term.name == "shot" and isinstance(term.values[0], TextRange) else term.name or "words"
        value = ", ".join(str(each).replace("..", f" {RANGE_DASH} ").replace('"', "") for each in term.values)
        chips.append(TermChip(f"not {name}" if term.is_negated else name, value, build_search_url(request, str(rest))))
    return chips


def list_facets(request: HttpRequest, query: Query, counts: FacetCounts) -> Mapping[str, Sequence[FacetValue]]:
    """List the facets of a result; each value adds or removes a condition, and is a plain link."""
    facets: dict[str, Sequence[FacetValue]] = {}
    for facet in _FACETS:
        field = "date" if facet == "year" else facet
        own = next((term for term in query.terms if term.name == field and not term.is_negated), None)
        chosen = {each.text.lower() for each in own.values if isinstance(each, Pattern)} if own else set()
        ranked = sorted(counts.counts[facet].items(), key=lambda pair: pair[0 if facet == "year" else 1], reverse=True)
        values = []
        for name, count in ranked[:_MAX_VALUES]:
            if not name:
                continue
            is_chosen = name.lower() in chosen
            url = build_search_url(request, str(toggle_value(query, field, name, own, is_chosen=is_chosen)))
            values.append(FacetValue(name, count, url, is_chosen))
        if len(values) > 1 or any(each.is_chosen for each in values):
            facets[facet] = values
    return facets


def toggle_value(query: Query, field: str, value: str, own: Term | None, *, is_chosen: bool) -> Query:
    """Return a query with a value of a field, or without it if it has it."""
    if own is None:
        return Query((*query.terms, Term(field, (Pattern(value, is_quoted=True),))))
    rest = [each for each in own.values if not (isinstance(each, Pattern) and each.text.lower() == value.lower())]
    values = tuple(rest) if is_chosen else (*own.values, Pattern(value, is_quoted=True))
    changed = [replace(term, values=values) if term is own else term for term in query.terms]
    return Query(tuple(term for term in changed if term.values))
