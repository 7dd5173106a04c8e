"""What a request costs in the event loop, where other requests wait for it: cheap ones only are answered there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import xarray as xr

from shotdap.catalog import is_stored, require_process
from shotdap.transforms import bytes_read, is_pointwise, working_memory

_MAX_STORED_BYTES: Final = 32 << 20  # that are sent from the frame store as they are: 2 ms of checksums
_MAX_COMPUTED_BYTES: Final = 256 << 10  # that are computed one by one from stored values: about 1 ms


def require_process_if_costly(variables: Iterable[xr.Variable]) -> None:
    """Leave a request to a process if computing these lazy variables would hold up others.

    Raises:
        NeedsProcess: see `reading.suspending`; only in an event loop.
    """
    stored = computed = 0
    for variable in variables:
        if is_stored(variable):
            stored += variable.nbytes
            continue
        computed += variable.nbytes
        if not is_pointwise(variable) or bytes_read(variable) or working_memory(variable):
            require_process()
    if stored > _MAX_STORED_BYTES or computed > _MAX_COMPUTED_BYTES:
        require_process()
