"""JSON documents: images and facts of a shot, with the liberties that programs take."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.catalog.readers.recorder import Recorder

from shotdap.catalog import Unreadable
from shotdap.catalog.readers import detect_format, json_document, read

FRAMES = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 2500


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], Path]:
    """A function that writes a document, given as Python objects or as text."""

    def write_document(document: object) -> Path:
        path = tmp_path / "image.hdf"
        path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
        return path

    return write_document


def encode_base64(dtype: str) -> dict[str, Any]:
    content = base64.b64encode(FRAMES.astype(dtype).tobytes()).decode()
    return {"data": content, "dtype": dtype, "shape": [2, 3, 4]}


class TestImages:
    def test_nested_lists(self, write: Callable[[object], Path]) -> None:
        """Nested lists are arrays, named by their path."""
        found = read(write({"camera": {"frames": FRAMES.tolist()}, "dark": [[1, 2], [3, 4]]}))

        assert np.array_equal(found["camera/frames"].values, FRAMES)
        assert found["camera/frames"].dtype == np.int32
        assert found["dark"].values.tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize("dtype", ["uint16", "<u2", ">u2", "int32", "float64"])
    def test_base64(self, write: Callable[[object], Path], dtype: str) -> None:
        """Packed bytes are numbers of the given type and shape."""
        found = read(write({"image": {**encode_base64(dtype), "units": "counts"}}))["image"]

        assert np.array_equal(found.values, FRAMES)
        assert found.dtype == np.dtype(dtype).newbyteorder("=")
        assert found.attrs == {"units": "counts"}

    def test_the_document_is_an_image(self, write: Callable[[object], Path]) -> None:
        """A document that is an image, in either form, has the array image; the rest are facts of the shot."""
        assert read(write([[1.5, 2], [3, 4]]))["image"].values.tolist() == [[1.5, 2], [3, 4]]
        found = read(write({"data": FRAMES.tolist(), "dtype": "uint16", "dims": ["frame", "y", "x"], "shot": 7}))

        assert found["image"].dims == ("frame", "y", "x")
        assert found["image"].dtype == np.uint16
        assert found.attrs == {"shot": 7}

    def test_coordinates(self, write: Callable[[object], Path]) -> None:
        """An array along the dimension of its own name is a coordinate; invalid dims are ignored."""
        found = read(
            write(
                {
                    "t": {"data": [0.0, 0.5, 1.0], "dims": ["t"], "attrs": {"units": "ns"}},
                    "trace": {"data": [1, 2, 3], "dims": ["t"]},
                    "other": {"data": [1, 2], "dims": ["t"]},
                }
            )
        )

        assert set(found.coords) == {"t"}
        assert found["t"].attrs == {"units": "ns"}
        assert (found["trace"].dims, found["other"].dims) == (("t",), ("other_0",))

    def test_special_numbers(self, write: Callable[[object], Path]) -> None:
        """NaN, infinities, null and numbers written as text become numbers, with a note."""
        found = read(write('{"a": [[NaN, -Infinity], ["3.5", null]], "b": [["1", "2"], ["NaN", "4"]], "c": [[1, 2]]}'))

        assert np.array_equal(found["a"].values, [[np.nan, -np.inf], [3.5, np.nan]], equal_nan=True)
        assert found["a"].attrs["note"] == "numbers written as text were read as numbers; null was read as NaN"
        assert np.array_equal(found["b"].values, [[1.0, 2.0], [np.nan, 4.0]], equal_nan=True)
        assert found["c"].attrs == {}

    @pytest.mark.parametrize(
        ("text", "dtype", "values", "note"),
        [
            ("[[1, 2147483647]]", "i4", [[1, 2147483647]], None),
            ("[[1, 2147483648]]", "i8", [[1, 2147483648]], None),
            ("[[18446744073709551615, 0], [9223372036854775808, 1]]", "u8", [[2**64 - 1, 0], [2**63, 1]], None),
            ('[["18446744073709551615", 0]]', "u8", [[2**64 - 1, 0]], "numbers written as text were read as numbers"),
            ("[[9223372036854775809, -1]]", "f8", [[2.0**63, -1.0]], "integers were rounded to float64"),
            ("[[18446744073709551617, 0.5]]", "f8", [[2.0**64, 0.5]], "integers were rounded to float64"),
            ("[[9223372036854775808, 0.5]]", "f8", [[2.0**63, 0.5]], None),
        ],
    )
    def test_integers(
        self, write: Callable[[object], Path], text: str, dtype: str, values: object, note: str | None
    ) -> None:
        """Integers have the first type that holds them all; if none does, a note says that they were rounded."""
        found = read(write(f'{{"a": {text}}}'))["a"]

        assert found.dtype == np.dtype(dtype)
        assert found.values.tolist() == values
        assert found.attrs.get("note") == note

    @pytest.mark.parametrize("dtype", ["int64", "uint64", "float32"])
    def test_integers_that_the_type_cannot_hold(self, write: Callable[[object], Path], dtype: str) -> None:
        """Numbers that their own `dtype` cannot hold are refused, also those that would become infinite."""
        numbers = [[1e300, 1.0]] if dtype == "float32" else [[2**63, -1]]

        with pytest.raises(Unreadable, match=f"that its type {dtype} cannot"):
            read(write({"a": {"data": numbers, "dtype": dtype}}))

    def test_great_attributes(self, write: Callable[[object], Path]) -> None:
        """Integers of attributes have a type that holds them; if none does, they become text."""
        found = read(
            write('{"one": 18446744073709551615, "greater": 18446744073709551616, "both": [9223372036854775809, -1]}')
        )

        assert (found.attrs["one"], found.attrs["one"].dtype) == (2**64 - 1, np.uint64)
        assert found.attrs["greater"] == "18446744073709551616"
        assert found.attrs["both"] == ["9223372036854775809", "-1"]

    def test_texts(self, write: Callable[[object], Path]) -> None:
        """A table of words is an array of texts."""
        assert read(write({"a": [["x", "1"], ["y", None]]}))["a"].values.tolist() == [["x", "1"], ["y", ""]]

    def test_nothing_is_parsed_twice(
        self, write: Callable[[object], Path], recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Arrays parsed on opening are cached."""
        found = read(write({"image": FRAMES.tolist()}), recorder)
        monkeypatch.setattr(json_document, "_parse_json", pytest.fail)

        assert np.array_equal(found["image"][1].values, FRAMES[1])

    @given(
        values=st.lists(
            st.lists(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False), min_size=2, max_size=2), min_size=1
        )
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
    def test_numbers(self, write: Callable[[object], Path], values: list[list[float]]) -> None:
        """Numbers are those that NumPy makes of Python's."""
        assert np.array_equal(read(write(values))["image"].values, np.array(values))


class TestShots:
    def test_attributes(self, write: Callable[[object], Path]) -> None:
        """Everything except arrays becomes an attribute, named by its path; text stays text."""
        document = {
            "shot": 103741,
            "target": {"gas": {"pressure": "3.5", "on": True}, "binning": [2, 2], "notes": ["a", "b"]},
            "beams": [{"energy": 1.5}, {"energy": 2.5}],
            "great": 2**70,
            "km/s": 1.0,
            "nothing": None,
            "half\ud800": "\udfff!",
        }
        found = read(write(document))

        assert not found.variables
        assert found.attrs["shot"] == 103741
        assert found.attrs["target/gas/pressure"] == "3.5"
        assert (found.attrs["target/gas/on"], found.attrs["flag_attributes"]) == (1, "target/gas/on")
        assert found.attrs["target/binning"].tolist() == [2, 2]
        assert found.attrs["target/notes"] == ["a", "b"]
        assert (found.attrs["beams/0/energy"], found.attrs["beams/1/energy"]) == (1.5, 2.5)
        assert found.attrs["great"] == str(2**70)
        assert found.attrs["km_s"] == 1
        assert found.attrs["half?"] == "?!"
        assert found.attrs["omitted"] == "nothing: empty"

    @pytest.mark.parametrize("text", ['\ufeff{"a": 1}', '\n\t {"a": 1}', "[1, 2]"])
    def test_sniff(self, write: Callable[[object], Path], text: str) -> None:
        """A document is recognised by its first non-blank character."""
        assert detect_format(write(text)) == "JSON"
        assert read(write(text)).attrs


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('{"a": [[1, 2], [3]]}', "array a is ragged"),
            ('{"a": 1', "begins like JSON but is none: expecting ',' delimiter in line 1, column 8"),
            ('{"a": 1, "a": 2}', "has 'a' twice"),
            ('{"a/b": [[1]], "a_b": [[2]]}', "two arrays that would have one name"),
            ("[" * 100_000, "nested too deeply"),
            ('{"data": "AAA=", "dtype": "u2", "shape": [2]}', "has 1 values, which its shape does not fit"),
            ('{"data": "????", "dtype": "u2", "shape": [2]}', "no base64"),
            ('{"data": "AAAA", "dtype": "object", "shape": [1]}', "type object, which is not read"),
            ('{"data": "AAAA", "dtype": "nonsense", "shape": [1]}', "of no known type"),
            ('{"data": [[1, 70000]], "dtype": "u2"}', "values that its type uint16 cannot"),
            ('{"data": [[1.5, 2]], "dtype": "u2"}', "values that its type uint16 cannot"),
            ('{"data": [[1, 2]], "dtype": "u2", "shape": [3]}', "shape does not fit"),
        ],
        ids=str,
    )
    def test_reasons(self, write: Callable[[object], Path], text: str, reason: str) -> None:
        """Contradictions are errors with a reason."""
        with pytest.raises(Unreadable, match=reason):
            read(write(text))

    def test_too_large(self, write: Callable[[object], Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """A document larger than the limit is not parsed."""
        monkeypatch.setattr(json_document, "_MAX_SIZE", 1 << 20)

        with pytest.raises(Unreadable, match="larger than 1 MiB"):
            read(write("[" + " " * (1 << 20) + "]"))

    def test_damage(self, write: Callable[[object], Path], survives: Callable[[Path], None]) -> None:
        """Damage is an error, or has no effect."""
        survives(write({"image": encode_base64("uint16"), "more": FRAMES.tolist(), "shot": {"number": 7, "name": "x"}}))
