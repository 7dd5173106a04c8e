"""What a lazy variable costs to compute, for any part of it: bytes that are read, and working memory.

A slice of what is in a file costs the slice. A mean over an image, or an unwrapped phase, costs the image, however
little of it is asked for; such variables say so, and a server can refuse what is too much before it begins.
"""

from __future__ import annotations

from typing import Final

import xarray as xr

_BYTES_READ_KEY: Final = "bytes_read"  # keys of a variable's ``encoding``, which narrowing keeps
_WORKING_MEMORY_KEY: Final = "working_memory"


def bytes_read(variable: xr.Variable) -> int:
    """How many bytes are read for any part of a variable; 0 where a part costs a part."""
    return int(variable.encoding.get(_BYTES_READ_KEY, 0))


def working_memory(variable: xr.Variable) -> int:
    """Return the bytes of memory that computing any part of a variable takes at its peak, beside what is read.

    0 for what needs only a part of its inputs: it is computed in blocks of at most `footprint.BLOCK` bytes.
    """
    return int(variable.encoding.get(_WORKING_MEMORY_KEY, 0))


def set_read_cost(variable: xr.Variable, read: int, working: int = 0) -> xr.Variable:
    """The variable, which says from now on what any part of it reads, and which working memory it takes."""
    variable.encoding = {**variable.encoding, _BYTES_READ_KEY: read, _WORKING_MEMORY_KEY: working}
    return variable
