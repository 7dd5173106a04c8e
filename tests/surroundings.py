"""Surroundings that are hard to come by: a user without rights, a disk that is full."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["small_disk", "without_rights"]


@contextmanager
def without_rights() -> Iterator[None]:
    """Give up the rights of root, where this process has them, for as long as the block lasts.

    What the block calls must have been imported before: this Python may lie where nobody else may read.
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
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """Make a folder a disk of its own, of a size as `mount` has it; skip where that cannot be."""
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    if mount is None or umount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here, to be full")
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)
