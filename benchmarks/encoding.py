"""Encode images in every format, and the same numbers by plain calls of libraries; print the sizes of the files.

A plain call writes only the numbers: none of the attributes, axes and provenance that shotdap adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias

import h5py
import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from measuring import Case, Contender, Mismatch, Plan, repeat
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.pictures.levels import Display, compute_picture

__all__ = ["cases"]

Array: TypeAlias = NDArray[Any]
Plainly: TypeAlias = tuple[str, Callable[[Array], bytes]]
"""A library, and a function that encodes an array with it."""

_SIDE: Final = 2048
_SHOWN: Final = {
    "": Display(),
    ", 16 bits": Display(bits=16),
    ", viridis with bars": Display(colours="viridis", colour_bar=True, scale_bar=True),
    ", 256 pixels": Display(size=256),
}
"""The displays of the pictures, by the suffix of the case's name."""


@contextmanager
def cases(_folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Yield a case for each format and type; lineouts have one row."""
    side = _SIDE // plan.shrink
    yield [
        case
        for kind in ("uint16", "float32")
        for case in _list_cases(f"{side} x {side} {kind}", _make_image(side).astype(kind))
    ]


def _make_image(side: int) -> Array:
    """Return an image of a bright spot on a background, with Poisson noise."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    noisy: Array = np.random.default_rng(0).poisson(400 + 3000 * np.exp(-20 * (x**2 + y**2)))
    return noisy


def _list_cases(title: str, values: Array) -> Iterator[Case]:
    image = _make_dataset(("y", "x"), values)
    for name, each in FORMATS.items():
        if each.content_kind == "lineout":
            yield _make_case(f"{title}: {name}, one row", name, _make_dataset(("x",), values[0]), Display())
            continue
        for how, display in _SHOWN.items() if each.content_kind == "picture" else [("", Display())]:
            if display.bits == 8 or name == "png":  # noqa: PLR2004 — JPEG has no more
                yield _make_case(f"{title}: {name}{how}", name, image, display, _PLAIN.get(f"{name}{how}"))


def _make_dataset(dimensions: tuple[str, ...], values: Array) -> xr.Dataset:
    coordinates = {
        name: xr.Variable(name, np.arange(size, dtype="i4"), {"units": "pixel"})
        for name, size in zip(dimensions, values.shape, strict=True)
    }
    return xr.Dataset(
        {"image": (dimensions, values, {"units": "count"})}, coords=xr.Coordinates(coordinates, indexes={})
    )


def _make_case(title: str, name: str, dataset: xr.Dataset, display: Display, plainly: Plainly | None = None) -> Case:
    def encode() -> list[bytes | memoryview]:
        return list(FORMATS[name].encode(dataset, display).blocks)

    values = dataset["image"].values
    size = FORMATS[name].encode(dataset, display).size
    if sum(map(len, encode())) != size:
        raise Mismatch(f"{title}: the file has not the size that it says.")
    print(f"{title}: {size / 1e6:.2f} MB", flush=True)
    contenders = [Contender("shotdap", repeat(encode))]
    if plainly is not None:
        library, write = plainly
        contenders.append(Contender(library, repeat(lambda: write(values))))
    return Case(title, tuple(contenders))


def _encode_tiff(values: Array, **how: Any) -> bytes:  # noqa: ANN401 — the library's options
    file = BytesIO()
    tifffile.imwrite(file, values, **how)
    return file.getvalue()


def _encode_hdf5(values: Array) -> bytes:
    file = BytesIO()
    with h5py.File(file, "w") as root:
        root["image"] = values
    return file.getvalue()


def _encode_mat(values: Array) -> bytes:
    file = BytesIO()
    savemat(file, {"image": values})
    return file.getvalue()


def _encode_by_numpy(save: Callable[..., None], values: Array) -> bytes:
    file = BytesIO()
    save(file, values)
    return file.getvalue()


def _encode_picture(values: Array, kind: str, display: Display) -> bytes:
    file = BytesIO()
    levels = compute_picture(xr.Variable(("y", "x"), values), display).levels
    Image.fromarray(levels).save(file, kind)
    return file.getvalue()


_PLAIN: Final[dict[str, Plainly]] = {
    "h5": ("h5py", _encode_hdf5),
    "tiff": ("tifffile", _encode_tiff),
    "tiff_deflated": ("tifffile", lambda values: _encode_tiff(values, compression="zlib", predictor=True)),
    "mat": ("SciPy", _encode_mat),
    "npy": ("NumPy", lambda values: _encode_by_numpy(np.save, values)),
    "npz": ("NumPy", lambda values: _encode_by_numpy(np.savez, values)),
    "png": ("Pillow", lambda values: _encode_picture(values, "PNG", Display())),
    "png, 16 bits": ("Pillow", lambda values: _encode_picture(values, "PNG", Display(bits=16))),
    "jpeg": ("Pillow", lambda values: _encode_picture(values, "JPEG", Display())),
}
"""The plain calls of libraries, by format and display."""
