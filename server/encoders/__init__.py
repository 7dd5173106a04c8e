"""One module for each file format: a computed dataset → a file's bytes. No I/O, no web framework, no catalog."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import xarray as xr

__all__ = ["Block", "EncodedFile", "Encoder"]

Block: TypeAlias = bytes | memoryview


@dataclass(frozen=True)
class EncodedFile:
    """A file, of which only the bytes are left to put in order: nothing in it can fail any more."""

    size: int
    """Its length in bytes, exactly."""
    blocks: Iterable[Block]
    """Its bytes in big pieces, to be taken once."""


class Encoder(Protocol):
    """Makes files of one format."""

    def __call__(self, dataset: xr.Dataset, /) -> EncodedFile:
        """Put a dataset, whose values are in memory, into a file.

        Raises:
            BadSelection: the format cannot hold so much.
        """
        ...
