"""TIFF: the frames of one variable as pages, their numbers untouched, by tifffile.

Any integer or float that NumPy has, of 8 to 64 bits, each page one frame; a variable of one dimension is one row.
Booleans become uint8, 0 and 1. ImageJ reads its own kind of description: the number of frames, and, where coordinates
run evenly, the size of a pixel and its units (``unit``, ``yunit``; the resolution is in pixels per unit, as ImageJ has
it). Everything the dataset says of itself is there as JSON under ``Info``, which ImageJ shows by *Show Info*, and
tifffile as ``TiffFile(…).imagej_metadata["Info"]``.

Not OME-XML: it knows lengths of pixels only, and a streak's run along time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from isal import isal_zlib
from numpy.typing import NDArray
from tifffile import TiffWriter, imagej_description, imagej_metadata_tag

from shotdap import __version__
from shotdap.server.encoders import Encoded
from shotdap.server.encoders.ascii_text import in_ascii
from shotdap.server.encoders.blocks import of_file
from shotdap.server.encoders.json_values import described, written
from shotdap.server.encoders.one_variable import sole
from shotdap.server.pictures.pixel_size import Pixel, pixel
from shotdap.transforms import BadSelection

__all__ = ["encode", "encode_deflated"]

Array: TypeAlias = NDArray[Any]

_IMAGE: Final = 2  # dimensions
_WIDEST: Final = 8  # bytes of a number
_NONE, _OF_INTEGERS, _OF_FLOATS = 1, 2, 3  # predictors
_MOST: Final = 2**32 - 2**24  # bytes of a file whose offsets have 32 bits
_STRIP: Final = 256 * 1024  # bytes that are compressed together
_LEVEL: Final = 1  # of ISA-L's deflate: 27 ms for 8 MiB, where zlib's 6 takes 656 for two hundredths less


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset's variable as a TIFF file, uncompressed; see `Encode`."""
    return _encode(dataset, is_deflated=False)


def encode_deflated(dataset: xr.Dataset) -> Encoded:
    """The dataset's variable as a TIFF file, its differences deflated; see `Encode`."""
    return _encode(dataset, is_deflated=True)


def _encode(dataset: xr.Dataset, *, is_deflated: bool) -> Encoded:
    name, variable = sole(dataset, "A TIFF file holds")
    frames = _frames(name, variable)
    down, across = (pixel(dataset, axis) for axis in (None, None, *variable.dims)[-_IMAGE:])
    file = BytesIO()
    with TiffWriter(file, bigtiff=frames.nbytes > _MOST, byteorder="<") as tiff:
        tiff.write(
            _strips(frames) if is_deflated else frames,
            shape=frames.shape,
            dtype=frames.dtype,
            photometric="minisblack",
            description=_description(frames.shape, down, across),
            extratags=imagej_metadata_tag({"Info": _info(name, dataset)}, "<"),
            resolution=(1 / across.size, 1 / down.size),
            resolutionunit="NONE",
            software=f"shotdap {__version__}",
            metadata=None,
            **(_deflated(frames) if is_deflated else {}),
        )
    return of_file(file)


def _frames(name: str, variable: xr.Variable) -> Array:
    """``[frames, rows, columns]``, little-endian."""
    values = np.asarray(variable.values)
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > _WIDEST:
        raise BadSelection(f"{name} is of the type {values.dtype}; TIFF holds real numbers. Ask for nc4, h5 or json.")
    if not values.size:
        raise BadSelection(f"{name} has no value here, and a TIFF file has one pixel at least. Ask for nc4, h5 or npy.")
    values = values.astype(np.uint8) if values.dtype.kind == "b" else values
    rows, columns = (1, 1, *values.shape)[-_IMAGE:]
    return np.ascontiguousarray(values.reshape(-1, rows, columns), values.dtype.newbyteorder("<"))


def _description(shape: tuple[int, ...], down: Pixel, across: Pixel) -> str:
    units: dict[str, Any] = {"unit": in_ascii(across.units)} | (
        {"yunit": in_ascii(down.units)} if down.units != across.units else {}
    )
    return imagej_description(shape, "ZYX", **units)


def _info(name: str, dataset: xr.Dataset) -> str:
    return written({"variable": name, **described(dataset)}, indent=1).decode()


def _deflated(frames: Array) -> dict[str, Any]:
    return {"compression": "adobe_deflate", "predictor": _predictor(frames.dtype), "rowsperstrip": _rows(frames)}


def _predictor(dtype: np.dtype[Any]) -> int:
    """TIFF 6.0, section 14, and Adobe's Technical Note 3 for floats: differences compress better than values."""
    return _OF_FLOATS if dtype.kind == "f" else _OF_INTEGERS if dtype.itemsize <= 4 else _NONE  # noqa: PLR2004 — bytes


def _rows(frames: Array) -> int:
    return max(1, _STRIP // (int(frames.shape[-1]) * frames.itemsize))


def _strips(frames: Array) -> Iterator[bytes]:
    """What tifffile takes for compressed strips: by ISA-L, for zlib takes ten times as long."""
    differences = _DIFFERENCES[_predictor(frames.dtype)]
    step = _rows(frames)
    for frame in frames:
        for start in range(0, len(frame), step):
            yield isal_zlib.compress(differences(frame[start : start + step]).data.cast("B"), _LEVEL)


def _between_integers(rows: Array) -> Array:
    differences = rows.copy()
    np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])
    return differences


def _between_floats(rows: Array) -> Array:
    """The differences of bytes, those that weigh most first, then the next, along each row."""
    count, columns = rows.shape
    bytes_ = rows.astype(rows.dtype.newbyteorder(">")).view(np.uint8).reshape(count, columns, rows.itemsize)
    return _between_integers(np.ascontiguousarray(bytes_.transpose(0, 2, 1)).reshape(count, -1))


_DIFFERENCES: Final[Mapping[int, Callable[[Array], Array]]] = {
    _NONE: lambda rows: rows,
    _OF_INTEGERS: _between_integers,
    _OF_FLOATS: _between_floats,
}
