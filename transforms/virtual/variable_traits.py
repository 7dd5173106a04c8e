"""Facts about a lazy variable that the layers pass on beside its attributes.

They are one entry of the variable's ``encoding``, which narrowing and loading preserve, and which is never served.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import xarray as xr

_ENCODING_KEY: Final = "shotdap"


@dataclass(frozen=True)
class VariableTraits:
    """Facts about one variable; the defaults are those of a variable of an ordinary file."""

    bytes_read: int = 0
    """Bytes that are read for any part of it; 0 if a part costs a part."""
    working_memory: int = 0
    """Peak memory in bytes for computing any part of it, beside the bytes that are read."""
    is_pointwise: bool = True
    """Whether each value depends on the stored values at its own place alone."""
    image_paths: tuple[str, ...] | None = None
    """Public paths of the images that it is read from: one for all, or one for each index of its first dimension."""
    dap2_type: str = ""
    """Its type in DAP2, in an adapted dataset."""
    logical_dtype: str = ""
    """The NumPy type that its numbers mean, in an adapted dataset, if ``_Unsigned`` makes it another than stored."""


_DEFAULT_TRAITS: Final = VariableTraits()


def get_traits(variable: xr.Variable) -> VariableTraits:
    """Return the traits of a variable."""
    traits: VariableTraits = variable.encoding.get(_ENCODING_KEY, _DEFAULT_TRAITS)
    return traits


def set_traits(variable: xr.Variable, **changes: Any) -> xr.Variable:  # noqa: ANN401 — `replace` checks the names
    """Change some traits of a variable in place, and return it."""
    variable.encoding = {**variable.encoding, _ENCODING_KEY: replace(get_traits(variable), **changes)}
    return variable
