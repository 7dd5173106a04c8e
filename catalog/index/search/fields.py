"""Resolve the names in a query: attributes of files, or facts of the archive's rows. Other names are refused."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from itertools import islice
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.index.records import MAX_TEXT_LENGTH
from shotdap.catalog.index.tables import ATTRIBUTES, FACT_NAMES
from shotdap.catalog.query import Query
from shotdap.catalog.query.values import BUILTIN_FIELDS

_MAX_ATTRIBUTE_NAMES: Final = 100  # names of attributes that an error message chooses from
_MAX_NAMES_SHOWN: Final = 12  # names of each kind in an error message
_MIN_SIMILARITY: Final = 0.75  # as `difflib` measures it, from 0 to 1
_SELECT_NEXT_NAME: Final = sa.select(sa.func.min(ATTRIBUTES.c.name)).where(ATTRIBUTES.c.name > sa.bindparam("last"))


def find_attribute_names(connection: sa.Connection, query: Query) -> Collection[str]:
    """Return the names in a query that are attributes of files; the others are facts, or built-in fields.

    Raises:
        BadQuery: a name is that of no fact and no attribute of any entry; in an empty catalog all names are valid.
    """
    names = {term.name for term in query.terms if term.name is not None and term.name not in BUILTIN_FIELDS}
    attributes = {
        name
        for name in names
        if connection.execute(sa.select(1).where(ATTRIBUTES.c.name == name).limit(1)).first() is not None
    }
    facts = sorted(connection.execute(sa.select(FACT_NAMES.c.name)).scalars()) if names != attributes else []
    unknown = {name for name in names - attributes if name[:MAX_TEXT_LENGTH] not in facts}
    if not facts or not unknown:
        return attributes
    all_attributes = list[str]()
    while len(all_attributes) < _MAX_ATTRIBUTE_NAMES:  # each name is one step in an index
        last = all_attributes[-1] if all_attributes else ""
        following = connection.execute(_SELECT_NEXT_NAME, {"last": last}).scalar()
        if following is None:
            break
        all_attributes.append(following)
    term = next(term for term in query.terms if term.name in unknown)
    known = {name.lower(): name for name in (*all_attributes, *facts, *BUILTIN_FIELDS)}
    if close := get_close_matches(str(term.name).lower(), known, 1, _MIN_SIMILARITY):
        hint = f"did you mean {known[close[0]]}?"
    else:
        of_archive, of_files = (
            ", ".join(islice(names, _MAX_NAMES_SHOWN)) + (", …" if len(names) > _MAX_NAMES_SHOWN else "")
            for names in (facts, all_attributes)
        )
        hint = f"the archive has {of_archive}; files have {of_files or 'none of catalog.indexed_attributes'}."
    raise query.make_error(term, f'No image has a fact or an attribute "{term.name}": {hint}')
