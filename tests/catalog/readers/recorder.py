"""A record of decoded frames."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray

__all__ = ["Recorder"]


class Recorder:
    """A memo that also records which frames were decoded."""

    def __init__(self) -> None:
        self.decoded: list[Hashable] = []
        self._frames: dict[Hashable, NDArray[Any]] = {}

    def __call__(self, name: Hashable, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the frame of this name; decode and record it the first time."""
        if name not in self._frames:
            self.decoded.append(name)
            self._frames[name] = decode()
        return self._frames[name]
