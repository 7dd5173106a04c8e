"""The contract of every encoder: the numbers and the attributes of a dataset survive a round trip."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shotdap.server.encoders.formats import FORMATS
from shotdap.server.pictures.levels import Display
from shotdap.transforms import BadSelection

__all__ = ["INTEGERS", "NUMBERS", "EncoderContract", "ExactContract", "is_same", "make_dataset", "make_extremes"]

Array = NDArray[Any]

INTEGERS: Final = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
NUMBERS: Final = ("?", *INTEGERS, "f2", "f4", "f8")
SENTENCE: Final = r"\w[\s\S]* [\s\S]*\.\Z"
PROVENANCE: Final = "omega/62328/asbo1/asbo1_s62328 sha256:3cc4"


def make_extremes(kind: str) -> Array:
    """Return six numbers of a type: its extremes, zeros, NaN and infinities."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        info = np.finfo(dtype)
        return np.array([np.nan, np.inf, -np.inf, -0.0, info.max, info.smallest_subnormal], dtype)
    if dtype.kind == "b":
        return np.array([True, False, False, True, True, False])
    limits = np.iinfo(dtype)
    return np.array([limits.min, limits.max, 0, 1, limits.max - 1, limits.max // 3], dtype)


def make_dataset(values: Array, **attrs: object) -> xr.Dataset:
    """Return a dataset with one variable, ``result``, and a coordinate for each of its dimensions."""
    dimensions = ("shot", "frame", "y", "x")[4 - values.ndim :]
    coordinates = {
        name: xr.Variable(name, np.arange(size) * 0.5 + 3, {"units": "mm", "long_name": f"along {name}"})
        for name, size in zip(dimensions, values.shape, strict=True)
    }
    attributes = {"units": "count", "long_name": "what the camera saw", "input_files": PROVENANCE, **attrs}
    return xr.Dataset(
        {"result": (dimensions, values, attributes)},
        coords=xr.Coordinates(coordinates, indexes={}),
        attrs={"shot": np.int32(62328), "title": "ASBO, streaked", "CCD_Binning": np.array([2, 2], "i4"), "µ": "≤"},
    )


def is_same(found: Array, written: Array, *, with_nan_sign: bool = True) -> bool:
    """Check whether real numbers are equal, NaN, signs and shapes included, whatever their types."""
    if found.shape != written.shape or not np.array_equal(found, written, equal_nan=found.dtype.kind == "f"):
        return False
    has_sign = np.ones(written.shape, bool) if with_nan_sign else ~np.isnan(written)
    return np.array_equal(np.signbit(found)[has_sign], np.signbit(written)[has_sign])


class EncoderContract:
    """Base class: the fixture `read_attributes` reads the bytes of a file with an independent library."""

    name: ClassVar[str]
    """The name of the format."""
    tells: ClassVar[bool] = True
    """Whether the format has a place for attributes."""
    dimensions: ClassVar[Sequence[int]] = (0, 1, 2, 3)
    """The possible numbers of dimensions of a variable."""
    refused: ClassVar[Mapping[str, xr.Dataset]] = {}
    """Datasets that the format cannot hold."""
    display: ClassVar[Display] = Display()

    def encode(self, dataset: xr.Dataset) -> bytes:
        """Return the bytes of the file."""
        encoded = FORMATS[self.name].encode(dataset, self.display)
        whole = b"".join(map(bytes, encoded.blocks))
        assert len(whole) == encoded.size
        return whole

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        """A function that reads the attributes of ``result`` and of the dataset into one mapping."""
        return lambda _: pytest.fail("the format's tests do not define the fixture `read_attributes`")

    def test_attributes(self, read_attributes: Callable[[bytes], Mapping[str, Any]]) -> None:
        """Units, provenance and the dataset's own attributes are in the file, or its description denies attributes."""
        if not self.tells:
            assert "without attributes" in FORMATS[self.name].description
            return
        found = read_attributes(self.encode(self.make_example()))

        assert found["units"] == "count"
        assert found["long_name"] == "what the camera saw"
        assert found["input_files"] == PROVENANCE
        assert int(np.ravel(found["shot"])[0]) == 62328
        assert found["title"] == "ASBO, streaked"
        assert np.ravel(found["CCD_Binning"]).tolist() == [2, 2]

    def test_odd_attributes(self) -> None:
        """A file can be made of a dataset with any attributes."""
        odd = {
            "nan": math.nan, "none": None, "flag": np.True_, "empty": "", "nothing": np.empty(0), "long": "x" * 70_000,
            "texts": ["one", "µm"], "bytes": b"\xff\0", "mapping": {"a": 1}, "int64": np.int64(2**63 - 1), "a/b c": 1,
            "date": np.datetime64("2011-05-19T10:41:07"), "complex": np.complex64(1j), "_FillValue": np.float32(-1),
            "end": 1, "7": 7, "nul": "a\0b", "surrogate": "\udcff", "mixed": [1, "two"], "ragged": [[1], [2, 3]],
            "signal": "x", "NX_class": "mine",
        }  # fmt: skip
        dataset = self.make_example()
        dataset["result"].attrs |= odd
        dataset.attrs |= odd

        assert self.encode(dataset)

    def test_unsupported_datasets(self) -> None:
        """A dataset that the format cannot hold is refused with a sentence."""
        for dataset in self.refused.values():
            with pytest.raises(BadSelection, match=SENTENCE):
                self.encode(dataset)

    def test_dataset_stays(self) -> None:
        """Encoding changes neither values nor attributes."""
        dataset = self.make_example()
        before = dataset.copy(deep=True)
        self.encode(dataset)

        xr.testing.assert_identical(dataset, before)

    def test_single_array(self) -> None:
        """A format for one array refuses several, and the error contains their names."""
        if FORMATS[self.name].content_kind not in {"image", "picture"}:
            return
        two = self.make_example().assign(other=self.make_example()["result"].astype("f8"))

        with pytest.raises(BadSelection, match="result"):
            self.encode(two)

    def make_example(self) -> xr.Dataset:
        """Return a dataset that the format can hold."""
        shape = {0: (), 1: (6,)}.get(max(self.dimensions), (20, 30))
        values = np.arange(math.prod(shape), dtype="u2").reshape(shape)
        return make_dataset(values)


class ExactContract(EncoderContract):
    """The contract of a format that keeps numbers exactly: the fixture `read_numbers` uses an independent library."""

    kinds: ClassVar[Sequence[str]] = NUMBERS
    """The types that survive a round trip."""
    keeps_nan_sign: ClassVar[bool] = True
    """Whether the sign of NaN survives, which is lost in text."""

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        """A function that reads the variable ``result``."""
        raise NotImplementedError

    def test_extremes(self, read_numbers: Callable[[bytes], Array]) -> None:
        """Numbers of every type survive, including NaN, infinities, -0.0 and the extremes."""
        for kind in self.kinds:
            for dtype in (np.dtype(kind), np.dtype(kind).newbyteorder(">")):
                shape = {1: (6,), 3: (1, 2, 3)}.get(max(self.dimensions), (2, 3))
                written = make_extremes(kind).astype(dtype).reshape(shape)

                assert is_same(
                    read_numbers(self.encode(make_dataset(written))), written, with_nan_sign=self.keeps_nan_sign
                ), dtype

    def test_any_numbers(self, read_numbers: Callable[[bytes], Array]) -> None:
        """Any numbers of any shape survive, C-ordered or not."""

        @settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(st.data())
        def check(data: st.DataObject) -> None:
            dtype = data.draw(st.sampled_from([kind for kind in self.kinds if kind != "f2"]))
            dimensions = data.draw(st.sampled_from(self.dimensions))
            shapes = st.tuples(*[st.integers(1, 5)] * dimensions)
            written = data.draw(hnp.arrays(np.dtype(dtype), data.draw(shapes)))
            written = written.T if data.draw(st.booleans()) else written[..., ::-1] if dimensions else written

            assert is_same(read_numbers(self.encode(make_dataset(written))), written, with_nan_sign=self.keeps_nan_sign)

        check()
