"""Blocks of bytes as the server sends them, without copies."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shotdap.server.encoders import Block, EncodedFile

BLOCK_SIZE: Final = 512 * 1024
"""Bytes of a block: larger ones are sent no faster, and smaller requests have to wait for them."""


def split_into_blocks(whole: memoryview) -> Iterator[Block]:
    """Split memory into blocks; these are views, not copies."""
    return (whole[start : start + BLOCK_SIZE] for start in range(0, len(whole), BLOCK_SIZE))


def get_array_bytes(values: NDArray[Any]) -> memoryview:
    """Return the bytes of an array in C order; a view if the array is in that order already."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def wrap_bytes(*parts: bytes | memoryview) -> EncodedFile:
    """Make a file of consecutive parts."""
    views = [memoryview(part) for part in parts]
    return EncodedFile(sum(map(len, views)), chain.from_iterable(map(split_into_blocks, views)))


def wrap_file(file: BytesIO) -> EncodedFile:
    """Make a file of what a library wrote into memory, without a copy."""
    return wrap_bytes(file.getbuffer())
