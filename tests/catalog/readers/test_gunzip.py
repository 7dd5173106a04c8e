"""Files compressed by gzip are read like any other, through a folder that is limited, shared and private."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from shotdap import config
from shotdap.catalog import Catalog, DirectoryArchive, Missing, Unpacker, Unreadable, get_cache_folder
from shotdap.catalog.readers import detect_format, read

MIB = 1 << 20
IMAGE = np.random.default_rng(9).integers(0, 65536, (2, 100, 128)).astype("u2")


def pack(path: Path, image: np.ndarray[tuple[int, ...], np.dtype[np.uint16]] = IMAGE, times: int = 1) -> Path:
    """Write an HDF5 file, compressed a number of times."""
    plain = path.with_suffix(".plain")
    with h5py.File(plain, "w") as file:
        file["Streak_array"] = image
    content = plain.read_bytes()
    plain.unlink()
    for _ in range(times):
        content = gzip.compress(content, 1)
    path.write_bytes(content)
    return path


def measure_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "unpacked"


@pytest.fixture
def packed_file(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    return pack(tmp_path / "archive" / "image.hdf")


class TestReading:
    @pytest.mark.parametrize("times", [1, 2])
    def test_as_if_not_packed(self, tmp_path: Path, folder: Path, times: int) -> None:
        """A file compressed once or twice is read like the file itself."""
        path = pack(tmp_path / "a.hdf", times=times)

        assert detect_format(path) == "gzip"
        assert np.array_equal(read(path, unpack=Unpacker(folder, 16 * MIB))["Streak_array"].values, IMAGE)

    def test_too_often(self, tmp_path: Path, folder: Path) -> None:
        """A file compressed more often is refused."""
        path = pack(tmp_path / "a.hdf", times=3)

        with pytest.raises(Unreadable, match="more than 2 times over"):
            read(path, unpack=Unpacker(folder, 16 * MIB))

    def test_nowhere(self, packed_file: Path) -> None:
        """Without a folder, a compressed file is refused."""
        with pytest.raises(Unreadable, match="no folder to unpack it in"):
            read(packed_file)

    def test_catalog(self, packed_file: Path, folder: Path) -> None:
        """A catalog unpacks a file once, and again after it was removed to make room."""
        catalog = Catalog(
            DirectoryArchive(packed_file.parent), packed_file.parent, unpacker=Unpacker(folder, 16 * MIB), cache_bytes=0
        )
        first = catalog.open("image.hdf")["Streak_array"][0].values
        [unpacked] = folder.iterdir()
        number = unpacked.stat().st_ino
        catalog.open("image.hdf")
        same = unpacked.stat().st_ino
        unpacked.unlink()
        again = catalog.open("image.hdf")["Streak_array"][0].values

        assert same == number
        assert np.array_equal(first, IMAGE[0])
        assert np.array_equal(again, IMAGE[0])

    def test_changed(self, packed_file: Path, folder: Path) -> None:
        """A changed file is unpacked as another file."""
        catalog = Catalog(DirectoryArchive(packed_file.parent), packed_file.parent, unpacker=Unpacker(folder, 16 * MIB))
        _ = catalog.open("image.hdf")["Streak_array"].values
        pack(packed_file, 65535 - IMAGE)
        os.utime(packed_file, ns=(1, 1))

        assert np.array_equal(catalog.open("image.hdf")["Streak_array"].values, 65535 - IMAGE)

    def test_settings(self, packed_file: Path, folder: Path, tmp_path: Path) -> None:
        """The folder is a setting."""
        site = tmp_path / "shotdap.toml"
        site.write_text('[archive]\nfolder = "archive"\n[catalog]\nunpack = "cache/unpacked"\nunpack_mib = 16\n')
        catalog = config.Site(config.load_settings(site)).open_catalog()

        assert np.array_equal(catalog.open(packed_file.name)["image"].values, IMAGE[0])
        assert len(list(folder.iterdir())) == 1

    def test_usual_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the setting, the folder is in the user's cache."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

        assert get_cache_folder() == tmp_path / "shotdap" / "unpacked"


class TestFolder:
    def test_content_is_the_name(self, packed_file: Path, folder: Path, tmp_path: Path) -> None:
        """Equal files are unpacked once, whatever their names."""
        (tmp_path / "twin").write_bytes(packed_file.read_bytes())
        unpack = Unpacker(folder, 16 * MIB)

        assert unpack(packed_file) == unpack(tmp_path / "twin")
        assert len(list(folder.iterdir())) == 1

    def test_bounded(self, tmp_path: Path, folder: Path) -> None:
        """The folder holds no more than its limit; the least recently used file is removed first."""
        unpack = Unpacker(folder, 4 * MIB)
        images = [np.full((5, 100, 1000), number, "u2") for number in range(6)]  # 1 MB each
        paths = [pack(tmp_path / f"{number}.hdf", image) for number, image in enumerate(images)]
        targets = []
        for age, path in enumerate(paths[:4]):
            targets.append(unpack(path))
            os.utime(targets[-1], (age, age))
        unpack.touch_file(targets[0])
        unpack(paths[4])

        assert [target.exists() for target in targets] == [True, False, True, True]
        assert measure_size(folder) <= 4 * MIB

    def test_bomb(self, tmp_path: Path, folder: Path) -> None:
        """A file that unpacks to more than a quarter of the folder is refused, and leaves nothing behind."""
        (tmp_path / "bomb").write_bytes(gzip.compress(bytes(64 * MIB)))

        with pytest.raises(Unreadable, match="unpacks to more than 1 MiB"):
            Unpacker(folder, 4 * MIB)(tmp_path / "bomb")
        assert list(folder.iterdir()) == []

    def test_damage(self, packed_file: Path, folder: Path) -> None:
        """A compressed file that is truncated or changed anywhere is refused, and leaves nothing behind."""
        whole, unpack = packed_file.read_bytes(), Unpacker(folder, 16 * MIB)
        rng = np.random.default_rng(10)
        for turn in range(60):
            at = int(rng.integers(10, len(whole)))
            changed = bytearray(whole)
            changed[at] ^= 1 << turn % 8
            packed_file.write_bytes(whole[:at] if turn % 2 else changed)

            with pytest.raises(Unreadable, match="damaged or cut short"):
                unpack(packed_file)
        assert list(folder.iterdir()) == []

    def test_missing(self, tmp_path: Path, folder: Path) -> None:
        """A file that does not exist is missing."""
        with pytest.raises(Missing):
            Unpacker(folder, MIB)(tmp_path / "nothing")

    def test_private(self, packed_file: Path, folder: Path) -> None:
        """Only the user may read the folder and its files."""
        target = Unpacker(folder, 16 * MIB)(packed_file)

        assert folder.stat().st_mode & 0o777 == 0o700
        assert target.stat().st_mode & 0o777 == 0o600

    def test_open_to_others(self, packed_file: Path, folder: Path) -> None:
        """A folder that others may enter is not used."""
        folder.mkdir(parents=True)
        folder.chmod(0o755)

        with pytest.raises(Unreadable, match="not this user's alone"):
            Unpacker(folder, 16 * MIB)(packed_file)

    def test_links(self, packed_file: Path, folder: Path, tmp_path: Path) -> None:
        """Neither the folder nor a file in it may be a link."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        folder.parent.mkdir()
        folder.symlink_to(elsewhere)
        with pytest.raises(Unreadable, match="is a link"):
            Unpacker(folder, 16 * MIB)(packed_file)
        folder.unlink()
        target = Unpacker(folder, 16 * MIB)(packed_file)
        target.unlink()
        (elsewhere / "victim").write_bytes(b"x")
        target.symlink_to(elsewhere / "victim")

        assert Unpacker(folder, 16 * MIB)(packed_file) == target
        assert not target.is_symlink()
        assert (elsewhere / "victim").read_bytes() == b"x"


class TestTogether:
    def test_threads(self, packed_file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """32 threads that read one file unpack it once."""
        unpack, original = Unpacker(folder, 16 * MIB), gzip.open
        unpackings: list[Path] = []

        def count_and_open(path: Path) -> object:
            unpackings.append(path)
            return original(path)

        monkeypatch.setattr(gzip, "open", count_and_open)
        start = threading.Barrier(32)

        def run(_number: int) -> Path:
            start.wait()
            return unpack(packed_file)

        with ThreadPoolExecutor(32) as pool:
            targets = set(pool.map(run, range(32)))

        assert len(targets) == len(unpackings) == 1

    def test_processes(self, tmp_path: Path, folder: Path) -> None:
        """Processes that share a folder too small for all files each get their files."""
        paths = [pack(tmp_path / f"{n}.hdf", np.full((5, 100, 1000), n, "u2")) for n in range(6)]
        program = (
            "import sys; from pathlib import Path; from shotdap.catalog import Unpacker;"
            f"unpack = Unpacker(Path({str(folder)!r}), {5 * MIB});"
            "[unpack(Path(path)) for _ in range(5) for path in sys.argv[1:]]"
        )
        orders = (paths, paths[::-1], paths[3:] + paths[:3])
        running = [subprocess.Popen([sys.executable, "-c", program, *map(str, order)]) for order in orders]

        assert [process.wait() for process in running] == [0, 0, 0]
        assert measure_size(folder) <= 5 * MIB

    def test_abandoned(self, packed_file: Path, folder: Path) -> None:
        """A partial file that another process abandoned is removed after some time."""
        unpack = Unpacker(folder, 16 * MIB)
        unpack(packed_file).unlink()
        (folder / ".old.part").write_bytes(b"x")
        os.utime(folder / ".old.part", (1, 1))
        (folder / ".new.part").write_bytes(b"x")
        unpack(packed_file)

        assert not (folder / ".old.part").exists()
        assert (folder / ".new.part").exists()


def test_real(data_file: Callable[[str], Path], tmp_path: Path, folder: Path) -> None:
    """A real image that was compressed is read with the same values."""
    path = data_file("real/P510_2-s103741.h5")
    (tmp_path / "packed.hdf").write_bytes(gzip.compress(path.read_bytes(), 1))
    name = "Streak_array"

    found = read(tmp_path / "packed.hdf", unpack=Unpacker(folder, 64 * MIB))

    assert np.array_equal(found[name].values, read(path)[name].values)
    assert found[name].attrs.keys() == read(path)[name].attrs.keys()
