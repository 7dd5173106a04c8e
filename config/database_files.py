"""Refuse SQLite files on network file systems.

SQLite's write-ahead log is shared memory of the processes of one machine. On a network file system another machine sees
the file without that memory, and locks often do not work: the database is damaged, without any message.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from shotdap.config.settings import BadSettings, Settings

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK_TYPES: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "gfs", "gfs2", "ocfs2", "gpfs"),
        *("lustre", "beegfs", "pvfs2", "orangefs", "panfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs"),
        *("fuse.rclone", "fuse.cephfs", "fuse.mfs", "fuse.gcsfuse", "fuse.davfs", "fuse.curlftpfs", "fuse.moosefs"),
    }
)
"""Types of file systems whose files other machines may change, as the kernel names them."""
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")  # of a space and others, in the table of mounts


def check_database_files(settings: Settings) -> None:
    """Refuse settings by which a database of the server would be an SQLite file on a network file system.

    Raises:
        BadSettings: one would be; the message names the setting, and says what to do.
    """
    if settings.catalog.url:
        return
    if settings.archive.folder is None:
        check_database_file("catalog.index", settings.catalog.index)
    if settings.exports.folder is not None:
        check_database_file("exports.folder", settings.exports.folder / "jobs.db")
    if settings.access.mode != "open" or settings.webhooks.targets:
        check_database_file("access.database", settings.access.database)


def check_database_file(setting: str, path: Path, mounts: Path = _MOUNTS) -> None:
    """Refuse an SQLite file on a network file system.

    Args:
        setting: the name of the setting that leads to the file.
        path: of the file, which need not exist.
        mounts: the kernel's table of mounts.

    Raises:
        BadSettings: the file would be on one.
    """
    kind = find_file_system(path, mounts)
    if kind in _NETWORK_TYPES:
        raise BadSettings(
            f"{setting}: {path} is on a network file system ({kind}), which damages SQLite's databases. Use a folder on"
            " a disk of this machine, or set catalog.url to a PostgreSQL database."
        )


def find_file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system that a path is on, as the kernel names it; empty if that is not known.

    Args:
        path: which need not exist; links are followed.
        mounts: the kernel's table of mounts.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:  # another system than Linux
        return ""
    found, longest = "", -1
    resolved = path.resolve()
    for line in lines:
        place, _, kind = line.partition(" - ")
        mount_point = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), place.split(" ")[4]))
        depth = len(mount_point.parts)
        if depth >= longest and resolved.is_relative_to(mount_point):  # of two at one place, the later hides the other
            found, longest = kind.split(" ")[0], depth
    return found
