"""JSON documents and CSV tables, read by strict parsers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from tests.contracts.encoder import INTEGERS, ExactContract, make_dataset

from shotdap.server.encoders import csv_table, json_dataset
from shotdap.transforms import BadSelection

Array = NDArray[Any]


def refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def make_document(dataset: xr.Dataset) -> Any:  # noqa: ANN401 — JSON
    return parse_strictly(b"".join(json_dataset.encode(dataset).blocks))


def parse_strictly(whole: bytes) -> Any:  # noqa: ANN401 — JSON
    return json.loads(whole, parse_constant=refuse_constant)


class TestJson(ExactContract):
    name = "json"
    keeps_nan_sign = False
    refused: ClassVar[Mapping[str, xr.Dataset]] = {
        "too much": xr.Dataset({"v": ("x", np.broadcast_to(np.zeros(1, "u1"), (1 << 24) + 1))})
    }

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        """Read numbers as NumPy converts the lists, whether they contain numbers or texts."""

        def read(whole: bytes) -> Array:
            found = parse_strictly(whole)["variables"]["result"]
            return np.array(found["values"], found["dtype"]).reshape(found["shape"])

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            found = parse_strictly(whole)
            return {**found["attributes"], **found["variables"]["result"]["attributes"]}

        return read


class TestCsv(ExactContract):
    name = "csv"
    keeps_nan_sign = False
    kinds = ("?", *INTEGERS, "f2", "f4", "f8")
    dimensions = (1,)
    refused: ClassVar[Mapping[str, xr.Dataset]] = {
        "image": make_dataset(np.ones((2, 3))),
        "two lengths": xr.Dataset({"a": ("x", [1]), "b": ("y", [2])}),
        "scalar": xr.Dataset({"a": ((), 1)}),
        "complex": xr.Dataset({"z": ("n", np.zeros(2, "c8"))}),
        "too much": xr.Dataset({"v": ("x", np.broadcast_to(np.zeros(1, "u1"), (1 << 24) + 1))}),
    }

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        def read(whole: bytes) -> Array:
            table = csv.DictReader(line for line in io.StringIO(whole.decode()) if not line.startswith("#"))
            texts = [row["result"] for row in table]
            return np.array(
                [int(text) if text.lstrip("-").isdecimal() else float(text) for text in texts], find_type(texts)
            )

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            lines = [line[2:].split(": ", 1) for line in whole.decode().splitlines() if line.startswith("#")]
            return {name.removeprefix("result."): parse_strictly(value.encode()) for name, value in lines}

        return read


def find_type(texts: list[str]) -> str:
    """Return a type that holds the numbers of a column exactly."""
    if not all(text.lstrip("-").isdecimal() for text in texts):
        return "f8"
    return "u8" if all(int(text) >= 0 for text in texts) else "i8"


def test_values_that_json_lacks() -> None:
    """NaN, infinities, integers beyond 2**53, dates, bytes and complex numbers are written as the page documents."""
    dataset = xr.Dataset(
        {
            "floats": ("n", np.array([np.nan, np.inf, -np.inf, -0.0, 0.1])),
            "single": ((), np.float32(0.1)),
            "ints": ("n", np.array([2**53 - 1, 2**53, -(2**53), 0, 1])),
            "dates": ("m", np.array(["2011-05-19T10:41:07.300", "NaT"], "M8[ms]")),
            "texts": ("m", np.array(["µm", b"\xff"], object)),
            "complex": ((), 1 - 2j),
        },
        attrs={"bytes": b"\xff", "flag": True, "big": 2**60, "nothing": None, "nan": np.float32("nan")},
    )
    found = {name: each["values"] for name, each in make_document(dataset)["variables"].items()}

    assert found["floats"] == ["NaN", "Infinity", "-Infinity", 0, 0.1]
    assert str(found["floats"][3]) == "-0.0"
    assert found["single"] == 0.10000000149011612
    assert found["ints"] == [2**53 - 1, "9007199254740992", "-9007199254740992", 0, 1]
    assert found["dates"] == ["2011-05-19T10:41:07.300", None]
    assert found["texts"] == ["µm", "\\xff"]
    assert found["complex"] == [1, -2]
    assert make_document(dataset)["attributes"] == {
        "bytes": "\\xff", "flag": True, "big": "1152921504606846976", "nothing": None, "nan": "NaN",
    }  # fmt: skip


def test_one_document() -> None:
    """A document has dimensions, types, coordinates, and values in rows; also if they are empty."""
    found = make_document(
        make_dataset(np.arange(6, dtype=">u2").reshape(2, 3)).assign(empty=("none", np.empty(0, "f4")))
    )

    assert found["dimensions"] == {"y": 2, "x": 3, "none": 0}
    assert found["coordinates"] == ["y", "x"]
    assert found["variables"]["result"]["dtype"] == "uint16"
    assert found["variables"]["result"]["values"] == [[0, 1, 2], [3, 4, 5]]
    assert found["variables"]["empty"]["values"] == []


@pytest.mark.parametrize("shape", [(1, 300, 300), (70_001,), (3, 70_000), (2, 2, 20_000)])
def test_large_documents(shape: tuple[int, ...]) -> None:
    """An array that is written part by part gives the same document."""
    written = np.random.default_rng(0).integers(0, 1000, shape)

    assert make_document(make_dataset(written))["variables"]["result"]["values"] == written.tolist()


def test_a_table() -> None:
    """A table has the layout of the page: attributes, columns, the coordinate first, numbers with the fewest digits."""
    dataset = xr.Dataset(
        {"lineout": ("x", np.array([0.1, np.nan, -np.inf]), {"units": "count"}), "gain": ((), 2.5)},
        coords=xr.Coordinates({"x": ("x", np.arange(3), {"units": "mm"})}, indexes={}),
        attrs={"shot": 62328},
    )

    assert b"".join(csv_table.encode(dataset).blocks).decode() == (
        '# shot: 62328\n# lineout.units: "count"\n# gain: 2.5\n# x.units: "mm"\n'
        '"x","lineout"\n0,0.1\n1,NaN\n2,-Infinity\n'
    )  # fmt: skip


def test_columns_of_text() -> None:
    """Text is quoted, with its commas, quotes and line feeds; dates are ISO 8601."""
    texts = ["plain", 'a "quoted", one', "# two\nlines", ""]
    dataset = xr.Dataset({"words": ("n", np.array(texts)), "when": ("n", np.array(["2011-05-19"] * 4, "M8[s]"))})
    rows = list(csv.DictReader(io.StringIO(b"".join(csv_table.encode(dataset).blocks).decode(), newline="")))

    assert [row["words"] for row in rows] == texts
    assert rows[0]["when"] == "2011-05-19T00:00:00"


def test_refusal_of_an_image() -> None:
    """The refusal of an image as a table says what the variable is, and which request is possible."""
    with pytest.raises(BadSelection, match=r"result: y, x.*one row or column"):
        csv_table.encode(make_dataset(np.ones((2, 3))))
