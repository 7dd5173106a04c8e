"""Zarr in a ZIP file: zarr-python, xarray and zipfile read what is written."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.strategies import CountingSource, make_numbered
from zarr.storage import ZipStore

from shotdap.catalog.readers.lazy import create_lazy_variable
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.encoders.zarr_zip import encode
from shotdap.server.pictures.levels import Display
from shotdap.transforms import BadSelection


def write_zip(dataset: xr.Dataset) -> bytes:
    encoded = encode(dataset)
    whole = b"".join(map(bytes, encoded.blocks))
    assert len(whole) == encoded.size
    return whole


def make_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "image": (("y", "x"), make_numbered(3, 4), {"units": "count"}),
            "names": ("n", np.array(["one", "µm"])),
            "shift": ((), np.float32(0.1)),
            "nothing": ("z", np.empty(0, "f8")),
        },
        attrs={"shot": 62328},
    )


def test_round_trip(tmp_path: Path) -> None:
    """``xr.open_zarr`` of a ZipStore opens the file, with equal values and attributes."""
    path = tmp_path / "image.zarr.zip"
    path.write_bytes(write_zip(make_dataset()))
    with ZipStore(path, mode="r") as store, xr.open_zarr(store, chunks=None) as read:
        xr.testing.assert_identical(read.load(), make_dataset().assign(names=make_dataset()["names"].astype(object)))


def test_groups(tmp_path: Path) -> None:
    """A name with slashes becomes a group in the file."""
    path = tmp_path / "shot.zarr.zip"
    path.write_bytes(write_zip(xr.Dataset({"asbo1/image": (("asbo1/y", "asbo1/x"), make_numbered(3, 4))})))
    with ZipStore(path, mode="r") as store:
        tree = xr.open_datatree(store, engine="zarr", chunks=None)  # type: ignore[arg-type]  # its annotation knows no store
        np.testing.assert_array_equal(tree["asbo1/image"].values, make_numbered(3, 4))


def test_a_plain_zip_file() -> None:
    """Every member of the ZIP file is intact and uncompressed; the same dataset gives the same bytes."""
    whole = write_zip(make_dataset())
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}

    assert write_zip(make_dataset()) == whole


def test_chunk_after_chunk() -> None:
    """A chunk is read only when it is written."""
    source = CountingSource(np.zeros((3, 300, 300), "u2"))
    encoded = encode(xr.Dataset({"image": create_lazy_variable(("t", "y", "x"), source, {})}))
    assert source.reads == []

    seen = [len(source.reads) for _ in encoded.blocks]

    assert sorted(set(seen)) == [0, 1, 2, 3]


def test_too_much() -> None:
    """A dataset too large for a plain ZIP file is refused before anything is read, with an alternative."""
    source = CountingSource(np.broadcast_to(np.uint16(0), (1 << 16, 1 << 15)))
    great = xr.Dataset({"image": create_lazy_variable(("y", "x"), source, {})})

    with pytest.raises(BadSelection, match=r"4\.0 GiB, and a ZIP file of one answer holds 2 GiB"):
        encode(great)
    assert source.reads == []


def test_the_table_of_formats() -> None:
    """The format ``zarr`` is this encoder, and the media type of its files is that of ZIP."""
    format_ = FORMATS["zarr"]

    assert (format_.media_type, format_.extension) == ("application/zip", ".zarr.zip")
    assert b"".join(map(bytes, format_.encode(make_dataset(), Display()).blocks)) == write_zip(make_dataset())
