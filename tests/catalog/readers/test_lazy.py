"""Lazy arrays give NumPy's numbers; decoded frames are cached within limits, and protected from their readers."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import QUICK, CountingSource, index_each, indexers, make_numbered

from shotdap.catalog import Missing, Unreadable
from shotdap.catalog.readers.lazy import ArraySource, BasicIndex, BlockSource, FrameCache, create_lazy_variable
from shotdap.transforms import no_memo

THREADS = 32


@dataclass
class SlowSource(CountingSource):
    """A slow source, so that readers run at the same time."""

    def read(self, key: BasicIndex) -> NDArray[Any]:
        time.sleep(0.02)
        return super().read(key)


def make_variable(source: ArraySource) -> xr.Variable:
    return create_lazy_variable(tuple(f"d{axis}" for axis in range(len(source.shape))), source, {})


def run_in_threads(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Call a function in many threads that all start together."""
    barrier = Barrier(count)

    def start(number: int) -> Any:  # noqa: ANN401 — whatever is called
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


class TestIndexing:
    @QUICK
    @given(st.data())
    def test_any_indexing(self, data: st.DataObject) -> None:
        """Indices, slices of any step and lists of indices return the same as NumPy."""
        shape = data.draw(st.lists(st.integers(0, 5), max_size=4).map(tuple))
        indices = data.draw(indexers(shape))
        source = CountingSource(make_numbered(*shape))
        found = make_variable(source)[indices].values

        assert np.array_equal(found, index_each(source.values, indices))

    @QUICK
    @given(st.data())
    def test_any_indexing_of_blocks(self, data: st.DataObject) -> None:
        """So do frames that are decoded whole: one, two or all at a time."""
        shape = data.draw(st.tuples(st.integers(1, 7), st.integers(0, 4), st.integers(1, 4)))
        rows = data.draw(st.sampled_from([1, 2, shape[0]]))
        indices = data.draw(indexers(shape))
        source = CountingSource(make_numbered(*shape))
        found = make_variable(BlockSource(source, "image", rows, FrameCache(1 << 20).get_memo("file")))[indices].values

        assert np.array_equal(found, index_each(source.values, indices))

    def test_list_of_points(self) -> None:
        """Single points, each by its own index in every dimension, return the same as NumPy."""
        source = CountingSource(make_numbered(4, 5))
        points = xr.DataArray(make_variable(source)).isel(d0=xr.DataArray([3, 0, -1]), d1=xr.DataArray([0, 4, 2]))

        assert points.values.tolist() == source.values[[3, 0, -1], [0, 4, 2]].tolist()

    @pytest.mark.parametrize("rows", [1, 3, 1000])
    def test_many_blocks(self, rows: int) -> None:
        """An array of many blocks is assembled in the time of one pass over it."""
        source = CountingSource(make_numbered(20_000, dtype="i4"))
        blocks = BlockSource(source, "long", rows, no_memo)
        start = time.process_time()
        values = make_variable(blocks)[5::7].values

        assert time.process_time() - start < 5
        assert np.array_equal(values, source.values[5::7])

    def test_empty_slice(self) -> None:
        """A slice without elements reads nothing."""
        source = CountingSource(make_numbered(4, 5))

        assert make_variable(source)[2:2, :].values.shape == (0, 5)
        assert source.reads == []


class TestCache:
    def test_frame_costs_one_decode(self) -> None:
        """Slices of one frame of two decode that frame once, and not the other."""
        source = CountingSource(make_numbered(2, 6, 8))
        image = make_variable(BlockSource(source, "image", 1, FrameCache(1 << 20).get_memo("file")))
        for cut in (slice(0, 2), slice(None), slice(3, 6, 2)):
            _ = image[1, cut].values

        assert source.indices == [([1], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7])]

    def test_decoded_once(self) -> None:
        """Many threads that read one frame at once decode it once."""
        source = SlowSource(make_numbered(2, 6, 8))
        image = make_variable(BlockSource(source, "image", 1, FrameCache(1 << 20).get_memo("file")))
        found = run_in_threads(THREADS, lambda number: image[0, :, number % 8].values)

        assert len(source.reads) == 1
        assert all(np.array_equal(column, source.values[0, :, n % 8]) for n, column in enumerate(found))

    def test_files_apart(self) -> None:
        """Frames of one name in different files are different frames."""
        cache = FrameCache(1 << 20)
        sources = [CountingSource(make_numbered(1, 3) + number) for number in range(40)]
        images = [make_variable(BlockSource(s, "image", 1, cache.get_memo(n))) for n, s in enumerate(sources)]
        found = run_in_threads(len(images), lambda number: images[number][0].values)

        assert [row.tolist() for row in found] == [source.values[0].tolist() for source in sources]

    def test_bounded(self) -> None:
        """The cache holds the most recently used frames, and no more bytes than its limit."""
        source = CountingSource(make_numbered(10, 100, dtype="u1"))
        image = make_variable(BlockSource(source, "image", 1, FrameCache(350).get_memo("file")))
        for frame in (*range(10), 9, 8, 7, 6):
            _ = image[frame].values

        assert [read[0] for read in source.indices] == [[frame] for frame in (*range(10), 6)]

    @pytest.mark.parametrize("limit", [0, 50])
    def test_greater_than_the_cache(self, limit: int) -> None:
        """A frame larger than the whole cache is read, and not cached."""
        source = CountingSource(make_numbered(2, 100))
        image = make_variable(BlockSource(source, "image", 1, FrameCache(limit).get_memo("file")))

        assert image[0].values.tolist() == image[0].values.tolist() == list(range(100))
        assert len(source.reads) == 2

    def test_failure_is_not_remembered(self) -> None:
        """A frame that could not be decoded is tried again the next time."""
        remember = FrameCache(1 << 20).get_memo("file")
        with pytest.raises(OSError, match="away"):
            remember("image", raise_missing)

        assert remember("image", lambda: make_numbered(3)).tolist() == [0, 1, 2]

    @pytest.mark.parametrize("cut", [(0,), (0, slice(1, 3)), (slice(0, 2),), (slice(None),)])
    def test_readers_cannot_write(self, cut: tuple[int | slice, ...]) -> None:
        """A reader that writes into its values changes nothing for the next reader."""
        source = CountingSource(make_numbered(2, 4))
        image = make_variable(BlockSource(source, "image", 1, FrameCache(1 << 20).get_memo("file")))
        try:
            image[cut].values[...] = 99
        except ValueError as error:
            assert "read-only" in str(error)  # noqa: PT017 — either is right: a copy, or a refusal

        assert np.array_equal(image.values, source.values)


def raise_missing() -> NDArray[Any]:
    raise OSError("The disk is away.")


class CodecError(Exception):
    """A decoder's own exception."""


class Broken:
    """A source whose decoder fails."""

    shape = (3, 4)
    dtype = np.dtype("u2")

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, key: BasicIndex) -> NDArray[Any]:
        del key
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CodecError(-5), Unreadable), (ZeroDivisionError(), Unreadable), (RecursionError(), Unreadable),
        (Missing("It is gone."), Missing), (MemoryError(), MemoryError),
    ],
)  # fmt: skip
def test_decoders_fail(error: Exception, expected: type[Exception]) -> None:
    """Any exception of a decoder makes the file unreadable, except a lack of memory."""
    variable = create_lazy_variable(("y", "x"), Broken(error), {})
    with pytest.raises(expected):
        _ = variable[1].values
