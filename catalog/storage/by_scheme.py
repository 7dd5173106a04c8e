"""Selection of a store by the URL scheme of the file in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shotdap.catalog.storage.store import Store, Version


@dataclass(frozen=True)
class SchemeStore:
    """Several stores as one."""

    default: Store
    """The store for files without a scheme."""
    by_scheme: Mapping[str, Store]
    """The stores for ``scheme://…``; a file with an unknown scheme goes to the default."""

    def get_version(self, file: str, /) -> Version:
        """Return the file's version; see `Store`."""
        return self._select_store(file).get_version(file)

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Fetch the file; see `Store`."""
        self._select_store(file).fetch_file(file, version)

    def describe_location(self, file: str, /) -> str:
        """Describe the file's location; see `Store`."""
        return self._select_store(file).describe_location(file)

    def _select_store(self, file: str) -> Store:
        scheme, separator, _ = file.partition("://")
        return self.by_scheme.get(scheme.lower(), self.default) if separator else self.default
