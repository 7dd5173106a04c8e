"""NPY: one array of numbers, as NumPy keeps it; no attributes, for the format has no place for them.

Its values go out as they lie in memory, in their own byte order. Text becomes text of one length, which `numpy.load`
reads without ``allow_pickle``.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.blocks import get_array_bytes, wrap_bytes
from shotdap.server.encoders.netcdf.rules import is_text, normalize_text
from shotdap.server.encoders.one_variable import get_single_variable
from shotdap.transforms import BadSelection


def encode(dataset: xr.Dataset) -> EncodedFile:
    """The dataset's variable as a NPY file; see `Encoder`."""
    name, variable = get_single_variable(dataset, "NPY holds")
    return wrap_bytes(*encode_parts(name, variable))


def encode_parts(name: str, variable: xr.Variable) -> tuple[bytes, memoryview]:
    """Header and values of a NPY file.

    Raises:
        BadSelection: NumPy could only pickle the values.
    """
    values = _convert_values(name, np.asarray(variable.values))
    header = BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": values.shape},
    )
    return header.getvalue(), get_array_bytes(values)


def _convert_values(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if is_text(values.dtype) and values.dtype.kind != "S":
        return np.array([normalize_text(value) for value in values.reshape(-1).tolist()], dtype=np.str_).reshape(
            values.shape
        )
    if values.dtype.hasobject or values.dtype.names is not None:
        raise BadSelection(f"{name} is of the type {values.dtype}, which NPY cannot hold; ask for json.")
    return values
