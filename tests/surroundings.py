"""Conditions that are hard to set up: a user without rights, a disk that is full."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["drop_rights", "mount_small_disk"]


@contextmanager
def drop_rights() -> Iterator[None]:
    """Drop the rights of root, if this process has them, while the block lasts.

    Modules must be imported before the block: other users may not be able to read this Python's folder.
    """
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def mount_small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """Mount a disk of its own size on a folder, the size as `mount` accepts it; skip the test if that is impossible."""
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    if mount is None or umount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here, to be full")
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)
