"""A directory tree as an archive and as an index: its whole content, and nothing outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.contracts.archive import ArchiveContract
from tests.contracts.index import IndexContract, list_all_children, walk_index

from shotdap.catalog import DirectoryArchive, NotFound, TooSlow
from shotdap.catalog.time_limit import limit_time

NAMES = ("asbo1_s62328.hdf", "PCIS-[phosphor] é.h5", "a b.hdf", "_x5B_.hdf", "100%.hdf", "größe.hdf", "no extension")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with odd names, hidden files, and a secret beside it."""
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    for number, name in enumerate((*NAMES, "sub/asbo1_s62328.hdf", "sub/deep/last.hdf")):
        (root / name).write_text("content")
        os.utime(root / name, (number, number))
    (root / ".hidden").write_text("hidden")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("hidden")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "secret.hdf").write_text("secret")
    return root


@pytest.fixture
def folder(root: Path) -> DirectoryArchive:
    return DirectoryArchive(root)


class TestAsArchive(ArchiveContract):
    @pytest.fixture
    def archive(self, folder: DirectoryArchive) -> DirectoryArchive:
        return folder


class TestAsIndex(IndexContract):
    @pytest.fixture
    def index(self, folder: DirectoryArchive) -> DirectoryArchive:
        return folder


class TestNames:
    def test_every_name(self, folder: DirectoryArchive) -> None:
        """Files with any names are listed, and found by their listed names."""
        files = [
            folder.find_entry(child.path).file for child in list_all_children(folder, "", 100) if not child.is_folder
        ]

        assert sorted(files) == sorted(NAMES)

    def test_bytes_that_are_no_text(self, root: Path, folder: DirectoryArchive) -> None:
        """A file whose name is not text is served under an escaped name, and omitted from rows for a database."""
        (root / os.fsdecode(b"caf\xe9.hdf")).write_text("content")

        assert folder.find_entry("caf_xDCE9_.hdf").facts["name"] == os.fsdecode(b"caf\xe9.hdf")
        assert all(row.key.isprintable() for row in folder.read_rows())

    def test_new_file(self, root: Path, folder: DirectoryArchive) -> None:
        """A file is available as soon as it is written, and among the archive's new rows whatever its date."""
        watermark = max(float(str(row.version)) for row in folder.read_rows())
        (root / "new.hdf").write_text("content")
        os.utime(root / "new.hdf", (0, 0))

        assert folder.find_entry("new.hdf").file == "new.hdf"
        assert "new.hdf" in [row.key for row in folder.read_rows(watermark)]


class TestBounds:
    def test_hidden(self, folder: DirectoryArchive) -> None:
        """Hidden files and folders are not listed, found or archived."""
        assert all("hidden" not in child.path and "git" not in child.path for child in walk_index(folder))
        assert all("hidden" not in row.file and "git" not in row.file for row in folder.read_rows())

    @pytest.mark.parametrize("path", [".hidden", "_x2E_hidden", ".git/config", "_x2E_git/config"])
    def test_hidden_by_name(self, folder: DirectoryArchive, path: str) -> None:
        """A hidden file is not found by any spelling of its name."""
        with pytest.raises(NotFound):
            folder.find_entry(path)

    @pytest.mark.parametrize("path", ["link.hdf", "linked/secret.hdf"])
    def test_links_out(self, root: Path, folder: DirectoryArchive, path: str) -> None:
        """A link out of the tree is not found, listed or archived."""
        (root / "link.hdf").symlink_to(root.parent / "secret" / "secret.hdf")
        (root / "linked").symlink_to(root.parent / "secret")

        with pytest.raises(NotFound):
            folder.find_entry(path)
        assert not {"link.hdf", "linked"} & {child.name for child in list_all_children(folder, "", 100)}
        assert all("link" not in row.file for row in folder.read_rows())

    def test_link_inside(self, root: Path, folder: DirectoryArchive) -> None:
        """A link to a file of the tree counts as a file of the tree."""
        (root / "alias.hdf").symlink_to("asbo1_s62328.hdf")

        assert folder.find_entry("alias.hdf").file == "alias.hdf"
        assert "alias.hdf" in {child.name for child in list_all_children(folder, "", 100)}

    def test_links_to_nowhere(self, root: Path, folder: DirectoryArchive) -> None:
        """Broken links, cycles of links and pipes are ignored, and disturb nothing."""
        (root / "broken").symlink_to("nonesuch")
        (root / "ring").symlink_to("gnir")
        (root / "gnir").symlink_to("ring")
        os.mkfifo(root / "pipe")

        assert not {"broken", "ring", "gnir", "pipe"} & {child.name for child in list_all_children(folder, "", 100)}
        assert len(list(folder.read_rows())) == len(NAMES) + 2
        for name in ("broken", "ring", "pipe"):
            with pytest.raises(NotFound):
                folder.find_entry(name)

    def test_no_root(self, tmp_path: Path) -> None:
        """A missing folder is empty."""
        with pytest.raises(NotFound):
            DirectoryArchive(tmp_path / "nonesuch").list_children("")


def test_a_limited_search(folder: DirectoryArchive) -> None:
    """A search ends when its time is over."""
    with pytest.raises(TooSlow, match="Ask for less"), limit_time(0.0):
        folder.search("name:*")
