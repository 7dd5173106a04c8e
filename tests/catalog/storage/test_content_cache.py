"""Local copies: content by its hash, shared by all locations and workers, within a limit."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shotdap.catalog import FileCache, Unreadable, Version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def store(cache: FileCache, place: str, content: bytes, modified: int = 10**18) -> Version:
    version = cache.make_version(place, size=len(content), modified=modified)
    cache.ensure_content(version, lambda: iter([content[:3], content[3:]]))
    return version


def test_content_addressed(folder: Path) -> None:
    """Equal bytes from two locations are stored once, by their SHA-256."""
    cache = FileCache(folder, 1 << 20)
    versions = {store(cache, place, b"content") for place in ("a", "b")}
    files = [path for path in folder.iterdir() if not path.is_symlink()]

    assert len(versions) == 2
    assert [path.name for path in files] == [hashlib.sha256(b"content").hexdigest()]
    assert all(version.path.read_bytes() == b"content" for version in versions)


def test_last(folder: Path) -> None:
    """The last version of a location is available, unless its bytes were never fetched or were removed."""
    cache = FileCache(folder, 1 << 20)
    old, new = store(cache, "old", b"content"), cache.make_version("new", size=9, modified=1)
    cache.save_last_version(old, "place")
    before = cache.find_last_version("place"), cache.find_last_version("elsewhere")
    cache.save_last_version(new, "place")

    assert before == (old, None)
    assert cache.find_last_version("place") is None


def test_bounded(folder: Path) -> None:
    """The folder holds no more than its limit; the least recently used content is removed first, with its names."""
    cache = FileCache(folder, 1000)
    versions = [store(cache, str(number), bytes([number]) * 200) for number in range(20)]
    files = [path for path in folder.iterdir() if not path.is_symlink()]

    assert sum(path.stat().st_size for path in files) <= 1000
    assert len(list(folder.iterdir())) <= 2 * len(files) + 1  # a name is removed when the next file is stored
    assert versions[-1].path.read_bytes() == bytes([19]) * 200
    assert not versions[0].path.exists()


def test_refetching(folder: Path) -> None:
    """Removed content is fetched again, and is the same."""
    cache = FileCache(folder, 1000)
    for number in (1, 2, 3, 4, 5, 6, 1):
        version = store(cache, str(number), bytes([number]) * 200)

        assert version.path.read_bytes() == bytes([number]) * 200


@pytest.mark.parametrize("size", [6, 8])
def test_not_whole(folder: Path, size: int) -> None:
    """Content that is shorter or longer than announced is refused, and nothing of it remains."""
    cache = FileCache(folder, 1000)
    version = cache.make_version("a", size=size, modified=0)
    with pytest.raises(Unreadable, match="whole"):
        cache.ensure_content(version, lambda: iter([b"1234567"]))

    assert list(folder.iterdir()) == []


def test_broken_off(folder: Path) -> None:
    """An interrupted transfer leaves nothing behind, and the next one succeeds."""
    cache = FileCache(folder, 1000)
    version = cache.make_version("a", size=4, modified=0)

    def read_broken() -> Iterator[bytes]:
        yield b"ab"
        raise Unreadable("The connection was lost.")

    with pytest.raises(Unreadable, match="lost"):
        cache.ensure_content(version, read_broken)
    assert list(folder.iterdir()) == []
    cache.ensure_content(version, lambda: iter([b"abcd"]))

    assert version.path.read_bytes() == b"abcd"


def test_threads(folder: Path) -> None:
    """Many requests for one version fetch it once."""
    cache, asked = FileCache(folder, 1000), []
    version = cache.make_version("a", size=4, modified=0)

    def read_pieces() -> Iterator[bytes]:
        asked.append(1)
        yield b"abcd"

    threads = [threading.Thread(target=cache.ensure_content, args=(version, read_pieces)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert asked == [1]


def test_foreign_link(folder: Path, tmp_path: Path) -> None:
    """A name that someone turned into a link out of the folder is not followed."""
    cache = FileCache(folder, 1000)
    version = store(cache, "a", b"abcd")
    (tmp_path / "secret").write_bytes(b"evil")
    version.path.unlink()
    version.path.symlink_to(tmp_path / "secret")
    store(cache, "a", b"abcd")

    assert version.path.read_bytes() == b"abcd"


def test_open_folder(folder: Path) -> None:
    """A folder that others may enter is not used."""
    folder.mkdir(mode=0o755)
    with pytest.raises(Unreadable, match=r"archive\.cache"):
        store(FileCache(folder, 1000), "a", b"abcd")
