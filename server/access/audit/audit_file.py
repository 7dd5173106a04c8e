"""The file of the audit: lines that several processes append, and that are moved away when they are many.

Each append holds a lock, which ends with its process. Whoever appends next removes the half line of a process that was
killed while it wrote, and readers ignore it: so there is never half a line to read. Each append opens the file anew:
other programs may move it away, too.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_LINE_BYTES: Final = 4096
"""Bytes of a line, its end included."""

_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True)
class AuditFile:
    """A file of lines, and older ones beside it: ``audit.jsonl``, ``audit.jsonl.1``, and the oldest last."""

    path: Path
    rotate_bytes: int
    """The file is moved away before it would be larger."""
    keep: int
    """Number of older files that are kept."""

    def append(self, lines: bytes) -> None:
        """Append complete lines.

        Raises:
            OSError: they cannot be written.
        """
        with self._lock(fcntl.LOCK_EX):
            descriptor = self._open()
            try:
                size = _remove_half_line(descriptor)
                if size and size + len(lines) > self.rotate_bytes:
                    os.close(descriptor)
                    self._rotate()
                    descriptor = self._open()
                rest = memoryview(lines)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)

    def iter_lines(self) -> Iterator[bytes]:
        """Yield all complete lines, the oldest first.

        Raises:
            OSError: a file cannot be read.
        """
        with ExitStack() as stack:
            with self._lock(fcntl.LOCK_SH):  # files that are open stay what they are
                files = [stack.enter_context(path.open("rb")) for path in self._list_files()]
            for file in files:
                yield from (line for line in file if line.endswith(b"\n"))

    def _list_files(self) -> list[Path]:
        """Return the files, the oldest first."""
        numbers = sorted(
            (int(number), path)
            for path in self.path.parent.glob(f"{self.path.name}.*")
            if (number := path.name.removeprefix(f"{self.path.name}.")).isdecimal()
        )
        return [path for _, path in reversed(numbers)] + ([self.path] if self.path.exists() else [])

    def _rotate(self) -> None:
        numbered = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, self.keep + 1))]
        for newer, older in zip(reversed(numbered[:-1]), reversed(numbered[1:]), strict=True):
            if newer.exists():
                newer.replace(older)

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)

    @contextmanager
    def _lock(self, operation: int) -> Iterator[None]:
        lock = os.open(
            self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY
        )
        try:
            fcntl.flock(lock, operation)
            yield
        finally:
            os.close(lock)


def _remove_half_line(descriptor: int) -> int:
    """Remove an incomplete line at the end of a file; return its size."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, MAX_LINE_BYTES, max(size - MAX_LINE_BYTES, 0))
    if not tail or tail.endswith(b"\n"):
        return size
    complete = size - len(tail) + tail.rfind(b"\n") + 1
    os.ftruncate(descriptor, complete)
    return complete
