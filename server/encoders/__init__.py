"""File formats, one module each: dataset in memory → bytes of a file. No I/O, no web framework, no catalog."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import xarray as xr

from shotdap.server.http.blocks import Block

__all__ = ["Block", "EncodedFile", "Encoder"]


@dataclass(frozen=True)
class EncodedFile:
    """A file of known length. Some formats convert values while its blocks are iterated; that cannot fail."""

    size: int
    """Its exact length in bytes."""
    blocks: Iterable[Block]
    """Its bytes in large pieces; iterate once."""


class Encoder(Protocol):
    """Encoder of one format."""

    def __call__(self, dataset: xr.Dataset, /) -> EncodedFile:
        """Encode a dataset whose values are in memory.

        Raises:
            BadSelection: the format cannot hold the dataset.
        """
        ...
