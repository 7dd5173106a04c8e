"""SQLite files on network file systems."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.serving import run_shotdap

from shotdap.config import BadSettings
from shotdap.config.database_files import check_database_file, find_file_system

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:50 / /lab/shared\\040data rw,relatime - nfs4 server:/export rw,vers=4.2
41 22 0:51 / /lab/home rw,relatime - autofs systemd-1 rw
42 22 0:52 / /lab/home rw,relatime shared:2 - fuse.sshfs user@host:/ rw
43 40 8:2 / /lab/shared\\040data/fast rw,relatime - xfs /dev/sdb1 rw
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A table of mounts."""
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/shotdap/catalog.db", "ext4"),
        ("/lab/shared data/catalog.db", "nfs4"),
        ("/lab/shared data/fast/catalog.db", "xfs"),
        ("/lab/shared data2/catalog.db", "ext4"),
        ("/lab/home/ann/exports/jobs.db", "fuse.sshfs"),
    ],
)
def test_file_systems(path: str, kind: str, mounts: Path) -> None:
    """A path is on the innermost file system, and on the one that was mounted last."""
    assert find_file_system(Path(path), mounts) == kind


def test_refusal(mounts: Path) -> None:
    """A file on a network file system is refused in a sentence that says what to do."""
    check_database_file("catalog.index", Path("/var/lib/catalog.db"), mounts)
    with pytest.raises(BadSettings, match=r"^exports\.folder: .* network file system \(nfs4\).* catalog\.url"):
        check_database_file("exports.folder", Path("/lab/shared data/exports/jobs.db"), mounts)


def test_this_machine(tmp_path: Path) -> None:
    """The table of this machine's mounts is understood: no disk here is taken for a network."""
    assert find_file_system(tmp_path / "catalog.db")
    assert run_shotdap("catalog", "migrate", "--config", _write_settings(tmp_path)).returncode == 0


def _write_settings(folder: Path) -> Path:
    path = folder / "shotdap.toml"
    path.write_text('[catalog]\nindex = "catalog.db"\n')
    return path
