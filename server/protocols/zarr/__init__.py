"""Zarr, versions 2 and 3: a dataset → metadata documents, and the bytes of one chunk at a time. No I/O.

A *hierarchy* is a dataset as Zarr has it; a *key* names one of its documents, or one of its chunks. Which keys there
are, and what each holds, depends on the dataset and on `ZarrOptions` alone: documents and chunks are separate requests,
which may reach different processes.

Zarr 2: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html.
Zarr 3: https://zarr-specs.readthedocs.io/en/latest/v3/core/.
Dimensions and fill values are written as xarray reads them: https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html.
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
