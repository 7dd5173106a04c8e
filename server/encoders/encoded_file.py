"""Encoded files from arrays, bytes and files in memory, without copies where possible."""

from __future__ import annotations

from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shotdap.server.encoders import EncodedFile
from shotdap.server.http.blocks import split_bytes


def get_array_bytes(values: NDArray[Any]) -> memoryview:
    """Return the bytes of an array in C order; a view if the array is in that order already."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def wrap_bytes(*parts: bytes | memoryview) -> EncodedFile:
    """Make a file of consecutive parts."""
    views = [memoryview(part) for part in parts]
    return EncodedFile(sum(map(len, views)), chain.from_iterable(map(split_bytes, views)))


def wrap_file(file: BytesIO) -> EncodedFile:
    """Make a file of what a library wrote into memory, without a copy."""
    return wrap_bytes(file.getbuffer())
