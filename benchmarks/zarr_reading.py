"""Zarr made on the fly, and the same dataset as a real Zarr store, written by xarray and served from memory.

The real store is a copy that somebody has to make, and make again; the static server, which does nothing but send its
bytes, shows what is possible. Chunks are asked for by bare clients, datasets opened and read by xarray. Before anything
is timed, the numbers of both are compared with the file's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from zarr.errors import ZarrUserWarning

import servers
from clients import Question
from images import ImageFile, open_catalog
from measuring import Case, Contender, Mismatch, Plan, repeated

__all__ = ["cases"]

Array: TypeAlias = NDArray[Any]

_FILES: Final = (
    ImageFile("streak.hdf", "HDF4", (1100, 1024), deflated=True),
    ImageFile("frame.h5", "HDF5", (2048, 2048), deflated=False),
)
_KEYS: Final = ("zarr.json", "image/c/0/0", "background_subtracted/c/0/0")
_SIDE: Final = 256  # of a small slice
_CLIENTS: Final = (1, 8)


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """For both images: documents and chunks, with 1 and with 8 clients; then opening, a slice and frames by xarray."""
    files = [file.shrunk(plan.shrink) for file in _FILES]
    images, copies = folder / "images", folder / "copies"
    images.mkdir()
    copies.mkdir()
    for file in files:
        file.write(images)
    with ExitStack() as stack:
        ours = stack.enter_context(servers.shotdap(images, folder / "shotdap.log"))
        for file in files:
            _copied(_url(ours, f"zarr/{file.name}"), copies / file.name)
        theirs = stack.enter_context(servers.static(copies, folder / "static.log"))
        yield [case for file in files for case in _cases(file, images, ours, theirs, _SIDE // plan.shrink)]


def _url(port: int, path: str) -> str:
    return f"http://127.0.0.1:{port}/{path}"


def _copied(url: str, folder: Path) -> None:
    """Write a Zarr store of the image and its virtual variable, with the chunks that the server offers."""
    with _open(url) as dataset, warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # consolidated metadata are no part of Zarr 3 yet
        dataset.to_zarr(folder, zarr_format=3, consolidated=True)


def _open(url: str) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(url, zarr_format=3, chunks=None)
    return dataset


def _cases(file: ImageFile, images: Path, ours: int, theirs: int, side: int) -> Iterator[Case]:
    roots = {"shotdap": (ours, f"zarr/{file.name}"), "a copy as static bytes": (theirs, file.name)}
    for key in _KEYS:
        questions = {who: Question(port, f"/{path}/{key}") for who, (port, path) in roots.items()}
        for clients in _CLIENTS:
            workers = {who: partial(each.turn, clients, each.ask().length) for who, each in questions.items()}
            yield _case(f"{file}: {key}, {clients} client{'s' * (clients > 1)}", workers)
    urls = {who: _url(port, path) for who, (port, path) in roots.items()}
    yield _case(f"{file}: open_zarr", {who: repeated(partial(_opened, url)) for who, url in urls.items()})
    expected = open_catalog(images).open(file.name, chunked=False)
    corner = file.shape[0] // 4
    small = slice(corner, corner + side)
    for name, part, what in (
        ("image", (small, small), f"{side} x {side}"),
        ("image", (slice(None), slice(None)), "a frame"),
        ("background_subtracted", (slice(None), slice(None)), "a frame with its background subtracted"),
    ):
        readers = {who: partial(_read, _open(url), name, part) for who, url in urls.items()}
        _check(readers, expected[name][part].values)
        yield _case(f"{file}: {what}, by xarray", {who: repeated(read) for who, read in readers.items()})


def _case(name: str, workers: Mapping[str, Callable[[float], Any]]) -> Case:
    return Case(name, tuple(Contender(who, work) for who, work in workers.items()))


def _opened(url: str) -> None:
    with _open(url):
        pass


def _read(dataset: xr.Dataset, name: str, part: tuple[slice, slice]) -> Array:
    """Read through a new copy of the variable, because a variable caches the values it has read."""
    values: Array = dataset.variables[name].copy(deep=False)[part].values
    return values


def _check(readers: Mapping[str, Callable[[], Array]], expected: Array) -> None:
    """Have everybody give the file's numbers.

    Raises:
        Mismatch: somebody does not.
    """
    for who, read in readers.items():
        if not np.array_equal(read(), expected):
            raise Mismatch(f"{who} gives other numbers than the file.")
