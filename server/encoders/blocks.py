"""Bytes in pieces as the server sends them, without another copy."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shotdap.server.encoders import Block, EncodedFile

BLOCK_SIZE: Final = 512 * 1024
"""Bytes of a piece: half a megabyte goes out as fast as more, and lets small requests in between."""


def split_into_blocks(whole: memoryview) -> Iterator[Block]:
    """The pieces of what is in memory; views, no copies."""
    return (whole[start : start + BLOCK_SIZE] for start in range(0, len(whole), BLOCK_SIZE))


def get_array_bytes(values: NDArray[Any]) -> memoryview:
    """The bytes of an array's values, in C order; a view, unless they lie otherwise."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def wrap_bytes(*parts: bytes | memoryview) -> EncodedFile:
    """A file that is some parts, one behind the other."""
    views = [memoryview(part) for part in parts]
    return EncodedFile(sum(map(len, views)), chain.from_iterable(map(split_into_blocks, views)))


def wrap_file(file: BytesIO) -> EncodedFile:
    """A file that a library has written into memory; without a copy."""
    return wrap_bytes(file.getbuffer())
