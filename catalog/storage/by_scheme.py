"""The one table from what a row says of its file to the store that has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shotdap.catalog.storage.store import Store, Version

__all__ = ["Places"]


@dataclass(frozen=True)
class Places:
    """Several stores as one."""

    usual: Store
    """For what names no scheme."""
    by_scheme: Mapping[str, Store]
    """For ``scheme://…``; an unknown scheme is a path like any other."""

    def version(self, file: str, /) -> Version:
        """A look at the file; see `Store`."""
        return self._store(file).version(file)

    def fetch(self, file: str, version: Version, /) -> None:
        """Have the file; see `Store`."""
        self._store(file).fetch(file, version)

    def tried(self, file: str, /) -> str:
        """Where the file is looked for; see `Store`."""
        return self._store(file).tried(file)

    def _store(self, file: str) -> Store:
        scheme, separator, _ = file.partition("://")
        return self.by_scheme.get(scheme.lower(), self.usual) if separator else self.usual
