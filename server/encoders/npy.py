"""NPY: one array of numbers in NumPy's own format, which has no attributes.

The values are copied from memory in their own byte order. Text becomes text of fixed length, which `numpy.load` reads
without ``allow_pickle``.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import xarray as xr

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import get_array_bytes, wrap_bytes
from shotdap.server.encoders.netcdf.rules import is_text, normalize_text
from shotdap.server.encoders.one_variable import get_single_variable
from shotdap.transforms import BadSelection


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode the only variable as a NPY file; see `Encoder`."""
    name, variable = get_single_variable(dataset, "NPY holds")
    return wrap_bytes(*encode_parts(name, variable))


def encode_parts(name: str, variable: xr.Variable) -> tuple[bytes, memoryview]:
    """Return the header and the values of a NPY file.

    Raises:
        BadSelection: NumPy could only pickle the values.
    """
    values = np.asarray(variable.values)
    if is_text(values.dtype) and values.dtype.kind != "S":
        texts = [normalize_text(value) for value in values.reshape(-1).tolist()]
        values = np.array(texts, dtype=np.str_).reshape(values.shape)
    elif values.dtype.hasobject or values.dtype.names is not None:
        raise BadSelection(f"{name} is of the type {values.dtype}, which NPY cannot hold; ask for json.")
    header = BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": values.shape},
    )
    return header.getvalue(), get_array_bytes(values)
