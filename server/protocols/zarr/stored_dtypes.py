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
    """Convert values to their type in a chunk."""
    if dtype != TEXT_DTYPE:
        return values.astype(dtype, copy=False)
    texts = np.empty(values.shape, TEXT_DTYPE)
    texts.reshape(-1)[:] = [_convert_text(value) for value in values.reshape(-1).tolist()]
    return texts


def _convert_text(value: object) -> str:
    """Convert a value to text that UTF-8 can represent; `None` and NaN are empty."""
    if value is None or value != value:  # noqa: PLR0124 — the test for NaN, xarray's missing text
        return ""
    if not isinstance(value, bytes):
        return str(value).encode("utf-8", "backslashreplace").decode()
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
