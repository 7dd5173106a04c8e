"""Arrays that all processes of a machine remember together, in a frame store, by what they are of."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np

from shotdap import __version__
from shotdap.catalog.readers.lazy import Array
from shotdap.catalog.reading.frame_store import FrameStore, make_key
from shotdap.catalog.reading.suspending import require_process
from shotdap.transforms import Memo

_Result = TypeVar("_Result")


class StoredFrames:
    """Frames in a store, as a `FrameMemory`.

    Args:
        store: contains them.
        scope: what they depend on beside their owner and their name, and the version of shotdap.
    """

    def __init__(self, store: FrameStore, scope: str = "") -> None:
        self._store = store
        self._scope = (__version__, scope)

    def get_memo(self, owner: Hashable, /) -> Memo:
        """Return the memo of one file, or of one image."""
        return lambda name, compute: self._store.fill_frame(make_key(*self._scope, owner, name), compute)

    def find(self, owner: Hashable, name: Hashable) -> Array | None:
        """Return a frame, or `None` if it is not in the store."""
        return self._store.find_frame(make_key(*self._scope, owner, name))

    def find_object(self, owner: Hashable, name: Hashable) -> object | None:
        """Return an object that `remember_object` keeps, or `None`."""
        pickled = self.find(owner, name)
        return None if pickled is None else pickle.loads(pickled.data)  # noqa: S301 — of this program's own process

    def remember_object(self, owner: Hashable, name: Hashable, compute: Callable[[], _Result]) -> _Result:
        """Return an object; compute it unless it is in the store."""

        def pickle_object() -> Array:
            return np.frombuffer(pickle.dumps(compute(), pickle.HIGHEST_PROTOCOL), np.uint8)

        result: _Result = pickle.loads(self.get_memo(owner)(name, pickle_object).data)  # noqa: S301 — as above
        return result


class ResultsAtHand:
    """Results that need whole images, for a process whose event loop must not compute them; a `FrameMemory`."""

    def __init__(self, frames: StoredFrames) -> None:
        self._frames = frames

    def get_memo(self, owner: Hashable, /) -> Memo:
        """Return the memo of one image."""

        def find_or_compute(name: Hashable, compute: Callable[[], Array]) -> Array:
            found = self._frames.find(owner, name)
            if found is None:
                require_process()
                found = self._frames.get_memo(owner)(name, compute)
            return found

        return find_or_compute
