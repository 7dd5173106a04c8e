"""Zarr: a dataset as a Zarr 3 store in a ZIP file, which zarr-python and xarray open as it is.

The file is put together chunk after chunk while it goes out, so that it takes the memory of one chunk more than the
values do. Nothing is packed, for images are noise, and so its length is known before it begins. The same dataset gives
the same bytes: each member has the ZIP format's own beginning of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, TypeAlias
from zipfile import ZIP64_LIMIT, ZipFile, ZipInfo

import xarray as xr

from shotdap.server.encoders import Block, EncodedFile
from shotdap.server.encoders.blocks import split_into_blocks
from shotdap.server.protocols.zarr import Hierarchy, ZarrOptions
from shotdap.transforms import BadSelection

_OPTIONS: Final = ZarrOptions()
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX_PERMISSIONS: Final = 0o644 << 16  # where a ZIP file has those of Unix

_ZipMember: TypeAlias = tuple[str, int, Callable[[], Block]]
"""Its name, how long it is, and what gives its bytes."""


def encode(dataset: xr.Dataset) -> EncodedFile:
    """The dataset as a ZIP file with a Zarr 3 store; see `Encoder`.

    Raises:
        BadSelection: it is more than a plain ZIP file holds, 2 GiB.
    """
    members = list(_list_members(Hierarchy(dataset, _OPTIONS)))
    frame = sum(map(len, _stream_zip((name, 0, bytes) for name, _, _ in members)))  # all but the members' bytes
    size = frame + sum(length for _, length, _ in members)
    if size > ZIP64_LIMIT:
        raise BadSelection(
            f"This is {size / 2**30:,.1f} GiB, and a ZIP file of one answer holds 2 GiB at most. Ask for less,"
            " or open the image as Zarr without a copy: docs/zarr.md says how."
        )
    return EncodedFile(
        size, chain.from_iterable(split_into_blocks(memoryview(piece)) for piece in _stream_zip(members))
    )


def _list_members(hierarchy: Hierarchy) -> Iterator[_ZipMember]:
    for key in hierarchy.iter_keys():
        document, chunk = hierarchy.get_document(key), hierarchy.get_chunk(key)
        if chunk is not None and chunk.size is not None:
            yield key, chunk.size, chunk.encode
        else:
            encoded = document if document is not None else chunk.encode() if chunk is not None else b""
            yield key, len(encoded), _return_block(encoded)


def _return_block(block: Block) -> Callable[[], Block]:
    return lambda: block


def _stream_zip(members: Iterable[_ZipMember]) -> Iterator[Block]:
    """The bytes of the ZIP file, as they come about."""
    out = _PieceBuffer()
    with ZipFile(out, "w") as archive:
        for name, _, encoded in members:
            about = ZipInfo(name, _ZIP_EPOCH)
            about.external_attr = _UNIX_PERMISSIONS
            with archive.open(about, "w") as member:
                member.write(encoded())
            yield from out.take_pieces()
    yield from out.take_pieces()


class _PieceBuffer:
    """A file that keeps what is written to it until it is taken, and no longer."""

    def __init__(self) -> None:
        self._pieces: list[Block] = []

    def write(self, piece: Block) -> int:
        """Keep a piece."""
        self._pieces.append(piece)
        return len(piece)

    def flush(self) -> None:
        """Do nothing; `take_pieces` gives what there is."""

    def close(self) -> None:
        """Do nothing likewise."""

    def take_pieces(self) -> list[Block]:
        """What has been written since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces
