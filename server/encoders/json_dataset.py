"""JSON: a dataset with its values, in one strict document; see `document` for what becomes of NaN and its kin.

``{"attributes": {…}, "dimensions": {"y": 2, "x": 3}, "variables": {"image": {"dimensions": ["y", "x"], "shape": [2, 3],
"dtype": "uint16", "attributes": {…}, "values": [[…], […]]}}, "coordinates": ["y", "x"]}``
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.server.encoders import Encoded
from shotdap.server.encoders.blocks import of_bytes
from shotdap.server.encoders.json_values import about, described, values, written
from shotdap.transforms import BadSelection

__all__ = ["encode"]

_MOST: Final = 1 << 24  # values in one document: an image of 4096 x 4096, with up to 20 bytes and 0.2 us for each
_AT_ONCE: Final = 1 << 16  # values that are Python's objects at a time


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as a JSON document; see `Encode`."""
    count = sum(variable.size for variable in dataset.variables.values())
    if count > _MOST:
        raise BadSelection(
            f"These are {count:,} values, and a JSON document here has {_MOST:,} at most. Ask for a part of them, or"
            " for nc4, h5 or npz."
        )
    return of_bytes(*_document(dataset))


def _document(dataset: xr.Dataset) -> Iterator[bytes]:
    said = described(dataset)
    yield from (b'{"attributes":', written(said["attributes"]), b',"dimensions":', written(said["dimensions"]))
    yield b',"variables":{'
    for number, (name, variable) in enumerate(dataset.variables.items()):
        yield from (b"," if number else b"", written(str(name)), b":", written(about(variable))[:-1], b',"values":')
        yield from _values(np.asarray(variable.values))
        yield b"}"
    yield from (b'},"coordinates":', written(said["coordinates"]), b"}")


def _values(array: NDArray[Any]) -> Iterator[bytes]:
    """The values, some at a time: as Python's objects they take ten times their room."""
    if array.size <= _AT_ONCE:
        yield written(values(array))
        return
    rows = max(1, _AT_ONCE // math.prod(array.shape[1:]))
    parts: Sequence[NDArray[Any]] = [array[start : start + rows] for start in range(0, len(array), rows)]
    for number, part in enumerate(parts):
        yield b"," if number else b"["
        if part.size <= _AT_ONCE:
            yield written(values(part))[1:-1]
        else:
            yield from _values(part[0])
    yield b"]"
