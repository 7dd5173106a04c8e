"""JSON: a dataset with its values, in one strict document; see `json_values` for NaN and infinities.

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
from shotdap.server.encoders.encoded_file import wrap_bytes
from shotdap.server.encoders.json_values import convert_array, describe_dataset, describe_variable, dump_json
from shotdap.transforms import BadSelection

_MAX_VALUES: Final = 1 << 24  # an image of 4096 x 4096; a value takes up to 20 bytes and 0.2 us
_BATCH_SIZE: Final = 1 << 16  # values that are Python objects at one time


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode a dataset as a JSON document; see `Encoder`."""
    count = sum(variable.size for variable in dataset.variables.values())
    if count > _MAX_VALUES:
        raise BadSelection(
            f"These are {count:,} values, and a JSON document here has {_MAX_VALUES:,} at most. Ask for a part of them,"
            " or for nc4, h5 or npz."
        )
    summary = describe_dataset(dataset)
    parts = [b'{"attributes":', dump_json(summary["attributes"]), b',"dimensions":', dump_json(summary["dimensions"])]
    parts.append(b',"variables":{')
    for number, (name, variable) in enumerate(dataset.variables.items()):
        head = dump_json(describe_variable(variable))[:-1]
        parts += [b"," if number else b"", dump_json(str(name)), b":", head, b',"values":']
        parts += [*_encode_values(np.asarray(variable.values)), b"}"]
    return wrap_bytes(*parts, b'},"coordinates":', dump_json(summary["coordinates"]), b"}")


def _encode_values(array: NDArray[Any]) -> Iterator[bytes]:
    """Encode values in batches: as Python objects they take ten times their memory."""
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
