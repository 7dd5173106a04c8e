"""The bytes of a file as they are; errors of the file system become the catalog's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.storage.versioned_file import FilePath


@contextmanager
def open_bytes(path: FilePath, buffering: int = -1) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes; an error of the file system in the block is one of reading this file.

    Raises:
        Missing: there is no such file.
        Unreadable: the file cannot be read.
    """
    try:
        with path.open("rb", buffering=buffering) as file:
            yield file
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable(f"The file cannot be read: {error.strerror}.") from error


def hash_file(path: FilePath) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        Missing: there is no such file.
        Unreadable: the file cannot be read.
    """
    with open_bytes(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # IO lacks readinto
