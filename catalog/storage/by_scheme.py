"""The one table from what a row says of its file to the store that has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shotdap.catalog.storage.store import Store, Version


@dataclass(frozen=True)
class SchemeStore:
    """Several stores as one."""

    default: Store
    """For what names no scheme."""
    by_scheme: Mapping[str, Store]
    """For ``scheme://…``; an unknown scheme is a path like any other."""

    def get_version(self, file: str, /) -> Version:
        """A look at the file; see `Store`."""
        return self._select_store(file).get_version(file)

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Have the file; see `Store`."""
        self._select_store(file).fetch_file(file, version)

    def describe_location(self, file: str, /) -> str:
        """Where the file is looked for; see `Store`."""
        return self._select_store(file).describe_location(file)

    def _select_store(self, file: str) -> Store:
        scheme, separator, _ = file.partition("://")
        return self.by_scheme.get(scheme.lower(), self.default) if separator else self.default
