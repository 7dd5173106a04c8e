"""The contract of readers: the values that the format's own library reads, lazily, with safe names and attributes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from tests.strategies import index_each, indexers, make_numbered

from shotdap.catalog import Unreadable
from shotdap.catalog.readers import Reader, read
from shotdap.catalog.readers.lazy import FrameCache

__all__ = ["ReaderContract", "Write", "is_carriable"]

Array = NDArray[Any]


class Write(Protocol):
    """A function that writes arrays into a new file, all with the same attributes."""

    def __call__(
        self, arrays: Mapping[str, Array], attributes: Mapping[str, Any] | None = None, *, compressed: bool = False
    ) -> Path: ...


TYPES: Final = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
SHAPES: Final = ((7,), (3, 5), (2, 4, 6), (2, 3, 2, 4))
NAMES: Final = ("plain", "a b", "a_b", "a.b", "größe [µm]", "7", "x" * 60)
CUTS: Final[Mapping[str, Callable[[int], int]]] = {
    "10 %": lambda size: size // 10,
    "50 %": lambda size: size // 2,
    "90 %": lambda size: size * 9 // 10,
    "all but 1 KB": lambda size: size - 1024,
    "magic only": lambda _size: 8,
}
SENTENCE: Final = re.compile(r"[A-Z].*\.", re.DOTALL)


def is_carriable(value: object) -> bool:
    """Check whether every protocol can represent an attribute."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.size > 0 and value.dtype.kind in "iuf" and value.dtype.isnative
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, str | np.integer | np.floating)


class ReaderContract:
    """Base class: the fixture `reader` is the reader, the fixture `write` writes a file for it."""

    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("kind", TYPES)
    def test_numbers(self, reader: Reader, write: Write, kind: str, *, compressed: bool) -> None:
        """Numbers of every type are read unchanged, their extremes included."""
        info = np.iinfo(kind) if np.dtype(kind).kind in "iu" else np.finfo(kind)
        written = np.resize(np.array([info.min, info.max, 0, 1, 2], kind), (3, 5))
        found = reader(write({"pixels": written}, compressed=compressed), no_memory).variables["pixels"]

        assert found.dtype.newbyteorder("=") == np.dtype(kind)
        assert np.array_equal(found.values, written)

    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_shapes(self, reader: Reader, write: Write, shape: tuple[int, ...], *, compressed: bool) -> None:
        """Arrays of one to four dimensions are read whole; each dimension has its own name."""
        found = reader(write({"pixels": make_numbered(*shape)}, compressed=compressed), no_memory).variables["pixels"]

        assert np.array_equal(found.values, make_numbered(*shape))
        assert len(set(found.dims)) == len(shape)

    @pytest.mark.parametrize("compressed", [False, True])
    def test_any_indexing(self, reader: Reader, write: Write, *, compressed: bool) -> None:
        """Every kind of indexing returns the same as NumPy."""
        whole = make_numbered(4, 5, 6)
        found = reader(write({"pixels": whole}, compressed=compressed), FrameCache(1 << 20).get_memo("file")).variables[
            "pixels"
        ]

        @settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
        @given(indexers(whole.shape))
        def check(indices: tuple[Any, ...]) -> None:
            assert np.array_equal(found[indices].values, index_each(whole, indices))

        check()

    @pytest.mark.parametrize("compressed", [False, True])
    def test_opening_reads_no_pixel(self, reader: Reader, write: Write, *, compressed: bool) -> None:
        """Opening and describing a file decode nothing; reading one frame of two decodes one."""
        decoded: list[Any] = []

        def remember(name: Any, decode: Callable[[], Array]) -> Array:  # noqa: ANN401 — whatever names a frame
            decoded.append(name)
            return decode()

        dataset = reader(write({"pixels": make_numbered(2, 300, 300)}, compressed=compressed), remember)
        repr(dataset)
        before = list(decoded)
        _ = dataset.variables["pixels"][1, :5].values

        assert before == []
        assert len(decoded) <= 1
        assert all(variable._in_memory is False for variable in dataset.variables.values())  # noqa: SLF001

    def test_names(self, reader: Reader, write: Write) -> None:
        """Names are safe and unique; a changed name is recorded in an attribute."""
        written = {name: np.full(3, number, "i4") for number, name in enumerate(NAMES)}
        dataset = reader(write(written), no_memory)
        found = {str(v.attrs.get("original_name", name)): v.values.tolist() for name, v in dataset.variables.items()}

        assert found == {name: values.tolist() for name, values in written.items()}
        assert all(re.fullmatch("[A-Za-z0-9_/]+", str(name)) for name in (*dataset.variables, *dataset.dims))

    def test_attributes(self, reader: Reader, write: Write) -> None:
        """Attributes are text, numbers and lists of numbers, in the types of the file."""
        written: dict[str, Any] = {
            "Unit": "ASBO1 42/277/13", "long": "x" * 20_000, "TIM": np.int16(5), "gain": np.float32(0.1),
            "nothing": np.float32(np.nan), "CCD_Binning": np.array([2, 2], "u4"), "lines": "one\ntwo",
        }  # fmt: skip
        found = reader(write({"pixels": make_numbered(3)}, written), no_memory).variables["pixels"].attrs

        assert list(found) == list(written)
        assert np.isnan(found["nothing"])
        for name in set(written) - {"nothing"}:
            assert np.array_equal(found[name], written[name])
            assert np.asarray(found[name]).dtype == np.asarray(written[name]).dtype

    def test_flags(self, reader: Reader, write: Write) -> None:
        """The words True and False become flags; an attribute lists the names of flags."""
        written = {"CCD_Inverted": "True", "CCD_Rotated": "False", "CCD_Name": "True blue"}
        found = reader(write({"pixels": make_numbered(3)}, written), no_memory).variables["pixels"].attrs

        assert (found["CCD_Inverted"], found["CCD_Rotated"], found["CCD_Name"]) == (1, 0, "True blue")
        assert found["flag_attributes"] == "CCD_Inverted, CCD_Rotated"

    def test_text_that_is_not_utf8(self, reader: Reader, write: Write) -> None:
        """Text in Latin-1 is decoded, and can be encoded as UTF-8."""
        attributes = {"utf8": "µm".encode(), "latin": "µm".encode("latin-1"), "padded": b"um\0\0"}
        found = reader(write({"pixels": make_numbered(3)}, attributes), no_memory).variables["pixels"].attrs

        assert [found[name] for name in attributes] == ["µm", "µm", "um"]

    def test_everything_travels(self, reader: Reader, write: Write) -> None:
        """Every attribute of the file and its arrays has a type that every protocol can represent."""
        attributes = {"text": "text", "number": np.float64(np.inf), "many": np.arange(3), "latin": b"\xb5"}
        dataset = reader(write({"pixels": make_numbered(3)}, attributes), no_memory)
        found = [*dataset.attrs.values(), *dataset.variables["pixels"].attrs.values()]

        assert all(is_carriable(value) for value in found)
        assert all(json.dumps(value, ensure_ascii=False).encode() for value in found if isinstance(value, str | list))

    def test_no_index(self, reader: Reader, write: Write) -> None:
        """Coordinates have no index, because creating one would read them."""
        assert dict(reader(write({"pixels": make_numbered(3)}), no_memory).xindexes) == {}

    @pytest.mark.parametrize(
        "name", ["image.txt", "image", "image.tiff", "image.h5.hdf", "größe [1].hdf", "\udce9.hdf"]
    )
    def test_content_decides(self, write: Write, name: str) -> None:
        """A file is read by its content, whatever its name."""
        path = write({"pixels": make_numbered(3)})
        renamed = path.rename(path.with_name(name))

        assert read(renamed).variables["pixels"].values.tolist() == [0, 1, 2]

    @pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
    def test_cut_short(self, write: Write, cut: Callable[[int], int]) -> None:
        """A truncated file is refused with a sentence that contains no path."""
        noise = np.random.default_rng(0).integers(0, 2**16, (2, 200, 200)).astype("u2")
        path = write({"pixels": noise}, {"Unit": "ASBO1"}, compressed=True)
        whole = path.read_bytes()
        path.write_bytes(whole[: cut(len(whole))])
        sentence = refusal(path)

        assert SENTENCE.fullmatch(sentence)
        assert str(path.parent) not in sentence

    def test_removed_after_opening(self, write: Write) -> None:
        """A file that is removed or truncated after it was opened is unreadable; no numbers are invented."""
        path = write({"pixels": make_numbered(2, 200, 200)}, compressed=True)
        dataset = read(path)
        path.write_bytes(path.read_bytes()[:600])
        with pytest.raises(Unreadable):
            dataset.load()
        path.unlink()

        with pytest.raises(Unreadable):
            dataset.load()


def no_memory(_name: object, decode: Callable[[], Array]) -> Array:
    return decode()


def refusal(path: Path) -> str:
    with pytest.raises(Unreadable) as caught:
        xr.Dataset.load(read(path))
    return str(caught.value)
