"""Facilities in URLs: spelled as in public paths, ``omega-ep``, whatever the archive's rows write."""

from __future__ import annotations

from typing import Final

from shotdap.catalog import Catalog, NotFound, PathTemplate, Row
from shotdap.catalog.query import Pattern, Term

__all__ = ["create_facility_term", "format_facility_segment"]

_SEGMENT_TEMPLATE: Final = PathTemplate("{facility}")
_MAX_LISTED: Final = 50  # facilities in one sentence


def format_facility_segment(name: str) -> str:
    """A facility's name as a segment of a URL."""
    return _SEGMENT_TEMPLATE.format_path(Row("", "", facts={"facility": name}))


def create_facility_term(catalog: Catalog, facility: str) -> Term:
    """The condition that an image is of a facility.

    Args:
        catalog: knows the facilities.
        facility: its name, or that as it is spelled in URLs.

    Raises:
        NotFound: there is none; the message names those that there are.
        Unsearchable: there is no catalog that knows.
    """
    names = list(filter(None, catalog.count_facets().counts["facility"]))
    found = [name for name in names if facility in {name, format_facility_segment(name)}]
    if not found:
        known = ", ".join(map(format_facility_segment, names[:_MAX_LISTED])) or "none"
        raise NotFound(f"There is no facility {facility!r}. The facilities are: {known}.")
    return Term("facility", tuple(Pattern(name, is_quoted=True) for name in found))
