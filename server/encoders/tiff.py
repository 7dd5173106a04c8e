"""TIFF: the frames of one variable as pages, their numbers unchanged, by tifffile.

Any integer or float of 8 to 64 bits, each page one frame; a variable of one dimension is one row. Booleans become
uint8, 0 and 1. The description is in ImageJ's own format: the number of frames, and, if the steps of coordinates are
constant, the size of a pixel and its units (``unit``, ``yunit``; the resolution is in pixels per unit, as in ImageJ).
All attributes of the dataset are in JSON under ``Info``, which ImageJ shows by *Show Info*, and tifffile as
``TiffFile(…).imagej_metadata["Info"]``.

Not OME-XML: pixels there have lengths only, and those of a streak are in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from isal import isal_zlib
from numpy.typing import NDArray
from tifffile import TiffWriter, imagej_description, imagej_metadata_tag

from shotdap import __version__
from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.encoders.json_values import describe_dataset, dump_json
from shotdap.server.encoders.one_variable import get_single_variable
from shotdap.server.pictures.ascii_text import convert_to_ascii
from shotdap.server.pictures.pixel_size import find_pixel_size
from shotdap.transforms import BadSelection

Array: TypeAlias = NDArray[Any]

_IMAGE_DIMENSIONS: Final = 2
_MAX_ITEMSIZE: Final = 8  # bytes of a number
_NO_PREDICTOR, _INTEGER_PREDICTOR = 1, 2
_MAX_PREDICTED_SIZE: Final = 4  # bytes of an integer
_MAX_CLASSIC_SIZE: Final = 2**32 - 2**24  # bytes of a file whose offsets have 32 bits
_STRIP_SIZE: Final = 256 * 1024  # bytes that are compressed together
_COMPRESSION_LEVEL: Final = 1  # of ISA-L's deflate: 27 ms for 8 MiB, where zlib's 6 takes 656 for two hundredths less


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode the only variable as an uncompressed TIFF file; see `Encoder`."""
    return _encode_tiff(dataset, is_deflated=False)


def encode_deflated(dataset: xr.Dataset) -> EncodedFile:
    """Encode the only variable as a TIFF file with deflated differences; see `Encoder`."""
    return _encode_tiff(dataset, is_deflated=True)


def _encode_tiff(dataset: xr.Dataset, *, is_deflated: bool) -> EncodedFile:
    name, variable = get_single_variable(dataset, "A TIFF file holds")
    values = np.asarray(variable.values)
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > _MAX_ITEMSIZE:
        raise BadSelection(f"{name} is of the type {values.dtype}; TIFF holds real numbers. Ask for nc4, h5 or json.")
    if not values.size:
        raise BadSelection(f"{name} has no value here, and a TIFF file has one pixel at least. Ask for nc4, h5 or npy.")
    values = values.astype(np.uint8) if values.dtype.kind == "b" else values
    rows, columns = (1, 1, *values.shape)[-_IMAGE_DIMENSIONS:]
    frames: Array = np.ascontiguousarray(values.reshape(-1, rows, columns), values.dtype.newbyteorder("<"))
    down, across = (find_pixel_size(dataset, axis) for axis in (None, None, *variable.dims)[-_IMAGE_DIMENSIONS:])
    units: dict[str, Any] = {"unit": convert_to_ascii(across.units)}
    if down.units != across.units:
        units["yunit"] = convert_to_ascii(down.units)
    info = dump_json({"variable": name, **describe_dataset(dataset)}, indent=1).decode()
    # Differences of integers compress better: TIFF 6.0, section 14. Those of floats, of Adobe's Technical Note 3, need
    # a further package in tifffile, here and for whoever reads the file.
    has_differences = frames.dtype.kind != "f" and frames.itemsize <= _MAX_PREDICTED_SIZE
    predictor = _INTEGER_PREDICTOR if has_differences else _NO_PREDICTOR
    strip_rows = max(1, _STRIP_SIZE // (columns * frames.itemsize))
    compression: dict[str, Any] = {
        "compression": "adobe_deflate",
        "predictor": predictor,
        "rowsperstrip": strip_rows,
    }
    file = BytesIO()
    with TiffWriter(file, bigtiff=frames.nbytes > _MAX_CLASSIC_SIZE, byteorder="<") as tiff:
        tiff.write(
            _compress_strips(frames, predictor, strip_rows) if is_deflated else frames,
            shape=frames.shape,
            dtype=frames.dtype,
            photometric="minisblack",
            description=imagej_description(frames.shape, "ZYX", **units),
            extratags=imagej_metadata_tag({"Info": info}, "<"),
            resolution=(1 / across.size, 1 / down.size),
            resolutionunit="NONE",
            software=f"shotdap {__version__}",
            metadata=None,
            **(compression if is_deflated else {}),
        )
    return wrap_file(file)


def _compress_strips(frames: Array, predictor: int, strip_rows: int) -> Iterator[bytes]:
    """Yield compressed strips for tifffile, by ISA-L: zlib takes ten times as long."""
    for frame in frames:
        for start in range(0, len(frame), strip_rows):
            rows = frame[start : start + strip_rows]
            if predictor != _NO_PREDICTOR:
                differences = rows.copy()
                np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])
                rows = differences
            yield isal_zlib.compress(rows.data.cast("B"), _COMPRESSION_LEVEL)
