"""MAT files, as SciPy and Octave read them."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.io import loadmat
from tests.contracts.encoder import NUMBERS, ExactContract, make_dataset

from shotdap.server.encoders import matlab

Array = NDArray[Any]


def load(dataset: xr.Dataset) -> dict[str, Any]:
    found: dict[str, Any] = loadmat(io.BytesIO(b"".join(matlab.encode(dataset).blocks)), simplify_cells=True)
    return found


class TestMatlab(ExactContract):
    name = "mat"
    dimensions = (2, 3)  # MATLAB has no others
    refused: ClassVar[Mapping[str, xr.Dataset]] = {
        "more than 2 GiB": xr.Dataset({"v": (("y", "x"), np.broadcast_to(np.zeros(1, "f8"), (2**14, 2**14)))}),
        "records": xr.Dataset({"a": ("n", np.zeros(2, "u1,f4"))}),
    }

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        def read(whole: bytes) -> Array:
            return np.asarray(loadmat(io.BytesIO(whole))["result"])

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            found = loadmat(io.BytesIO(whole), simplify_cells=True)["attributes"]
            return {**found["dataset"], **found["result"]}

        return read


def test_types() -> None:
    """Types are kept, except that half floats become single ones, and flags become MATLAB's logical."""
    for kind in NUMBERS:
        found = loadmat(io.BytesIO(b"".join(matlab.encode(make_dataset(np.ones((2, 3), kind))).blocks)))["result"]
        assert found.dtype == {"f2": np.dtype("f4"), "?": np.dtype("u1")}.get(kind, np.dtype(kind))


def test_complex_numbers() -> None:
    """Complex numbers survive a round trip."""
    values = np.array([[1 + 2j, -3.5j]])

    np.testing.assert_array_equal(load(xr.Dataset({"z": (("y", "x"), values)}))["z"], values[0])


def test_shapes() -> None:
    """A variable of one dimension is a column, a scalar is a number, and an empty one keeps its shape."""
    dataset = xr.Dataset({"line": ("x", np.arange(3)), "gain": ((), 2.5), "empty": (("y", "n"), np.empty((4, 0)))})
    found = loadmat(io.BytesIO(b"".join(matlab.encode(dataset).blocks)))

    assert (found["line"].shape, found["gain"].shape, found["empty"].shape) == ((3, 1), (1, 1), (4, 0))


def test_names() -> None:
    """Names are changed to valid, unique names of MATLAB, and the original names are recorded."""
    names = ["image", "end", "_x", "7", "a/b", "a_b", "attributes", "x" * 70, "x" * 71]
    found = load(xr.Dataset({name: ((), number) for number, name in enumerate(names)}))
    numbers = {name: value for name, value in found.items() if isinstance(value, int)}
    told = {found["attributes"][name].get("original_name", name): value for name, value in numbers.items()}

    assert told == {name: number for number, name in enumerate(names)}
    assert found["a_b"] == 5
    assert max(map(len, found)) <= 63


def test_texts() -> None:
    """Texts are cells of text, and so are attributes of several texts."""
    dataset = xr.Dataset({"words": ("n", np.array(["short", "", "µm"]))}, attrs={"list": ["one", "two"], "one": "µm"})
    found = load(dataset)

    assert [str(word).strip() if len(word) else "" for word in found["words"]] == ["short", "", "µm"]
    said = found["attributes"]["dataset"]
    assert (list(said["list"]), said["one"].strip()) == (["one", "two"], "µm")


def test_octave(tmp_path: Path, require: Callable[[str], None]) -> None:
    """Octave reads numbers, their types, units, and names of dimensions."""
    require("octave-cli")
    path = tmp_path / "image.mat"
    values = np.array([[0, 65535, 3], [4, 5, 6]], "u2")
    dataset = make_dataset(values).assign(
        floats=("x", np.array([np.nan, -np.inf, 0.1])), big=((), np.uint64(2**64 - 1))
    )
    dataset.attrs["note"] = "µm ≤ 3"
    path.write_bytes(b"".join(matlab.encode(dataset).blocks))
    script = f"""
        s = load('{path}');
        assert(class(s.result), 'uint16'); assert(double(s.result), [0 65535 3; 4 5 6]);
        assert(s.floats, [NaN; -Inf; 0.1]); assert(s.big == intmax('uint64'));
        assert(s.attributes.result.units, 'count'); assert(s.attributes.dataset.shot, int32(62328));
        assert(s.attributes.result.dimensions, {{'y'; 'x'}});
        printf('%s', s.attributes.dataset.note);
    """
    ran = subprocess.run(["octave-cli", "--no-gui", "--eval", script], check=True, capture_output=True, timeout=60)

    assert ran.stdout.decode() == "µm ≤ 3"
