"""Zarr, versions 2 and 3: a dataset → metadata documents, and the bytes of one chunk at a time. No I/O.

A *hierarchy* is a dataset in Zarr's terms; a *key* is the name of one of its documents, or of one of its chunks. The
keys and their contents depend on the dataset and on `ZarrOptions` alone: documents and chunks are separate requests,
which can reach different processes.

Zarr 2: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html.
Zarr 3: https://zarr-specs.readthedocs.io/en/latest/v3/core/.
Dimensions and fill values are those that xarray reads: https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html.
"""

from __future__ import annotations

from shotdap.server.protocols.zarr.chunk import Chunk
from shotdap.server.protocols.zarr.hierarchy import Hierarchy, iter_store_entries
from shotdap.server.protocols.zarr.keys import extract_node_path, is_chunk_key
from shotdap.server.protocols.zarr.node_paths import GroupTree
from shotdap.server.protocols.zarr.options import Compression, ZarrOptions

__all__ = [
    "Chunk",
    "Compression",
    "GroupTree",
    "Hierarchy",
    "ZarrOptions",
    "extract_node_path",
    "is_chunk_key",
    "iter_store_entries",
]
