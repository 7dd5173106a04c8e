"""Files with secrets in a user's home: replaced as a whole, and read by nobody else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

PRIVATE: Final = 0o600
_SHARED: Final = 0o077


def read_text(path: Path) -> str:
    """Return the content of a file, an empty text if there is none; its bytes survive a round trip.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def write_text(path: Path, text: str) -> None:
    """Replace the content of a file at once, or create it; only its owner may read it afterwards.

    A link is followed: the file that it names is replaced.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    target = path.resolve()
    with NamedTemporaryFile(
        "w", encoding="utf-8", errors="surrogateescape", dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as file:
        try:
            os.fchmod(file.fileno(), PRIVATE)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def is_read_by_others(path: Path) -> bool:
    """Check whether others than the owner may read or change a file that exists."""
    return bool(stat.S_IMODE(path.stat().st_mode) & _SHARED)
