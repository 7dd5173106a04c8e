"""Values as strict JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shotdap.server.protocols.plain import plain


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (None, None),
        (True, True),
        (np.True_, True),
        (2**63, 2**63),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.5), 0.5),
        (float("nan"), "NaN"),
        (np.float32("-inf"), "-Infinity"),
        (np.array([1, np.inf]), [1.0, "Infinity"]),
        (np.array([[1, 2]], "u2"), [[1, 2]]),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        (np.bytes_(b"abc"), "abc"),
        (np.array([b"a", b"\xfe"]), ["a", "\\xfe"]),
        (["one", b"two", 3], ["one", "two", 3]),
        (datetime(2022, 3, 24, 9, 26, 44, tzinfo=UTC), "2022-03-24T09:26:44+00:00"),
        (date(2022, 3, 24), "2022-03-24"),
        (np.datetime64("2022-03-24T09:26:44"), "2022-03-24T09:26:44"),
        (np.array(["2022-03-24", "NaT"], "M8[D]"), ["2022-03-24", "NaT"]),
        ({"a": np.int8(1)}, {"a": 1}),
        (1j, "1j"),
    ],
)
def test_meaning(value: object, meaning: object) -> None:
    """Each kind of value has one meaning in JSON."""
    assert plain(value) == meaning
    assert type(plain(value)) is type(meaning)


@given(arrays.arrays(st.sampled_from(["f4", "f8", "i8", "u8", "?", "S3", "U3"]), arrays.array_shapes(min_dims=0)))
def test_strict(array: np.ndarray[Any, Any]) -> None:
    """Whatever an array holds, strict JSON carries it."""
    assert json.loads(json.dumps(plain(array), allow_nan=False)) == plain(array)
