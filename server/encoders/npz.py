"""NPZ: all variables as NumPy keeps them, in one ZIP archive, and what they say of themselves in ``attributes.json``.

The archive is made while it is sent: each variable goes out as it lies in memory. Nothing is compressed, for images
are noise. A name with slashes is a path in the archive, and still the name that `numpy.load` knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import xarray as xr
from zipstream import ZIP_STORED, ZipStream

from shotdap.server.encoders import Block, Encoded
from shotdap.server.encoders import npy
from shotdap.server.encoders.blocks import in_blocks
from shotdap.server.encoders.document import described, written

__all__ = ["ATTRIBUTES", "encode"]

ATTRIBUTES: Final = "attributes.json"
"""The member that says what the variables are."""


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as a NPZ file; see `Encode`."""
    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    archive.add(written(described(dataset), indent=1), ATTRIBUTES)
    for name, variable in dataset.variables.items():
        header, values = npy.parts(str(name), variable)
        archive.add(_pieces(header, values), f"{name}.npy", size=len(header) + len(values))
    return Encoded(len(archive), archive)


def _pieces(header: bytes, values: memoryview) -> Iterator[Block]:
    yield header
    yield from in_blocks(values)
