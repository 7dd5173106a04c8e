"""Names of facilities and diagnostics, with their numbers of images, as a reader may know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cachebox

from shotdap.catalog import Catalog, Unsearchable, Visibility
from shotdap.server.api.facility_names import format_facility_segment

_SECONDS: Final = 20  # counting for a reader who sees only some images takes half a second for a million
_MAX_READERS: Final = 256


@dataclass(frozen=True)
class KnownNames:
    """The facilities and diagnostics that exist for a reader, with their numbers of images."""

    facilities: Mapping[str, int]
    diagnostics: Mapping[str, int]

    def find_facility(self, name: str) -> str | None:
        """Return the facility with a name, in any case, or with the segment of URLs for it."""
        wanted = name.lower()
        return next((each for each in self.facilities if wanted in {each.lower(), format_facility_segment(each)}), None)

    def find_diagnostic(self, name: str) -> str | None:
        """Return the diagnostic with a name, in any case."""
        return next((each for each in self.diagnostics if each.lower() == name.lower()), None)


class KnownNamesCache:
    """The names that readers know, counted anew every few seconds; readers who see the same share them."""

    def __init__(self) -> None:
        self._names: cachebox.TTLCache[Visibility, KnownNames] = cachebox.TTLCache(_MAX_READERS, _SECONDS)

    def get_names(self, catalog: Catalog) -> KnownNames:
        """Return the names that exist in a catalog; none if it is a directory tree, which knows none.

        Args:
            catalog: as the reader sees it.
        """
        names = self._names.get(catalog.visibility)
        if names is None:
            try:
                counts = catalog.count_facets().counts
            except Unsearchable:
                counts = {}
            known = [
                {name: count for name, count in counts.get(facet, {}).items() if name}
                for facet in ("facility", "diagnostic")
            ]
            names = self._names[catalog.visibility] = KnownNames(*known)
        return names
