"""NPZ: all variables in NumPy's own format in a ZIP archive, with their attributes in ``attributes.json``.

Nothing is compressed: images are noise. A name with slashes is a path in the archive, and the same name for
`numpy.load`. All members have the same date, so that a dataset gives the same file at any time.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final
from zipfile import ZipFile, ZipInfo

import xarray as xr

from shotdap.server.encoders import EncodedFile, npy
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.encoders.json_values import describe_dataset, dump_json

ATTRIBUTES_MEMBER: Final = "attributes.json"
"""The member that describes the variables."""

_MAX_PLAIN_SIZE: Final = 2**31 - 1  # bytes; a longer member needs sizes of 64 bits


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode a dataset as a NPZ file; see `Encoder`."""
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr(ZipInfo(ATTRIBUTES_MEMBER), dump_json(describe_dataset(dataset), indent=1))
        for name, variable in dataset.variables.items():
            parts = npy.encode_parts(str(name), variable)
            is_large = sum(map(len, parts)) > _MAX_PLAIN_SIZE
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=is_large) as member:
                for part in parts:
                    member.write(part)
    return wrap_file(file)
