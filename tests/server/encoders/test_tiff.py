"""TIFF files: the numbers as tifffile and Pillow read them, the calibration as in ImageJ."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from tests.contracts.encoder import ExactContract, make_dataset
from tifffile import TiffFile

from shotdap.server.encoders import tiff

Array = NDArray[Any]


def open_tiff(dataset: xr.Dataset) -> TiffFile:
    return TiffFile(io.BytesIO(b"".join(tiff.encode(dataset).blocks)))


class TestTiff(ExactContract):
    name = "tiff"
    refused: ClassVar[Mapping[str, xr.Dataset]] = {
        "text": xr.Dataset({"words": ("n", np.array(["a", "b"]))}),
        "complex": xr.Dataset({"z": ("n", np.zeros(2, "c8"))}),
        "empty": xr.Dataset({"v": (("y", "x"), np.zeros((0, 3)))}),
        "two": xr.Dataset({"a": ("x", [1]), "b": ("x", [2])}),
    }

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        """Read numbers with tifffile; one dimension is an image of one row, a scalar one pixel."""

        def read(whole: bytes) -> Array:
            with TiffFile(io.BytesIO(whole)) as file:
                shape = json.loads(file.imagej_metadata["Info"])["variables"]["result"]["shape"]  # type: ignore[index]
                return np.stack([page.asarray() for page in file.pages]).reshape(shape)

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            with TiffFile(io.BytesIO(whole)) as file:
                document = json.loads(file.imagej_metadata["Info"])  # type: ignore[index]
            return {**document["attributes"], **document["variables"]["result"]["attributes"]}

        return read


class TestDeflatedTiff(TestTiff):
    name = "tiff_deflated"


@pytest.mark.parametrize("encode", [tiff.encode, tiff.encode_deflated])
@pytest.mark.parametrize("kind", ["?", "u1", "u2", ">u2", "i2", "i4", "f4"])
def test_pillow(encode: Callable[[xr.Dataset], Any], kind: str) -> None:
    """Pillow reads every frame of its types, compressed or not."""
    written = np.random.default_rng(0).normal(100, 60, (2, 300, 200)).astype(kind)
    image = Image.open(io.BytesIO(b"".join(encode(make_dataset(written)).blocks)))
    for number, frame in enumerate(written):
        image.seek(number)
        np.testing.assert_array_equal(np.asarray(image), frame)


def test_deflated_is_smaller() -> None:
    """Deflated, an image with little noise takes less than half of its bytes."""
    rows = np.random.default_rng(0).poisson(np.full((200, 300), 20)).astype("f4")

    assert tiff.encode_deflated(make_dataset(rows)).size < rows.nbytes / 2


def test_frames_lie_together() -> None:
    """The frames of an uncompressed stack follow one another without gaps, as ImageJ expects."""
    with open_tiff(make_dataset(np.zeros((3, 7, 9), "u2"))) as file:
        offsets = [page.dataoffsets[0] for page in file.pages]

        assert np.diff(offsets).tolist() == [7 * 9 * 2] * 2
        assert (file.is_imagej, file.imagej_metadata["images"]) == (True, 3)  # type: ignore[index]


def test_calibration() -> None:
    """If coordinates are evenly spaced, their step and units are the pixel size; otherwise pixels are counted."""
    dataset = make_dataset(np.zeros((3, 4), "u2")).assign_coords(
        x=("x", np.arange(4) * 9.0, {"units": "µm"}), time=("y", -np.arange(3) * 0.25, {"units": "ns"}),
        y=("y", np.arange(3), {"units": "pixel"}),
    )  # fmt: skip
    with open_tiff(dataset) as file:
        metadata, page = file.imagej_metadata, file.pages.first
        assert (metadata["unit"], metadata["yunit"]) == ("um", "ns")  # type: ignore[index]
        assert page.resolution == pytest.approx((1 / 9, 4))
        assert page.resolutionunit == 1
    uneven = dataset.assign_coords(x=("x", np.arange(4) ** 2.0, {"units": "µm"}))
    with open_tiff(uneven) as file:
        assert file.imagej_metadata["unit"] == "pixel"  # type: ignore[index]
        assert file.pages.first.resolution == pytest.approx((1, 4))
