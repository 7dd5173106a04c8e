"""Facilities in URLs: spelled as in public paths, ``omega-ep``, whatever the archive's rows write."""

from __future__ import annotations

from typing import Final

from shotdap.catalog import Catalog, NotFound, PathTemplate, Row
from shotdap.catalog.query import Pattern, Term

__all__ = ["of_facility", "spelled"]

_SEGMENT: Final = PathTemplate("{facility}")
_LISTED: Final = 50  # facilities in one sentence


def spelled(name: str) -> str:
    """A facility's name as a segment of a URL."""
    return _SEGMENT.path(Row("", "", facts={"facility": name}))


def of_facility(catalog: Catalog, facility: str) -> Term:
    """The condition that an image is of a facility.

    Args:
        catalog: knows the facilities.
        facility: its name, or that as it is spelled in URLs.

    Raises:
        NotFound: there is none; the message names those that there are.
        Unsearchable: there is no catalog that knows.
    """
    names = list(filter(None, catalog.facets().counts["facility"]))
    found = [name for name in names if facility in {name, spelled(name)}]
    if not found:
        known = ", ".join(map(spelled, names[:_LISTED])) or "none"
        raise NotFound(f"There is no facility {facility!r}. The facilities are: {known}.")
    return Term("facility", tuple(Pattern(name, quoted=True) for name in found))
