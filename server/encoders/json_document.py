"""JSON: a dataset with its values, in one strict document; see `document` for what becomes of NaN and its kin.

``{"attributes": {…}, "dimensions": {"y": 2, "x": 3}, "variables": {"image": {"dimensions": ["y", "x"], "shape": [2, 3],
"dtype": "uint16", "attributes": {…}, "values": [[…], […]]}}, "coordinates": ["y", "x"]}``
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders import Encoded
from shotdap.server.encoders.blocks import of_bytes
from shotdap.server.encoders.document import Json, about, described, values, written
from shotdap.transforms import BadSelection

__all__ = ["MOST", "encode"]

MOST: Final = 1 << 24
"""Numbers in one file of text: a picture of 4096 x 4096 takes 20 bytes and a tenth of a microsecond for each."""


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as a JSON document; see `Encode`."""
    count = sum(variable.size for variable in dataset.variables.values())
    if count > MOST:
        raise BadSelection(
            f"These are {count:,} values, and a JSON document here has {MOST:,} at most. Ask for a part of them, or for"
            " nc4, h5 or npz."
        )
    document = described(dataset)
    document["variables"] = {str(name): _whole(variable) for name, variable in dataset.variables.items()}
    return of_bytes(written(document))


def _whole(variable: xr.Variable) -> dict[str, Json]:
    return {**about(variable), "values": values(np.asarray(variable.values))}
