"""Whose the names in a query are: files' attributes, or facts of the archive's rows. All others are refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.index.records import MAX_TEXT_LENGTH
from shotdap.catalog.index.tables import ATTRIBUTES, FACT_NAMES
from shotdap.catalog.query import Query
from shotdap.catalog.query.values import BUILTIN_FIELDS

__all__ = ["find_attribute_names"]

_MAX_ATTRIBUTE_NAMES: Final = 100  # attributes' names that are looked at for those in a sentence
_MAX_NAMES_SHOWN: Final = 12  # of names in a sentence
_MIN_SIMILARITY: Final = 0.75  # as `difflib` measures it, from 0 to 1
_SELECT_NEXT_NAME: Final = sa.select(sa.func.min(ATTRIBUTES.c.name)).where(ATTRIBUTES.c.name > sa.bindparam("last"))


def find_attribute_names(connection: sa.Connection, query: Query) -> Collection[str]:
    """The names in a query that are those of files' attributes; the others are facts, or the catalog's own.

    Raises:
        BadQuery: no image says anything under a name; in an empty catalog all names are fine.
    """
    names = {term.name for term in query.terms if term.name is not None and term.name not in BUILTIN_FIELDS}
    attributes = {name for name in names if _is_attribute(connection, name)}
    if names != attributes:
        facts = sorted(connection.execute(sa.select(FACT_NAMES.c.name)).scalars())
        if facts:
            _refuse_unknown_names(
                query,
                {name for name in names - attributes if name[:MAX_TEXT_LENGTH] not in facts},
                facts,
                _list_attribute_names(connection),
            )
    return attributes


def _is_attribute(connection: sa.Connection, name: str) -> bool:
    return connection.execute(sa.select(1).where(ATTRIBUTES.c.name == name).limit(1)).first() is not None


def _list_attribute_names(connection: sa.Connection) -> list[str]:
    """The names of attributes, each found by one step in an index."""
    names = [""]
    while (
        len(names) <= _MAX_ATTRIBUTE_NAMES
        and (name := connection.execute(_SELECT_NEXT_NAME, {"last": names[-1]}).scalar()) is not None
    ):
        names.append(name)
    return names[1:]


def _refuse_unknown_names(
    query: Query, unknown: Collection[str], facts: Sequence[str], attributes: Sequence[str]
) -> None:
    known = {name.lower(): name for name in (*attributes, *facts, *BUILTIN_FIELDS)}
    for term in query.terms:
        name = term.name or ""
        if name not in unknown:
            continue
        close = get_close_matches(name.lower(), known, 1, _MIN_SIMILARITY)
        hint = f"did you mean {known[close[0]]}?" if close else _describe_names(facts, attributes)
        raise query.make_error(term, f'No image says anything under "{name}"; {hint}')


def _describe_names(facts: Sequence[str], attributes: Sequence[str]) -> str:
    """What there are names for."""
    of_files = (
        f"files {_join_names(attributes)}" if attributes else "files nothing that catalog.indexed_attributes names"
    )
    return f"the archive says {_join_names(facts)}, {of_files}."


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(islice(names, _MAX_NAMES_SHOWN)) + (", …" if len(names) > _MAX_NAMES_SHOWN else "")
