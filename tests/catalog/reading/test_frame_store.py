"""Frames are found as they were computed, by every process, within the bound, whoever is killed."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from numpy.typing import NDArray
from tests.catalog.reading.frame_processes import (
    PROCESSES,
    fill_all,
    fill_and_hang,
    fill_many,
    make_frame,
    spool,
    write_half,
)
from tests.conftest import skip_absent

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.reading.frame_store import FrameStore, SpooledBody, make_key
from shotdap.catalog.reading.store_folder import choose_folder

ROOT = Path(__file__).resolve().parents[3]
KIB = 1 << 10
MIB = 1 << 20

# Runs in a file system of 4 MiB, of which the store believes that it has room for 64 MiB.
FULL_FILE_SYSTEM = """
import sys
from pathlib import Path
import numpy as np
from shotdap.catalog.reading.frame_store import FrameStore, make_key
folder = Path(sys.argv[1]) / "frames"
store = FrameStore(folder, 64 << 20)
for number in range(12):
    frame = np.full(1 << 20, number, np.uint8)
    assert np.array_equal(store.fill_frame(make_key(number), frame.copy), frame)
    store._maps.clear()
print(sum(store.find_frame(make_key(number)) is not None for number in range(12)))
store._maps.clear()
large = np.arange(6 << 20, dtype=np.uint32).view(np.uint8)[: 6 << 20]
print(np.array_equal(store.fill_frame(make_key("large"), large.copy), large), store.find_frame(make_key("large")))
try:
    store.spool_body([bytes(1 << 20)] * 6)
except OSError as error:
    print(error.errno)
print(sorted(path.name for path in folder.iterdir() if path.name.startswith(".")))
"""


def count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.name != ".accounts")


def list_leftovers(folder: Path) -> list[str]:
    """The files in a folder that are neither frames nor the accounts."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".accounts")


def count_waiting(inode: int) -> int:
    """Count the threads of all processes that wait for the lock of a file."""
    locks = Path("/proc/locks").read_text("ascii").splitlines()
    return sum("-> FLOCK" in line and f":{inode} " in line for line in locks)


def refuse() -> NDArray[Any]:
    pytest.fail("computed once more")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "frames"


@pytest.fixture
def store(folder: Path) -> FrameStore:
    return FrameStore(folder, 16 * MIB)


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[ForkServerProcess, Connection]]]:
    """Start a function in a process; it gets one end of a pipe, the test the other one."""
    started: list[tuple[ForkServerProcess, Connection]] = []

    def start_process(function: Callable[..., None], *arguments: object) -> tuple[ForkServerProcess, Connection]:
        ours, theirs = PROCESSES.Pipe()
        process = PROCESSES.Process(target=function, args=(theirs, *arguments))
        process.start()
        theirs.close()
        started.append((process, ours))
        return process, ours

    yield start_process
    for process, pipe in started:
        process.kill()
        process.join()
        process.close()
        pipe.close()


class TestFrames:
    @pytest.mark.parametrize(
        "dtype",
        [*"?bBhHiIlLqQefdgFDG", "S3", "U5", "M8[ns]", "m8[s]", "V6", ">u2", ">f8", ">U2", ">M8[ms]", "<i4"],
    )
    @pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0, 2), (5, 3), (2, 3, 4)])
    def test_types(self, folder: Path, dtype: str, shape: tuple[int, ...]) -> None:
        """Every type of fixed size and every shape is found as it was, in native byte order, by another process too."""
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        content = np.random.default_rng(3).integers(0, 2 if dtype == "?" else 100, count, np.uint8)
        if np.dtype(dtype).kind == "U":
            content[...] = 0
            content.view(dtype)[...] = "äß"
        values = np.frombuffer(content.tobytes(), dtype).reshape(shape) if count else np.empty(shape, dtype)
        first = FrameStore(folder, MIB).fill_frame(make_key(dtype, shape), lambda: values)
        second = FrameStore(folder, MIB).fill_frame(make_key(dtype, shape), refuse)
        for found in (first, second):
            assert (found.dtype, found.shape) == (values.dtype.newbyteorder("="), shape)
            assert found.dtype.isnative
            assert found.tobytes() == values.astype(values.dtype.newbyteorder("=")).tobytes()
            assert found.flags.c_contiguous
            assert not found.flags.writeable
            with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
                found[...] = values

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
    @given(
        values=numpy_strategies.arrays(
            numpy_strategies.scalar_dtypes() | numpy_strategies.byte_string_dtypes(),
            numpy_strategies.array_shapes(min_dims=0, min_side=0, max_side=6),
        ),
        steps=st.lists(st.sampled_from([1, 2, -1]), min_size=4, max_size=4),
    )
    def test_views(self, folder: Path, values: NDArray[Any], steps: list[int]) -> None:
        """Views, transposed or with steps, are found as they are."""
        view = values[tuple(slice(None, None, step) for step in steps[: values.ndim])].T
        key = make_key(view.dtype.str, view.shape, view.tobytes())
        FrameStore(folder, 16 * MIB).fill_frame(key, lambda: view)
        found = FrameStore(folder, 16 * MIB).fill_frame(key, refuse)

        assert (found.shape, found.tobytes()) == (view.shape, view.astype(view.dtype.newbyteorder("=")).tobytes())

    @pytest.mark.parametrize(
        "values",
        [
            np.array(["a", None, 3], object),
            np.zeros(3, [("x", "i4"), ("y", "f8")]),
            np.ma.masked_equal([1, 2, 3], 2),
            np.zeros(5 * MIB, np.uint8),
            np.array(["a text", "another"], np.dtypes.StringDType()),
        ],
        ids=["objects", "fields", "mask", "large", "texts"],
    )
    def test_unstored(self, store: FrameStore, folder: Path, values: NDArray[Any]) -> None:
        """An array that the store cannot keep is returned as it is, read-only; it is not stored."""
        result = store.fill_frame(make_key(), lambda: values)

        assert type(result) is type(values)
        assert result.dtype == values.dtype
        assert np.ma.allequal(result, values) if values.dtype.kind == "i" else np.array_equal(result, values)
        assert not result.flags.writeable
        assert values.flags.writeable
        assert store.find_frame(make_key()) is None
        assert count_bytes(folder) == 0

    def test_metadata(self, store: FrameStore) -> None:
        """A type with metadata, such as h5py's for enumerations, is stored without it."""
        dtype = np.dtype("i4", metadata={"enum": {"a": 1}})

        assert store.fill_frame(make_key(), lambda: np.ones(3, dtype)).tolist() == [1, 1, 1]

    def test_found(self, store: FrameStore) -> None:
        """A frame is `None` before it is filled; the same array is found again afterwards."""
        assert store.find_frame(make_key("a")) is None
        filled = store.fill_frame(make_key("a"), lambda: make_frame(3))
        assert store.find_frame(make_key("a")) is filled

    def test_numpy_reads(self, store: FrameStore, folder: Path) -> None:
        """The files are NumPy's."""
        image = np.arange(12, dtype=">u2").reshape(3, 4)
        store.fill_frame(make_key("a"), lambda: image)

        assert np.array_equal(np.load(folder / make_key("a")), image)

    def test_no_system_call(self, store: FrameStore, folder: Path) -> None:
        """A frame that a process has mapped is found though its folder is gone."""
        filled = store.fill_frame(make_key("a"), lambda: make_frame(3))
        shutil.rmtree(folder)

        assert store.find_frame(make_key("a")) is filled

    def test_restored(self, store: FrameStore, folder: Path) -> None:
        """A folder that was removed is made again when a frame is filled."""
        shutil.rmtree(folder)
        store.fill_frame(make_key("a"), lambda: make_frame(3))

        assert FrameStore(folder, MIB).find_frame(make_key("a")) is not None

    def test_restored_for_a_body(self, store: FrameStore, folder: Path) -> None:
        """A folder that was removed is made again when the body of an answer is written."""
        shutil.rmtree(folder)
        body = store.spool_body([b"ab", b"c"])

        assert bytes(store.open_body(body)) == b"abc"

    @pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array at all" * 20])
    def test_damaged(self, store: FrameStore, folder: Path, content: bytes) -> None:
        """A file that the disk damaged or cut short is computed again."""
        store.fill_frame(make_key("a"), lambda: make_frame(3))
        path = folder / make_key("a")
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(content or whole[:-1])
        fresh = FrameStore(folder, 16 * MIB)

        assert fresh.find_frame(make_key("a")) is None
        assert np.array_equal(fresh.fill_frame(make_key("a"), lambda: make_frame(3)), make_frame(3))
        assert path.read_bytes() == whole

    def test_boot(self, store: FrameStore, folder: Path) -> None:
        """Frames survive a restart of the server, but not one of the system, which may have left damaged ones."""
        store.fill_frame(make_key("a"), lambda: make_frame(3))
        (folder / "notes.txt").write_text("not the store's")
        assert FrameStore(folder, MIB).find_frame(make_key("a")) is not None
        accounts = folder / ".accounts"
        accounts.write_text(accounts.read_text("ascii")[:20] + " another-boot", "ascii")

        assert FrameStore(folder, MIB).find_frame(make_key("a")) is None
        assert (folder / "notes.txt").exists()

    @pytest.mark.parametrize("key", ["", "../a", "a/b", ".accounts", "f" * 31])
    def test_bad_key(self, store: FrameStore, key: str) -> None:
        """Only keys are names of files."""
        with pytest.raises(ValueError, match="not a key"):
            store.find_frame(key)


class TestKeys:
    def test_distinct(self) -> None:
        """Keys of equal parts are equal; all others differ."""
        parts: list[tuple[object, ...]] = [(), ("a",), ("a", "b"), ("ab",), ("a", 1), ("a", "1"), (("a", 1),), (None,)]

        assert len({make_key(*each) for each in parts}) == len(parts)
        assert make_key("a", Path("b"), (1, 2.5)) == make_key("a", Path("b"), (1, 2.5))
        assert make_key("\udce4") != make_key("\udce5")

    @pytest.mark.parametrize("part", [np.zeros(3), object()], ids=["array", "object"])
    def test_refused(self, part: object) -> None:
        """A value without a telling text is refused as a part of a key."""
        with pytest.raises(TypeError, match="part of a key"):
            make_key("a", part)


Start = Callable[..., tuple[ForkServerProcess, Connection]]


class TestProcesses:
    def test_filled_once(self, folder: Path, tmp_path: Path, start: Start) -> None:
        """Each frame is computed once, however many processes and threads ask for it."""
        pipes = [start(fill_all, folder, tmp_path / "log", 20)[1] for _ in range(4)]
        assert [pipe.recv() for pipe in pipes] == ["ready"] * 4
        for pipe in pipes:
            pipe.send("go")

        assert [pipe.recv() for pipe in pipes] == [True] * 4
        assert (tmp_path / "log").read_bytes() == b"x" * 20
        assert list_leftovers(folder) == []

    def test_threads(self, store: FrameStore) -> None:
        """Threads of one process compute a frame once, too."""
        computed: list[int] = []

        def compute() -> NDArray[np.uint8]:
            computed.append(1)
            time.sleep(0.02)
            return make_frame(1)

        threads = [threading.Thread(target=store.fill_frame, args=(make_key("a"), compute)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert computed == [1]

    def test_killed_in_computing(self, folder: Path, start: Start) -> None:
        """A process that waits for one that is killed computes the frame in its place."""
        process, pipe = start(fill_and_hang, folder)
        pipe.recv()
        result: list[NDArray[Any]] = []
        store = FrameStore(folder, 16 * MIB)
        waiter = threading.Thread(target=lambda: result.append(store.fill_frame(make_key("a"), lambda: make_frame(7))))
        waiter.start()
        waiter.join(0.1)
        assert waiter.is_alive()
        process.kill()
        waiter.join()

        assert np.array_equal(result[0], make_frame(7))
        assert list_leftovers(folder) == []

    def test_killed_in_writing(self, folder: Path, start: Start) -> None:
        """A half-written file is never a frame. It stays while its writer lives, and is swept when that is dead."""
        process, pipe = start(write_half, folder)
        pipe.recv()
        FrameStore(folder, 16 * MIB)
        assert len(list_leftovers(folder)) == 1
        process.kill()
        process.join()
        FrameStore(folder, 16 * MIB)

        assert list(folder.iterdir()) == [folder / ".accounts"]

    def test_reservation_of_the_dead(self, folder: Path, start: Start) -> None:
        """The reservation of a killed process is free again when somebody needs it."""
        process, pipe = start(write_half, folder)
        pipe.recv()
        store = FrameStore(folder, 3 * MIB)
        with pytest.raises(OSError, match="No space"):
            store.spool_body([bytes(MIB)] * 2)
        process.kill()
        process.join()

        assert store.open_body(store.spool_body([bytes(MIB)] * 2)).nbytes == 2 * MIB

    def test_killed_with_a_lock(self, folder: Path, start: Start) -> None:
        """The lock file of a killed process is swept; that of a living one stays."""
        process, pipe = start(fill_and_hang, folder)
        pipe.recv()
        FrameStore(folder, 16 * MIB)
        assert list_leftovers(folder) == [f".lock.{make_key('a')}"]
        process.kill()
        process.join()
        FrameStore(folder, 16 * MIB)

        assert list_leftovers(folder) == []

    def test_bound(self, folder: Path, start: Start) -> None:
        """Many fills by several processes keep the bound."""
        pipes = [start(fill_many, folder, seed)[1] for seed in range(3)]

        assert [pipe.recv() for pipe in pipes] == ["done"] * 3
        assert MIB // 2 < count_bytes(folder) <= MIB
        assert list_leftovers(folder) == []

    def test_stress(self) -> None:
        """While processes are killed at random: no wrong byte, the bound is kept, no temporary file remains."""
        answers = os.environ.get("SHOTDAP_STRESS_ANSWERS", "4000")
        command = [sys.executable, "-m", "tests.catalog.reading.frame_stress", "--answers", answers]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        counts = {name: int(count) for name, count in (each.split("=") for each in done.stdout.split())}

        assert counts["answers"] >= int(answers), done.stderr
        assert counts["kills"] > 0
        assert {name: counts[name] for name in ("wrong", "ended", "over", "left")} == dict.fromkeys(
            ("wrong", "ended", "over", "left"), 0
        )


class TestNesting:
    def test_other_frame(self, store: FrameStore) -> None:
        """Computing a frame may fill another one."""
        inner = partial(store.fill_frame, make_key("b"), lambda: make_frame(2))

        assert np.array_equal(store.fill_frame(make_key("a"), lambda: inner() + 1), make_frame(3))

    def test_same_frame(self, store: FrameStore) -> None:
        """A frame that needs itself is an error, and no deadlock."""
        key = make_key("a")
        with pytest.raises(RuntimeError, match="from itself"):
            store.fill_frame(key, lambda: store.fill_frame(key, lambda: make_frame(1)))

    def test_error(self, store: FrameStore, folder: Path) -> None:
        """An error of the computation is the caller's; the next one computes again."""

        def fail() -> NDArray[Any]:
            raise Unreadable("The file is damaged.")

        with pytest.raises(Unreadable, match="damaged"):
            store.fill_frame(make_key("a"), fail)
        assert list_leftovers(folder) == []
        assert np.array_equal(store.fill_frame(make_key("a"), lambda: make_frame(1)), make_frame(1))

    def test_waiting_for_nothing(self, folder: Path) -> None:
        """A process that waits for a frame that cannot be stored does not wait for the others."""
        store, together = FrameStore(folder, MIB), threading.Barrier(3)
        is_first = threading.Event()
        results: list[bool] = []

        def compute() -> NDArray[np.uint8]:
            if is_first.is_set():
                together.wait(60)  # all three compute at once
            else:
                is_first.set()
                inode = (folder / f".lock.{make_key('a')}").stat().st_ino
                while count_waiting(inode) < 3:
                    time.sleep(0.01)
            return make_frame(1, MIB)

        def fill() -> None:
            results.append(bool(store.fill_frame(make_key("a"), compute).all()))

        threads = [threading.Thread(target=fill) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert results == [True] * 4
        assert list_leftovers(folder) == []


class TestEviction:
    def test_order(self, folder: Path) -> None:
        """The least recently used frames are evicted first."""
        store = FrameStore(folder, 10 * 68 * KIB)
        for number in range(9):
            store.fill_frame(make_key(number), partial(make_frame, number))
            os.utime(folder / make_key(number), (1000 + number, 1000 + number))
        FrameStore(folder, 10 * 68 * KIB).find_frame(make_key(0))  # by another process
        for number in (9, 10):
            store.fill_frame(make_key(number), partial(make_frame, number))
        fresh = FrameStore(folder, MIB)
        kept = [number for number in range(11) if fresh.find_frame(make_key(number)) is not None]

        assert kept[0] == 0
        assert kept[1:] == list(range(kept[1], 11))
        assert 5 <= len(kept) <= 10

    def test_used_frame(self, folder: Path) -> None:
        """A frame that is found again after a second is marked as used."""
        store = FrameStore(folder, MIB)
        store.fill_frame(make_key("a"), lambda: make_frame(1))
        os.utime(folder / make_key("a"), (1000, 1000))
        for frame in store._maps.values():  # noqa: SLF001 — instead of waiting
            frame.touch_due = 0
        store.find_frame(make_key("a"))

        assert (folder / make_key("a")).stat().st_mtime > 1000

    def test_evicted_while_used(self, folder: Path) -> None:
        """An array outlives the eviction of its frame; the map is dropped, and the frame filled again."""
        store, other = FrameStore(folder, MIB), FrameStore(folder, MIB)
        frame = store.fill_frame(make_key("a"), lambda: make_frame(1))
        for number in range(40):
            other.fill_frame(make_key(number), partial(make_frame, number))
        store.drop_unlinked_maps()

        assert store.find_frame(make_key("a")) is None
        assert np.array_equal(frame, make_frame(1))
        assert np.array_equal(store.fill_frame(make_key("a"), lambda: make_frame(1)), frame)

    def test_replaced_while_used(self, folder: Path) -> None:
        """A frame that was evicted and filled again is found in its new file after a second."""
        store = FrameStore(folder, MIB)
        first = store.fill_frame(make_key("a"), lambda: make_frame(1))
        (folder / make_key("a")).unlink()
        FrameStore(folder, MIB).fill_frame(make_key("a"), lambda: make_frame(1))
        for frame in store._maps.values():  # noqa: SLF001 — instead of waiting
            frame.touch_due = 0
        second = store.find_frame(make_key("a"))

        assert second is not None
        assert second is not first
        assert store.find_frame(make_key("a")) is second

    def test_maps(self, folder: Path) -> None:
        """The maps of one process are bounded: by bytes, and by descriptors."""
        small, many = FrameStore(folder, 16 * MIB, map_limit=300 * KIB), FrameStore(folder, 16 * MIB)
        for number in range(8):
            small.fill_frame(make_key(number), partial(make_frame, number))
        for number in range(600):
            many.fill_frame(make_key("small", number), partial(make_frame, number % 100, 10))

        assert [key for key in small._maps] == [make_key(number) for number in range(4, 8)]  # noqa: C416, SLF001
        assert len(many._maps) <= 512  # noqa: SLF001

    def test_body_beside_frames(self, folder: Path) -> None:
        """Frames make room for a body; a body makes no room for another one."""
        store = FrameStore(folder, MIB)
        for number in range(12):
            store.fill_frame(make_key(number), partial(make_frame, number))
        body = store.spool_body([bytes(700 * KIB)])

        assert count_bytes(folder) <= MIB
        with pytest.raises(OSError, match="No space") as caught:
            store.spool_body([bytes(100 * KIB)] * 7)
        assert caught.value.errno == errno.ENOSPC
        assert store.open_body(body) == bytes(700 * KIB)
        assert list_leftovers(folder) == []

    def test_full_file_system(self, tmp_path: Path) -> None:
        """Frames are evicted, and answers stay right, if the file system is full before the bound is reached."""
        mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        mount = f"mount -t tmpfs -o size=4m tmpfs {tmp_path}"
        if (
            not shutil.which("unshare")
            or subprocess.run([*mounted, mount], check=False, capture_output=True).returncode
        ):
            skip_absent("no file system can be mounted here")
        script = tmp_path.with_suffix(".py")
        script.write_text(FULL_FILE_SYSTEM)
        command = [*mounted, f"{mount} && exec {sys.executable} {script} {tmp_path}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

        assert done.stdout.splitlines() == ["3", "True None", str(errno.ENOSPC), "['.accounts']"], done.stderr


class TestBodies:
    @pytest.mark.parametrize("blocks", [[], [b""], [b"a"], [b"some ", memoryview(b"bytes"), b""], [bytes(MIB)] * 6])
    def test_round_trip(self, store: FrameStore, folder: Path, blocks: list[bytes]) -> None:
        """A body is opened once, as it was written; its file is gone then."""
        body = pickle.loads(pickle.dumps(store.spool_body(blocks)))  # noqa: S301 — our own
        opened = FrameStore(folder, 16 * MIB).open_body(body)

        assert opened == b"".join(blocks)
        assert body.size == len(opened)
        assert count_bytes(folder) == 0
        with pytest.raises(FileNotFoundError):
            store.open_body(body)

    def test_array(self, store: FrameStore) -> None:
        """A block may be the memory of an array."""
        image = np.arange(12, dtype="f4").reshape(3, 4)

        assert store.open_body(store.spool_body([image.data])) == image.tobytes()

    def test_sender_ended(self, store: FrameStore, folder: Path, start: Start) -> None:
        """A body can be opened after the process that wrote it has ended."""
        process, pipe = start(spool, folder)
        body = pipe.recv()
        process.join()
        FrameStore(folder, 16 * MIB)

        assert store.open_body(body) == b"some bytes" * 1000

    def test_abandoned(self, store: FrameStore, folder: Path) -> None:
        """A body that nobody opens within a minute is swept."""
        body = store.spool_body([b"bytes"])
        os.utime(body.path, (time.time() - 61, time.time() - 61))
        FrameStore(folder, 16 * MIB)

        with pytest.raises(FileNotFoundError):
            store.open_body(body)

    def test_failing_blocks(self, store: FrameStore, folder: Path) -> None:
        """An error while a body is made leaves no file."""

        def fail() -> Iterator[bytes]:
            yield b"some"
            raise Unreadable("The file is damaged.")

        with pytest.raises(Unreadable, match="damaged"):
            store.spool_body(fail())
        assert list_leftovers(folder) == []

    def test_other_file(self, store: FrameStore, tmp_path: Path) -> None:
        """Only bodies of the store are opened, and removed."""
        path = tmp_path / "file"
        path.write_bytes(b"bytes")

        with pytest.raises(FileNotFoundError):
            store.open_body(SpooledBody(path, 5))
        assert path.exists()


class TestFolder:
    def test_private(self, store: FrameStore, folder: Path) -> None:
        """Nobody else can read the folder or its files."""
        store.fill_frame(make_key("a"), lambda: make_frame(1))

        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}

    def test_link(self, folder: Path, tmp_path: Path) -> None:
        """A folder that is a link is refused."""
        (tmp_path / "other").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "other")

        with pytest.raises(Unreadable, match="is a link, or not this user's alone"):
            FrameStore(folder, MIB)

    def test_open_to_others(self, folder: Path) -> None:
        """A folder that others may enter is refused."""
        folder.mkdir()
        folder.chmod(0o711)

        with pytest.raises(Unreadable, match="not this user's alone"):
            FrameStore(folder, MIB)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
    def test_foreign(self, folder: Path) -> None:
        """A folder of another user is refused."""
        folder.mkdir(mode=0o700)
        os.chown(folder, 12345, 12345)

        with pytest.raises(Unreadable, match="not this user's alone"):
            FrameStore(folder, MIB)

    def test_link_in_place_of_a_frame(self, store: FrameStore, folder: Path, tmp_path: Path) -> None:
        """A link in the folder is not followed."""
        np.save(tmp_path / "other.npy", make_frame(1))
        (folder / make_key("a")).symlink_to(tmp_path / "other.npy")

        assert store.find_frame(make_key("a")) is None

    def test_choice(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Shared memory is chosen if it has room, else the user's cache folder; each name has a folder of its own."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        name = str(tmp_path)
        small, large = choose_folder(name, 1), choose_folder(name, 1 << 60)

        assert large.parent == tmp_path / "shotdap"
        assert choose_folder(f"{name}/other", 1 << 60) != large
        if small.parent == Path("/dev/shm"):  # noqa: S108 — the folder in question
            small.rmdir()
        else:
            assert small == large
