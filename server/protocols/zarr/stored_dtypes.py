"""Types of numbers and texts in Zarr.

Rule 1: numbers are always little-endian, like the typed arrays of browsers.
Rule 2: text has variable length and is UTF-8, in both versions; bytes are text, as in DAP.
Rule 3: numbers of more than 64 bits get the nearest type of Zarr; other types than numbers and text are omitted.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Dtype: TypeAlias = np.dtype[Any]

TEXT_DTYPE: Final = np.dtype(object)
"""The type of text in memory."""

_WIDEST_DTYPES: Final = {"f": np.dtype("<f8"), "c": np.dtype("<c16")}


def resolve_stored_dtype(dtype: Dtype) -> Dtype | None:
    """Return the type of values in a chunk: `TEXT_DTYPE`, or numbers; `None` if Zarr has no such type."""
    if dtype.kind in "USOT":
        return TEXT_DTYPE
    if dtype.kind not in "biufc":
        return None
    widest = _WIDEST_DTYPES.get(dtype.kind)
    return widest if widest is not None and dtype.itemsize > widest.itemsize else dtype.newbyteorder("<")


def convert_values(values: Array, dtype: Dtype) -> Array:
    """Convert values to their type in a chunk; a missing text, `None` or NaN, is empty."""
    if dtype != TEXT_DTYPE:
        return values.astype(dtype, copy=False)
    texts: list[str] = []
    for value in values.reshape(-1).tolist():
        if value is None or value != value:  # noqa: PLR0124 — the test for NaN, xarray's missing text
            texts.append("")
        elif not isinstance(value, bytes):
            texts.append(str(value).encode("utf-8", "backslashreplace").decode())
        else:
            try:
                texts.append(value.decode())
            except UnicodeDecodeError:
                texts.append(value.decode("latin-1"))
    converted = np.empty(values.shape, TEXT_DTYPE)
    converted.reshape(-1)[:] = texts
    return converted
