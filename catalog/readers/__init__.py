"""Readers: one module for each format; the content of a file selects the reader, never its extension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import xarray as xr

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.readers import hdf4, hdf5, json_document, netcdf3, png_jpeg, tiff
from shotdap.catalog.readers.gunzip import UnpackFunction, refuse_packed_file
from shotdap.catalog.readers.lazy import bind_memo_to_version, wrap_decoder_errors
from shotdap.catalog.storage import FilePath, VersionedFile
from shotdap.transforms import Memo, no_memo

__all__ = ["READERS", "Reader", "detect_format", "find_content", "find_content_path", "read"]


class Reader(Protocol):
    """Opens files of one format."""

    def __call__(self, path: FilePath, memo: Memo, /) -> xr.Dataset:
        """Read a file's headers; its arrays are lazy.

        `read` and `create_lazy_variable` ensure that the file stays the same version now and when the arrays are read.
        A library that opens files by name gets ``os.fspath(path)`` again for each read.

        Names are safe for every client (see `names`), ``/`` separates groups, coordinates have no index, and attributes
        are normalized (see `normalize_attributes`). The attribute ``omitted`` names each array that cannot be carried.

        Raises:
            Unreadable: the file is damaged, or its format is not the one that its first bytes name.
        """
        ...


READERS: Mapping[str, Reader] = MappingProxyType({
    "HDF4": hdf4.read,
    "HDF5": hdf5.read,
    "netCDF-3": netcdf3.read,
    "TIFF": tiff.read,
    "PNG": png_jpeg.read_png,
    "JPEG": png_jpeg.read_jpeg,
    "JSON": json_document.read,
})  # fmt: skip


@dataclass(frozen=True)
class _Signature:
    """The bytes that files of one format begin with."""

    format: str
    magic: bytes


_GZIP = "gzip"
_SIGNATURES = (
    _Signature("HDF4", b"\x0e\x03\x13\x01"),
    _Signature("HDF5", b"\x89HDF\r\n\x1a\n"),
    _Signature("netCDF-3", b"CDF\x01"),
    _Signature("netCDF-3", b"CDF\x02"),
    _Signature("netCDF-3", b"CDF\x05"),
    _Signature("TIFF", b"II*\0"),
    _Signature("TIFF", b"MM\0*"),
    _Signature("TIFF", b"II+\0"),  # BigTIFF
    _Signature("TIFF", b"MM\0+"),
    _Signature("PNG", b"\x89PNG\r\n\x1a\n"),
    _Signature("JPEG", b"\xff\xd8\xff"),
    _Signature(_GZIP, b"\x1f\x8b"),
)
_HTML_PREFIXES = (b"<!doctype html", b"<html")
_JSON_PREFIXES = (b"{", b"[")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_GZIP_LAYERS = 2  # files compressed twice occur; one compressed more often was made to do harm
_HEAD_SIZE = 512  # bytes inspected; an HDF5 file may begin with a user block of 512, 1024, … bytes
_HDF5_USER_BLOCK_SIZES = (512, 1024, 2048, 4096)  # HDF5 file format specification, III.A, superblock


def read(path: Path | VersionedFile, memo: Memo = no_memo, unpack: UnpackFunction = refuse_packed_file) -> xr.Dataset:
    """Read the headers of a file in any format; its arrays are lazy.

    Headers and arrays belong to one version of the file, or reading them raises `Changed`.

    Args:
        path: the file, or a version of it.
        memo: keeps decoded frames; see `lazy`.
        unpack: decompresses a gzip file; see `gunzip`.

    Raises:
        Missing: there is no such file.
        Unreadable: the file is damaged, or no reader knows its format.
    """
    content = find_content(path if isinstance(path, VersionedFile) else VersionedFile.from_path(path), unpack)
    with content.read_consistently(), wrap_decoder_errors():
        return READERS[detect_format(content)](content, bind_memo_to_version(memo, content))


def find_content_path(path: Path, unpack: UnpackFunction) -> Path:
    """Return the path of the file to read: the decompressed content of a gzip file, else the file itself."""
    return find_content(VersionedFile.from_path(path), unpack).version.path


def find_content(file: VersionedFile, unpack: UnpackFunction) -> VersionedFile:
    """Return the file to read: the decompressed content of a gzip file, else the file itself.

    Raises:
        Missing: there is no such file.
        Changed: the file is another version by now.
        Unreadable: the file cannot be decompressed, or was compressed too often.
    """
    for _ in range(_MAX_GZIP_LAYERS):
        with file.read_consistently():
            if detect_format(file) != _GZIP:
                return file
            content = unpack(file)
        file = VersionedFile.from_immutable_path(content)
    with file.read_consistently():
        if detect_format(file) == _GZIP:
            raise Unreadable(f"The file is packed by gzip more than {_MAX_GZIP_LAYERS} times over.")
    return file


def detect_format(path: FilePath) -> str:
    """Return the name of a file's format, which its first bytes tell.

    Raises:
        Missing: there is no such file.
        Unreadable: the file is empty, or its format is unknown.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_SIZE)
            for signature in _SIGNATURES:
                if head.startswith(signature.magic):
                    return signature.format
            for offset in _HDF5_USER_BLOCK_SIZES:
                file.seek(offset)
                if file.read(8) == b"\x89HDF\r\n\x1a\n":
                    return "HDF5"
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except OSError as error:
        raise Unreadable(f"The file cannot be opened: {error.strerror}.") from error
    if head.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(_JSON_PREFIXES):
        return "JSON"
    if not head:
        raise Unreadable("The file is empty.")
    if head.lstrip().lower().startswith(_HTML_PREFIXES):
        raise Unreadable(
            "The file is an HTML page, not an image; it may be a login page that was saved in the image's place."
        )
    raise Unreadable(f"The file is of no known format: it begins with the bytes {head[:8].hex(' ')}.")
