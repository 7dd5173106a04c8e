"""How arrays are divided into the frames that processes share."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests import samples

from shotdap.catalog import readers
from shotdap.catalog.reading.header_record import HeaderRecord
from shotdap.catalog.reading.shared_frames import share_frames, split_shape


@pytest.mark.parametrize(
    ("shape", "kind", "frame"),
    [
        ((2, 2048, 2048), "u2", (1, 2048, 2048)),  # an image and its background
        ((8192, 8192), "f8", (512, 8192)),
        ((2, 8192, 8192), "f8", (1, 512, 8192)),
        ((500, 64, 64), "u2", (128, 64, 64)),
        ((2, 3, 2048, 2048), "u2", (1, 1, 2048, 2048)),
        ((100,), "f4", (100,)),
        ((), "f4", ()),
    ],
)
def test_frames(shape: tuple[int, ...], kind: str, frame: tuple[int, ...]) -> None:
    """An image is one frame unless it is very large, and small images are joined."""
    assert split_shape(shape, np.dtype(kind)) == frame


@given(st.lists(st.integers(1, 10**6), max_size=5), st.sampled_from(["u1", "f8"]))
def test_no_frame_is_too_large(shape: list[int], kind: str) -> None:
    """A frame is a part of the array, and has 32 MiB at most."""
    frame = split_shape(tuple(shape), np.dtype(kind))

    assert all(1 <= part <= size for part, size in zip(frame, shape, strict=True))
    assert math.prod(frame) * np.dtype(kind).itemsize <= 32 << 20 or math.prod(frame) == 1


class Frames:
    """Remembers frames."""

    def __init__(self) -> None:
        self.frames: dict[Hashable, NDArray[Any]] = {}

    def remember(self, name: Hashable, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a frame; decode it once."""
        if name not in self.frames:
            self.frames[name] = decode()
        return self.frames[name]


@pytest.mark.parametrize("write", [samples.write_hdf4, samples.write_hdf5])
def test_the_same_values(write: Callable[[Path], None], tmp_path: Path) -> None:
    """Shared or not, a file has the same arrays; each comes from the frames, once they are there."""
    write(tmp_path / "every")
    plain, frames = readers.read(tmp_path / "every"), Frames()
    shared, _ = share_frames(readers.read(tmp_path / "every"), frames.remember)
    names = [str(name) for name in shared.variables]

    assert names == [str(name) for name in plain.variables]
    assert (shared.attrs.keys(), {*shared.coords}) == (plain.attrs.keys(), {*plain.coords})
    for name in names:
        np.testing.assert_array_equal(shared.variables[name].values, plain.variables[name].values, strict=True)
        assert (shared.variables[name].dims, shared.variables[name].dtype) == (
            plain.variables[name].dims,
            plain.variables[name].dtype,
        )
    (tmp_path / "every").unlink()
    stored = {str(name[0]) for name in frames.frames if isinstance(name, tuple)}
    assert len(stored) > len(names) / 2
    for name in stored:
        np.asarray(shared.variables[name].values)


@pytest.mark.parametrize("write", [samples.write_hdf4, samples.write_hdf5])
def test_headers_are_recorded_whole(write: Callable[[Path], None], tmp_path: Path) -> None:
    """A dataset built from the record of its headers is the same, but for the places where its arrays are."""
    write(tmp_path / "every")
    dataset, compressed = share_frames(readers.read(tmp_path / "every"), Frames().remember)
    built = HeaderRecord.from_dataset(dataset, compressed).build_dataset(
        lambda record: _Copy(dataset.variables[record.name].values)
    )

    assert [*built.variables] == [*dataset.variables]
    assert repr(built.attrs) == repr(dataset.attrs)
    assert {*built.coords} == {*dataset.coords}
    for name, variable in dataset.variables.items():
        assert repr(built.variables[name].attrs) == repr(variable.attrs)
        assert (built.variables[name].dims, built.variables[name].dtype) == (variable.dims, variable.dtype)
        assert built.variables[name].values.shape == variable.values.shape
        np.testing.assert_array_equal(built.variables[name].values, variable.values)


class _Copy:
    """An array in memory as a source."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self.shape = values.shape
        self.dtype = values.dtype

    def read(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        """Return a part of the array."""
        return np.asarray(self.values[key])
