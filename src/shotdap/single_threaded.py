"""Keep libraries from starting threads: a process with threads must not fork, because its child may find locks held."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import Final

SINGLE_THREADED: Final = MappingProxyType(
    {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pandas imports pyarrow where it is installed
    }
)
"""The environment with which NumPy and pandas start no thread when they are imported."""


def forbid_library_threads() -> None:
    """Set the environment of this process and its children, before NumPy is imported."""
    os.environ.update(SINGLE_THREADED)
