"""A record of what a reader had to decode."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray

__all__ = ["Recorder"]


class Recorder:
    """Remembers decoded frames, and keeps a record of what had to be decoded."""

    def __init__(self) -> None:
        self.decoded: list[Hashable] = []
        self._frames: dict[Hashable, NDArray[Any]] = {}

    def __call__(self, name: Hashable, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Decode what was not decoded before."""
        if name not in self._frames:
            self.decoded.append(name)
            self._frames[name] = decode()
        return self._frames[name]
