"""A file looked at whole: its hash, its arrays, and whether all of it can be read.

Of 60 single-bit flips in the compressed data of a real file 53 gave an error and 6 a wrong picture without one. Only a
hash taken when the file was good tells those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from shotdap.catalog import readers
from shotdap.catalog.entry import FileInspection, Missing, Unreadable
from shotdap.catalog.storage import FilePath, VersionedFile

__all__ = ["hash_file", "inspect_file"]

_BLOCK_BYTES = 32 << 20  # bytes of values read at a time
_MAX_ATTRIBUTE_VALUES = 64  # of one attribute; more than that is no property of the image


def inspect_file(path: Path, content: Path, attributes: Collection[str] = ()) -> FileInspection:
    """Hash a file and read every value in it, a piece at a time.

    Args:
        path: the file.
        content: what is in it, where it is packed; else the file again.
        attributes: the names of those to tell the values of, in whatever group or array they are.

    Raises:
        Missing: there is no such file.
        Changed: it changed meanwhile.
        Unreadable: it cannot be read, or not all of it; the message says why.
    """
    file = VersionedFile.from_path(path)
    with file.read_consistently():
        sha256 = hash_file(file)
        dataset = readers.read(file if content == path else content)
        for variable in dataset.variables.values():
            _read_values(variable)
    structure = {
        str(name): f"{variable.dtype.name}[{','.join(map(str, variable.shape))}]"
        for name, variable in dataset.variables.items()
    }
    return FileInspection(
        sha256, file.version.size, file.version.modified, structure, _collect_attributes(dataset, attributes)
    )


def hash_file(path: FilePath) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        Missing: there is no such file.
        Unreadable: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # IO lacks readinto
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except OSError as error:
        raise Unreadable(f"The file cannot be read: {error.strerror}.") from error


def _collect_attributes(dataset: xr.Dataset, wanted: Collection[str]) -> dict[str, list[str]]:
    """The values of attributes, each once and as text; an attribute of a group is called ``GROUP/NAME``."""
    told: dict[str, dict[str, None]] = {}
    holders: Iterable[Any] = (dataset, *dataset.variables.values()) if wanted else ()
    for path, value in chain.from_iterable(holder.attrs.items() for holder in holders):
        name = str(path).rpartition("/")[2]
        if name in wanted:
            told.setdefault(name, {}).update(dict.fromkeys(map(str, np.atleast_1d(value).tolist())))
    return {name: list(values)[:_MAX_ATTRIBUTE_VALUES] for name, values in told.items()}


def _read_values(variable: xr.Variable) -> None:
    if not variable.ndim:
        np.asarray(variable.values)
        return
    length = variable.shape[0]
    step = max(1, _BLOCK_BYTES // max(1, variable.nbytes // max(1, length)))
    for start in range(0, length, step):
        np.asarray(variable[start : start + step].values)
