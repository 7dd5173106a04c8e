"""Zarr: a dataset as a Zarr 3 store in a ZIP file, which zarr-python and xarray open directly.

Chunks are encoded one after the other while the file is sent, so that it takes the memory of one chunk beside the
values. Nothing is compressed, because images are noise, and so the length is known beforehand. The same dataset gives
the same bytes: the date of each member is the first that ZIP has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, TypeAlias
from zipfile import ZIP64_LIMIT, ZipFile, ZipInfo

import xarray as xr

from shotdap.server.encoders import Block, EncodedFile
from shotdap.server.http.blocks import split_bytes
from shotdap.server.protocols.zarr import Hierarchy, ZarrOptions
from shotdap.transforms import BadSelection

_OPTIONS: Final = ZarrOptions()
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX_PERMISSIONS: Final = 0o644 << 16  # the position of Unix permissions in a ZIP file

_ZipMember: TypeAlias = tuple[str, int, Block | Callable[[], Block]]
"""Name, length, and the bytes or a function that returns them."""


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode a dataset as a Zarr 3 store in a ZIP file; see `Encoder`.

    Raises:
        BadSelection: the file would exceed 2 GiB, the limit of a plain ZIP file.
    """
    hierarchy, members = Hierarchy(dataset, _OPTIONS), list[_ZipMember]()
    for key in hierarchy.iter_keys():
        document, chunk = hierarchy.get_document(key), hierarchy.get_chunk(key)
        if chunk is not None and chunk.size is not None:
            members.append((key, chunk.size, chunk.encode))
        else:
            encoded = document if document is not None else chunk.encode() if chunk is not None else b""
            members.append((key, len(encoded), encoded))
    frame = sum(map(len, _stream_zip((name, 0, b"") for name, _, _ in members)))  # all but the members' bytes
    size = frame + sum(length for _, length, _ in members)
    if size > ZIP64_LIMIT:
        raise BadSelection(
            f"This is {size / 2**30:,.1f} GiB, and a ZIP file of one answer holds 2 GiB at most. Ask for less,"
            " or open the image as Zarr without a copy: docs/zarr.md says how."
        )
    return EncodedFile(size, chain.from_iterable(split_bytes(memoryview(piece)) for piece in _stream_zip(members)))


def _stream_zip(members: Iterable[_ZipMember]) -> Iterator[Block]:
    """Yield the bytes of the ZIP file as they are written."""
    out = _PieceBuffer()
    with ZipFile(out, "w") as archive:
        for name, _, content in members:
            info = ZipInfo(name, _ZIP_EPOCH)
            info.external_attr = _UNIX_PERMISSIONS
            with archive.open(info, "w") as member:
                member.write(content() if callable(content) else content)
            yield from out.take_pieces()
    yield from out.take_pieces()


class _PieceBuffer:
    """A file object that keeps the written pieces until they are taken."""

    def __init__(self) -> None:
        self._pieces: list[Block] = []

    def write(self, piece: Block) -> int:
        """Keep a piece."""
        self._pieces.append(piece)
        return len(piece)

    def flush(self) -> None:
        """Do nothing; `take_pieces` returns the pieces."""

    def close(self) -> None:
        """Do nothing."""

    def take_pieces(self) -> list[Block]:
        """Return the pieces written since the last call."""
        pieces, self._pieces = self._pieces, []
        return pieces
