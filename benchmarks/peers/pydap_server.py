"""pydap as a server: each file of arrays in a folder is a dataset in memory; ``<name>.npz`` is at ``/<name>``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydap.handlers.lib import BaseHandler
from pydap.model import BaseType, DatasetType

_DIMENSIONS = {1: None, 2: ("y", "x")}


def _load_dataset(path: Path) -> DatasetType:
    dataset = DatasetType(path.stem)
    for name, values in np.load(path).items():
        dataset[name] = BaseType(name, values, dims=_DIMENSIONS[values.ndim] or (name,))
    return dataset


_HANDLERS = {path.stem: BaseHandler(_load_dataset(path)) for path in Path(os.environ["BENCH_ARRAYS"]).glob("*.npz")}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Dispatch a request to the handler of its dataset."""
    name = environ["PATH_INFO"].removeprefix("/").rpartition(".")[0]
    answer: Iterable[bytes] = _HANDLERS[name](environ, start_response)
    return answer
