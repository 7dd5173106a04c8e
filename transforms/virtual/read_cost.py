"""The cost of computing any part of a lazy variable: bytes that are read, and working memory.

A slice of stored values costs the slice. A mean over an image, or an unwrapped phase, costs the whole image for any
slice. Such variables carry their cost, so that a server can refuse an expensive request before it begins.
"""

from __future__ import annotations

import xarray as xr

from shotdap.transforms.virtual.variable_traits import get_traits, set_traits


def bytes_read(variable: xr.Variable) -> int:
    """Return the bytes that are read for any part of a variable; 0 if a part costs only its share."""
    return get_traits(variable).bytes_read


def working_memory(variable: xr.Variable) -> int:
    """Return the bytes of memory that computing any part of a variable takes at its peak, beside what is read.

    0 for what needs only a part of its inputs: it is computed in blocks of at most `footprint.BLOCK` bytes.
    """
    return get_traits(variable).working_memory


def is_pointwise(variable: xr.Variable) -> bool:
    """Check whether each value of a variable depends on the stored values at its own place alone."""
    return get_traits(variable).is_pointwise


def set_read_cost(variable: xr.Variable, read: int, working: int = 0) -> xr.Variable:
    """Return the variable with the bytes that any part of it reads, and the working memory that it takes."""
    return set_traits(variable, bytes_read=read, working_memory=working)
