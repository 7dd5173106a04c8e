"""JSON: a dataset with its values, in one strict document; see `respond_with_document` for what becomes of NaN and its kin.

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

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.blocks import wrap_bytes
from shotdap.server.encoders.json_values import convert_array, describe_dataset, describe_variable, dump_json
from shotdap.transforms import BadSelection

_MAX_VALUES: Final = 1 << 24  # values in one document: an image of 4096 x 4096, with up to 20 bytes and 0.2 us for each
_BATCH_SIZE: Final = 1 << 16  # values that are Python's objects at a time


def encode(dataset: xr.Dataset) -> EncodedFile:
    """The dataset as a JSON document; see `Encoder`."""
    count = sum(variable.size for variable in dataset.variables.values())
    if count > _MAX_VALUES:
        raise BadSelection(
            f"These are {count:,} values, and a JSON document here has {_MAX_VALUES:,} at most. Ask for a part of them, or"
            " for nc4, h5 or npz."
        )
    return wrap_bytes(*_encode_document(dataset))


def _encode_document(dataset: xr.Dataset) -> Iterator[bytes]:
    said = describe_dataset(dataset)
    yield from (b'{"attributes":', dump_json(said["attributes"]), b',"dimensions":', dump_json(said["dimensions"]))
    yield b',"variables":{'
    for number, (name, variable) in enumerate(dataset.variables.items()):
        yield from (
            b"," if number else b"",
            dump_json(str(name)),
            b":",
            dump_json(describe_variable(variable))[:-1],
            b',"values":',
        )
        yield from _encode_values(np.asarray(variable.values))
        yield b"}"
    yield from (b'},"coordinates":', dump_json(said["coordinates"]), b"}")


def _encode_values(array: NDArray[Any]) -> Iterator[bytes]:
    """The values, some at a time: as Python's objects they take ten times their room."""
    if array.size <= _BATCH_SIZE:
        yield dump_json(convert_array(array))
        return
    rows = max(1, _BATCH_SIZE // math.prod(array.shape[1:]))
    parts: Sequence[NDArray[Any]] = [array[start : start + rows] for start in range(0, len(array), rows)]
    for number, part in enumerate(parts):
        yield b"," if number else b"["
        if part.size <= _BATCH_SIZE:
            yield dump_json(convert_array(part))[1:-1]
        else:
            yield from _encode_values(part[0])
    yield b"]"
