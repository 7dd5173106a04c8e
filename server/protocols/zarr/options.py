"""Options of a deployment for Zarr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Compression: TypeAlias = Literal["none", "lz4", "zstd"]
"""Compression of chunks. `lz4` and `zstd` are those of Blosc, with shuffled bytes."""

ZarrVersion: TypeAlias = Literal[2, 3]
"""Version of the Zarr format."""

V2: Final[ZarrVersion] = 2
V3: Final[ZarrVersion] = 3


@dataclass(frozen=True)
class ZarrOptions:
    """Chunking and compression, the same for all documents and chunks of a dataset."""

    chunk_size: int = 4 << 20
    """Bytes of values in a chunk: a larger frame is split into bands of rows, if they can be read by themselves."""
    max_chunk_size: int = 512 << 20
    """Largest number of bytes of values in any chunk, also for a frame that has to be computed whole."""
    compression: Compression = "none"
