"""NPZ: all variables as NumPy keeps them, in one ZIP archive, and what they say of themselves in ``attributes.json``.

Nothing is compressed, for images are noise. A name with slashes is a path in the archive, and still the name that
`numpy.load` knows. All members have one date, so that the same dataset is the same file whenever it is made.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final
from zipfile import ZipFile, ZipInfo

import xarray as xr

from shotdap.server.encoders import Encoded, npy
from shotdap.server.encoders.blocks import of_file
from shotdap.server.encoders.json_values import described, written

__all__ = ["ATTRIBUTES", "encode"]

ATTRIBUTES: Final = "attributes.json"
"""The member that says what the variables are."""

_LARGE: Final = 2**31 - 1  # bytes of a member from which its sizes take 64 bits


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as a NPZ file; see `Encode`."""
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr(ZipInfo(ATTRIBUTES), written(described(dataset), indent=1))
        for name, variable in dataset.variables.items():
            parts = npy.parts(str(name), variable)
            is_large = sum(map(len, parts)) > _LARGE
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=is_large) as member:
                for part in parts:
                    member.write(part)
    return of_file(file)
