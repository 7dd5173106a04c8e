"""Facilities in URLs: spelled as in public paths, ``omega-ep``, however the archive's rows spell them."""

from __future__ import annotations

from typing import Final

from shotdap.catalog import Catalog, NotFound, PathTemplate, Row
from shotdap.catalog.query import Pattern, Term

_SEGMENT_TEMPLATE: Final = PathTemplate("{facility}")
_MAX_LISTED: Final = 50  # facilities in one message


def format_facility_segment(name: str) -> str:
    """Format the name of a facility as a segment of a URL."""
    return _SEGMENT_TEMPLATE.format_path(Row("", "", facts={"facility": name}))


def create_facility_term(catalog: Catalog, facility: str) -> Term:
    """Create the search term that selects the images of a facility.

    Args:
        catalog: contains the facilities.
        facility: its name, or the segment of URLs for it.

    Raises:
        NotFound: there is no such facility; the message lists those that exist.
        Unsearchable: the catalog is a directory tree, which knows no facilities.
    """
    names = list(filter(None, catalog.count_facets().counts["facility"]))
    matches = [name for name in names if facility in {name, format_facility_segment(name)}]
    if not matches:
        known = ", ".join(map(format_facility_segment, names[:_MAX_LISTED])) or "none"
        raise NotFound(f"There is no facility {facility!r}. The facilities are: {known}.")
    return Term("facility", tuple(Pattern(name, is_quoted=True) for name in matches))
