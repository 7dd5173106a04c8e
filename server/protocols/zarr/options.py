"""What a deployment chooses of how a dataset becomes Zarr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Compression: TypeAlias = Literal["none", "lz4", "zstd"]
"""How chunks are packed. `lz4` and `zstd` are Blosc's, with the bytes of numbers shuffled."""

ZarrVersion: TypeAlias = Literal[2, 3]
"""Of Zarr."""

V2: Final[ZarrVersion] = 2
V3: Final[ZarrVersion] = 3


@dataclass(frozen=True)
class ZarrOptions:
    """How a dataset is cut and packed; the same for all of its documents and chunks."""

    chunk_size: int = 4 << 20
    """Bytes of values in a chunk that a reader may slice: a greater frame is cut into bands of rows."""
    max_chunk_size: int = 512 << 20
    """Bytes of values in any chunk: a frame that has to be computed whole is one chunk, but for this."""
    compression: Compression = "none"
