"""Whose the names in a query are: files' attributes, or facts of the archive's rows. What is nearly one is refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.index.tables import ATTRIBUTES, NAMES
from shotdap.catalog.query import Query
from shotdap.catalog.query.meanings import OWN

__all__ = ["Named", "named"]

_MOST: Final = 100  # attributes' names, among which a misspelled one is looked for
_CLOSE: Final = 0.75  # as `difflib` measures it, from 0 to 1
_STEP: Final = sa.select(sa.func.min(ATTRIBUTES.c.name)).where(ATTRIBUTES.c.name > sa.bindparam("last"))


@dataclass(frozen=True)
class Named:
    """The names in a query, the catalog's own aside."""

    attributes: Collection[str] = ()
    """Those that files say something under."""
    unknown: Collection[str] = ()
    """Those that nobody says anything under."""


def named(connection: sa.Connection, query: Query) -> Named:
    """Whose a query's names are.

    Raises:
        BadQuery: a name is almost one that there is.
    """
    names = {term.name for term in query.terms if term.name is not None and term.name not in OWN}
    attributes = {name for name in names if _is_attribute(connection, name)}
    if names == attributes:
        return Named(attributes)
    facts = set(connection.execute(sa.select(NAMES.c.name)).scalars())
    unknown = names - attributes - facts
    if unknown:
        _check_spelling(query, unknown, [*_attributes(connection), *facts])
    return Named(attributes, unknown)


def _is_attribute(connection: sa.Connection, name: str) -> bool:
    return connection.execute(sa.select(1).where(ATTRIBUTES.c.name == name).limit(1)).first() is not None


def _attributes(connection: sa.Connection) -> list[str]:
    """The names of attributes, each found by one step in an index."""
    names = [""]
    while len(names) <= _MOST and (name := connection.execute(_STEP, {"last": names[-1]}).scalar()) is not None:
        names.append(name)
    return names[1:]


def _check_spelling(query: Query, unknown: Collection[str], there: Sequence[str]) -> None:
    known = {name.lower(): name for name in (*there, *OWN)}
    for term in query.terms:
        name = term.name if term.name in unknown else ""
        close = get_close_matches((name or "").lower(), known, 1, _CLOSE)
        if close:
            raise query.mistake(term, f'No image says anything under "{term.name}"; did you mean {known[close[0]]}?')
