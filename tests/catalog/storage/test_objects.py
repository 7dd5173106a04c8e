"""Objects, fetched once per version from a real server, and only below configured prefixes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.object_store import ObjectStore, storing

from shotdap.catalog import (
    Catalog,
    Entry,
    FileCache,
    FolderPage,
    LocalStore,
    Missing,
    NotFound,
    S3ObjectStore,
    SchemeStore,
    TimeDirection,
    Unreadable,
)

CONTENT = bytes(range(256)) * 40_000  # 10 MB: several pieces


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with storing(tmp_path_factory.mktemp("objects") / "log") as server:
        server.put("omega/1.hdf", CONTENT)
        server.put("secret.hdf", b"secret")
        server.put("omega-ep/1.hdf", b"secret")
        yield server


@pytest.fixture
def objects(server: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3ObjectStore:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    cache = FileCache(tmp_path / "cache", 100 << 20)
    return S3ObjectStore(("s3://shots/omega/",), cache, server.url, "us-east-1", timeout=5)


class TestObjects:
    def test_fetched(self, objects: S3ObjectStore) -> None:
        """An object is read from a local copy, which has its size and its time."""
        version = objects.get_version("s3://shots/omega/1.hdf")
        objects.fetch_file("s3://shots/omega/1.hdf", version)
        status = version.path.stat()

        assert version.path.read_bytes() == CONTENT
        assert (status.st_size, status.st_mtime_ns) == (version.size, version.modified)

    def test_fetched_once(self, objects: S3ObjectStore, server: ObjectStore) -> None:
        """An object is fetched once, even by several workers."""
        version = objects.get_version("s3://shots/omega/1.hdf")
        objects.fetch_file("s3://shots/omega/1.hdf", version)
        content = version.path.resolve()
        inode = content.stat().st_ino
        other = FileCache(version.path.parent, 100 << 20)
        other.ensure_content(version, lambda: pytest.fail(f"asked {server.url} again"))

        assert version.path.resolve().stat().st_ino == inode

    def test_replaced(self, objects: S3ObjectStore, server: ObjectStore) -> None:
        """A replaced object is another version, even if its size is the same; the old one is not available."""
        file = "s3://shots/omega/replaced.hdf"
        server.put("omega/replaced.hdf", b"a" * 100)
        old = objects.get_version(file)
        time.sleep(1.1)  # S3 times have a resolution of a second
        server.put("omega/replaced.hdf", b"b" * 100)
        new = objects.get_version(file)
        objects.fetch_file(file, new)

        assert new.path != old.path
        assert new.path.read_bytes() == b"b" * 100
        with pytest.raises(Unreadable, match="changed"):
            objects.fetch_file(file, old)

    def test_missing(self, objects: S3ObjectStore) -> None:
        """An object that does not exist is missing."""
        with pytest.raises(Missing):
            objects.get_version("s3://shots/omega/nonesuch.hdf")

    @pytest.mark.parametrize(
        "file",
        ["s3://shots/secret.hdf", "s3://shots/omega/../secret.hdf", "s3://shots/omega/./1.hdf", "s3://shots/omega//1.hdf",
         "s3://other/omega/1.hdf", "s3://shots/omega-ep/1.hdf", "s3://shots/omega", "s3://shots/", "s3://", "s3:///omega/1",
         "s3://shots/omega/a\0b", "s3://shots/omega/%2e%2e/secret.hdf"],
    )  # fmt: skip
    def test_outside(self, objects: S3ObjectStore, file: str) -> None:
        """No object outside the prefixes is read, however its name is written."""
        with pytest.raises(Unreadable, match=r"\.$"):
            objects.get_version(file)

    def test_unreachable_store(self, tmp_path: Path) -> None:
        """The error for a store that does not respond is a sentence without its location."""
        objects = S3ObjectStore(
            ("s3://shots/",), FileCache(tmp_path / "c", 1 << 20), "http://127.0.0.1:9", "x", timeout=0.2
        )
        with pytest.raises(Unreadable, match="does not answer") as caught:
            objects.get_version("s3://shots/1.hdf")

        assert "127.0.0.1" not in str(caught.value)

    def test_too_great(self, objects: S3ObjectStore, tmp_path: Path) -> None:
        """An object larger than the cache is refused before it is fetched."""
        small = S3ObjectStore(
            objects.prefixes, FileCache(tmp_path / "small", 4 << 20), objects.endpoint, objects.region
        )
        version = small.get_version("s3://shots/omega/1.hdf")
        with pytest.raises(Unreadable, match="limit"):
            small.fetch_file("s3://shots/omega/1.hdf", version)


class Rows:
    """An index of one entry."""

    def __init__(self, file: str) -> None:
        self.entry = Entry("image", file)

    def find_entry(self, path: str) -> Entry:
        assert path == "image"
        return self.entry

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        raise NotFound(f"{path}, {after}, {limit}")

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """Return nothing: the entry has no neighbours."""


def test_served(objects: S3ObjectStore, server: ObjectStore, tmp_path: Path) -> None:
    """A catalog opens an image in an object store, again also after its copy was removed to make room."""
    server.put("omega/image.json", b'{"image": [[1, 2], [3, 4]]}')
    catalog = Catalog(Rows("S3://shots/omega/image.json"), SchemeStore(LocalStore(tmp_path), {"s3": objects}))
    first = catalog.open("image").image.values.tolist()
    for copy in (tmp_path / "cache").iterdir():
        copy.unlink()

    assert first == catalog.open("image").image.values.tolist() == [[1, 2], [3, 4]]


def test_served_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is unreachable, an image is read from its last copy; without a copy, or if changed, it is not."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    files = {name: f"s3://shots/{name}.hdf" for name in ("read", "seen", "changed")}
    with storing(tmp_path / "log") as server:
        objects = S3ObjectStore(
            ("s3://shots/",), FileCache(tmp_path / "cache", 1 << 20), server.url, "us-east-1", timeout=1
        )
        for name in files:
            server.put(f"{name}.hdf", name.encode())
        before = objects.get_version(files["read"])
        objects.get_version(files["seen"])
        for name in ("read", "changed"):
            objects.fetch_file(files[name], objects.get_version(files[name]))
        server.put("changed.hdf", b"otherwise")
        objects.get_version(files["changed"])
    after = objects.get_version(files["read"])
    objects.fetch_file(files["read"], after)

    assert after == before
    assert after.path.read_bytes() == b"read"
    for name in ("seen", "changed"):
        with pytest.raises(Unreadable, match="does not answer"):
            objects.get_version(files[name])


@given(st.text())
def test_any_text(file: str) -> None:
    """Any text is refused, or gives a key below a prefix."""
    objects = S3ObjectStore(("s3://shots/omega/",), FileCache(Path("nonesuch"), 1 << 20))
    try:
        bucket, key = objects.parse_url(f"s3://{file}")
    except Unreadable:
        return

    assert bucket == "shots"
    assert key.startswith("omega/")
