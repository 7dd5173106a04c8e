"""Files and folders that are there whole or not at all, whoever is killed meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

__all__ = ["remove_path", "write_atomically"]


@contextmanager
def write_atomically(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """A path to write to, whose file or folder takes its place when the block ends well.

    Args:
        path: where it is to be; what was there is replaced.
        temporary: a folder of the same file system, for what is not whole yet; without it, the file's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = temporary or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{uuid4().hex}.part"
    try:
        yield draft
        if draft.is_dir():
            remove_path(path)
        draft.replace(path)
    finally:
        remove_path(draft)


def remove_path(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
