r"""Values of any kind as strict JSON has them (RFC 8259), which knows neither NaN nor bytes nor dates.

Rule 1: numbers that are none are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
Rule 2: integers stay integers, however great; who reads them as floats loses those beyond 2⁵³.
Rule 3: bytes are text, as UTF-8, with what is none escaped: ``\xff``. Dates are text in ISO 8601.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, TypeAlias

import numpy as np

__all__ = ["Json", "Number", "number", "plain"]

Json: TypeAlias = Any
"""What `json.dumps` takes, and strict JSON has."""

Number: TypeAlias = int | float | Literal["NaN", "Infinity", "-Infinity"]


def plain(value: object) -> Json:  # noqa: PLR0911 — one line for each kind of value
    """A value, or an attribute's, as strict JSON has it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, np.ndarray) and value.dtype.kind in "mM":
        return value.astype(str).tolist()
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.item() if value.ndim == 0 else list(value.tolist()))
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    return str(value)


def number(value: float) -> Number:
    """A number; a text where it is none, or has no end."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
