"""What a lazy variable costs to compute: how many bytes are read for any part of it.

A slice of what is in a file costs the slice. A mean over an image, or an unwrapped phase, costs the image, however
little of it is asked for; such variables say so, and a server can refuse what is too much before it begins.
"""

from __future__ import annotations

from typing import Final

import xarray as xr

__all__ = ["bytes_read", "costing"]

_READ: Final = "bytes_read"  # a key of a variable's ``encoding``, which narrowing keeps


def bytes_read(variable: xr.Variable) -> int:
    """How many bytes are read for any part of a variable; 0 where a part costs a part."""
    return int(variable.encoding.get(_READ, 0))


def costing(variable: xr.Variable, read: int) -> xr.Variable:
    """The variable, which says from now on what any part of it reads."""
    variable.encoding = {**variable.encoding, _READ: read}
    return variable
