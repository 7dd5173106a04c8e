"""Read Zarr made on the fly, and the same dataset in a real Zarr store, written by xarray and served from memory.

The real store is a copy that someone has to make and renew; the static server, which only sends its bytes, shows the
limit. Bare clients request chunks; xarray opens and reads datasets. Before anything
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
from clients import HttpRequest
from images import ImageFile, open_catalog
from measuring import Case, Contender, Mismatch, Plan, repeat

__all__ = ["cases"]

Array: TypeAlias = NDArray[Any]

_FILES: Final = (
    ImageFile("streak.hdf", "HDF4", (1100, 1024), deflated=True),
    ImageFile("frame.h5", "HDF5", (2048, 2048), deflated=False),
)
_KEYS: Final = ("zarr.json", "image/c/0/0", "background_subtracted/c/0/0")
_SIDE: Final = 256  # of the small slice
_CLIENTS: Final = (1, 8)


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Yield requests for documents and chunks, with 1 and 8 clients; then opening, a slice and frames by xarray."""
    files = [file.shrink(plan.shrink) for file in _FILES]
    images, copies = folder / "images", folder / "copies"
    images.mkdir()
    copies.mkdir()
    for file in files:
        file.write(images)
    with ExitStack() as stack:
        ours = stack.enter_context(servers.serve_folder(images, folder / "shotdap.log"))
        for file in files:
            _copy_store(_make_url(ours, f"zarr/{file.name}"), copies / file.name)
        theirs = stack.enter_context(servers.serve_bytes(copies, folder / "static.log"))
        yield [case for file in files for case in _list_cases(file, images, ours, theirs, _SIDE // plan.shrink)]


def _make_url(port: int, path: str) -> str:
    return f"http://127.0.0.1:{port}/{path}"


def _copy_store(url: str, folder: Path) -> None:
    """Write a Zarr store of the image and its virtual variable, with the chunks that the server offers."""
    with _open(url) as dataset, warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # Zarr 3 does not specify consolidated metadata yet
        dataset.to_zarr(folder, zarr_format=3, consolidated=True)


def _open(url: str) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(url, zarr_format=3, chunks=None)
    return dataset


def _list_cases(file: ImageFile, images: Path, ours: int, theirs: int, side: int) -> Iterator[Case]:
    roots = {"shotdap": (ours, f"zarr/{file.name}"), "a copy as static bytes": (theirs, file.name)}
    for key in _KEYS:
        questions = {who: HttpRequest(port, f"/{path}/{key}") for who, (port, path) in roots.items()}
        for clients in _CLIENTS:
            workers = {who: partial(each.run_turn, clients, each.send().length) for who, each in questions.items()}
            yield _make_case(f"{file}: {key}, {clients} client{'s' * (clients > 1)}", workers)
    urls = {who: _make_url(port, path) for who, (port, path) in roots.items()}
    yield _make_case(f"{file}: open_zarr", {who: repeat(partial(_open_and_close, url)) for who, url in urls.items()})
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
        yield _make_case(f"{file}: {what}, by xarray", {who: repeat(read) for who, read in readers.items()})


def _make_case(name: str, workers: Mapping[str, Callable[[float], Any]]) -> Case:
    return Case(name, tuple(Contender(who, work) for who, work in workers.items()))


def _open_and_close(url: str) -> None:
    with _open(url):
        pass


def _read(dataset: xr.Dataset, name: str, part: tuple[slice, slice]) -> Array:
    """Read through a new copy of the variable, because a variable caches the values it has read."""
    values: Array = dataset.variables[name].copy(deep=False)[part].values
    return values


def _check(readers: Mapping[str, Callable[[], Array]], expected: Array) -> None:
    """Check that all readers give the file's numbers.

    Raises:
        Mismatch: a reader gives other numbers.
    """
    for who, read in readers.items():
        if not np.array_equal(read(), expected):
            raise Mismatch(f"{who} gives other numbers than the file.")
