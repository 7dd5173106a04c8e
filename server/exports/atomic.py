"""Write files and folders so that they are complete or absent, even if the process is killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def write_atomically(path: Path, drafts_folder: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path, whose file or folder is moved to `path` when the block ends without an error.

    Args:
        path: the final path; what exists there is replaced.
        drafts_folder: a folder of the same file system for incomplete files; `None` for the folder of `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = drafts_folder or path.parent
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
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
