"""Folders that belong to this user alone."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from shotdap.catalog.entry import Unreadable


def ensure_private_folder(path: Path, error_prefix: str) -> None:
    """Make a folder, or check that it is this user's alone.

    Args:
        path: of the folder; the folders above it are made, too.
        error_prefix: the beginning of error messages: ``The folder of frames``.

    Raises:
        Unreadable: the folder cannot be made, or is not this user's alone.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
    except OSError as error:
        raise Unreadable(f"{error_prefix} cannot be made: {error.strerror}.") from error
    is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    if not is_private:
        raise Unreadable(f"{error_prefix} is a link, or not this user's alone.")
