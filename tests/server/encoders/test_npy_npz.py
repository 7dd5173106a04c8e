"""NPY and NPZ files, as NumPy reads them without pickles."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from tests.contracts.encoder import ExactContract, make_dataset, make_extremes

from shotdap.server.encoders import npy, npz
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.pictures.levels import Display

Array = NDArray[Any]


def load(whole: bytes) -> Any:  # noqa: ANN401 — an array, or an archive of them
    return np.load(io.BytesIO(whole), allow_pickle=False)


class TestNpy(ExactContract):
    name = "npy"
    tells = False
    refused: ClassVar[Mapping[str, xr.Dataset]] = {
        "two": xr.Dataset({"a": ((), 1), "b": ((), 2)}),
        "none": xr.Dataset(),
        "pickles": xr.Dataset({"a": ("n", np.zeros(2, "u1,f4"))}),
    }

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        return load


class TestNpz(ExactContract):
    name = "npz"

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        def read(whole: bytes) -> Array:
            found: Array = load(whole)["result"]
            return found

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            document = json.loads(load(whole)["attributes.json"])
            return {**document["attributes"], **document["variables"]["result"]["attributes"]}

        return read


def test_no_copy() -> None:
    """The bytes of an NPY file are those of the array, not a copy."""
    values = np.arange(12, dtype="u2").reshape(3, 4)
    _, *blocks = npy.encode(make_dataset(values)).blocks

    assert [np.shares_memory(np.frombuffer(block, "u1"), values) for block in blocks] == [True]


def test_types_stay() -> None:
    """The numbers keep their type and their byte order."""
    for kind in (">u2", "<f4", "i8"):
        assert load(b"".join(npy.encode(make_dataset(make_extremes(kind))).blocks)).dtype == np.dtype(kind)


def test_complex_numbers() -> None:
    """Complex numbers survive in both formats."""
    values = np.array([1 + 2j, complex(np.nan, np.inf), -0.0j])
    dataset = xr.Dataset({"z": ("n", values)})

    np.testing.assert_array_equal(load(b"".join(npy.encode(dataset).blocks)), values)
    np.testing.assert_array_equal(load(b"".join(npz.encode(dataset).blocks))["z"], values)


def test_texts() -> None:
    """Text survives, whichever of NumPy's types it has."""
    texts = ["short", "", "µm ≤ 3"]
    for values in (np.array(texts), np.array(texts, object), np.array(texts, np.dtypes.StringDType())):
        whole = b"".join(npy.encode(xr.Dataset({"words": ("n", values)})).blocks)
        assert load(whole).tolist() == texts


def test_names_with_slashes() -> None:
    """A variable of a group is found by its name; empty and scalar ones keep their shapes."""
    dataset = xr.Dataset({"DATA/SHOT/image": (("y", "x"), np.ones((2, 0))), "gain": ((), 2.5)})
    archive = load(b"".join(npz.encode(dataset).blocks))

    assert archive["DATA/SHOT/image"].shape == (2, 0)
    assert (archive["gain"].shape, archive["gain"][()]) == ((), 2.5)
    assert json.loads(archive["attributes.json"])["variables"]["DATA/SHOT/image"]["dimensions"] == ["y", "x"]


def test_same_file_later() -> None:
    """A later file of the same dataset has the same bytes in every format, so that a download can be resumed."""
    image, line = make_dataset(np.arange(12, dtype="u2").reshape(3, 4)), make_dataset(np.arange(4.0))
    given = {name: line if each.content_kind == "lineout" else image for name, each in FORMATS.items()}
    first = {name: b"".join(FORMATS[name].encode(dataset, Display()).blocks) for name, dataset in given.items()}
    time.sleep(2.1)  # dates in ZIP archives have a resolution of two seconds
    again = {name: b"".join(FORMATS[name].encode(dataset, Display()).blocks) for name, dataset in given.items()}

    assert again == first
