"""The members of a package, made one at a time while they are sent.

Rule 1: a member is computed and encoded whole before it is given, so that one that fails is a line of the manifest, and
not a broken file. What follows is only bytes to be put in order.
Rule 2: nothing of a member is kept when the next is made but its line.
Rule 3: a file as it is in the archive may be larger than memory. It is read twice: once to know its bytes, and once to
send them. If it is changed between, the package breaks off, without the directory that would make it a ZIP file.
Rule 4: all members of an image are of one version of its file. One that is changed after the first of them is a line
of the manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Protocol

from shotdap.catalog import Catalog, Changed, HeldFile, retry_changed
from shotdap.server.encoders import Block
from shotdap.server.exports.package.contents import MANIFEST, README, SUMS, Item, Piece
from shotdap.server.exports.package.package_manifest import Described, Line, Written, described, manifest, sums
from shotdap.server.exports.package.package_order import Order
from shotdap.server.exports.package.readme import readme
from shotdap.server.exports.package.zip_stream import Member
from shotdap.server.http.errors import problem
from shotdap.server.http.limits import Limits, refuse_size

__all__ = ["packed"]

_LOG = logging.getLogger("shotdap.packages")
_BLOCK: Final = 1 << 20  # bytes of a file that are read at a time


class _Digest(Protocol):
    def update(self, data: Block, /) -> None: ...


@dataclass(frozen=True)
class _Made:
    """A member that only has to be sent."""

    size: int
    blocks: Iterable[Block]
    line: Line
    """The image's, with what is known since it was opened."""
    variables: Mapping[str, Described] = field(default_factory=lambda: MappingProxyType({}))


def packed(catalog: Catalog, order: Order, items: Iterable[Item], limits: Limits, made: datetime) -> Iterator[Member]:
    """The members of a package: those of images, each made when its turn comes, and what explains them.

    Args:
        catalog: has the images.
        order: what was asked for.
        items: what that is, after a look at each image.
        limits: how much one member may hold, and read.
        made: the moment that the package says it was made.

    Raises:
        Changed: a file of the archive changed while it was being sent. What was made until then is no package.
    """
    lines: list[Line] = []
    for item in items:
        lines.append((yield from _image(catalog, order, item, limits)))  # noqa: PERF401 — a comprehension cannot yield
    written = [member for line in lines for member in line.members]
    for name, content in ((README, readme(order, lines, made)), (MANIFEST, manifest(order, lines, made))):
        yield Member(name, len(content), (content,), is_text=True)
        written.append(Written(name, len(content), sha256(content).hexdigest()))
    summed = sums(written)
    yield Member(SUMS, len(summed), (summed,), is_text=True)


def _image(catalog: Catalog, order: Order, item: Item, limits: Limits) -> Generator[Member, None, Line]:
    line = Line(item.entry, problems=(_told(item.failure),) if item.failure else ())
    for piece in item.pieces:
        line = yield from _piece(catalog, order, piece, limits, line)
    return line


def _piece(catalog: Catalog, order: Order, piece: Piece, limits: Limits, line: Line) -> Generator[Member, None, Line]:
    make = _archived if order.is_archived else _computed
    with ExitStack() as kept:
        try:
            made = retry_changed(lambda: kept.enter_context(make(catalog, order, piece, limits, line)))
        except Exception as error:  # noqa: BLE001 — whatever it is, the manifest says it, and the others are packed
            if not problem(error).expected:
                _LOG.exception("failed to pack %s", piece.name)
            return replace(line, problems=(*line.problems, f"{piece.name}: {_told(error)}"))
        digest = sha256()
        yield Member(piece.name, made.size, _hashed(made.blocks, digest))
        written = Written(piece.name, made.size, digest.hexdigest(), made.variables)
        return replace(made.line, members=(*line.members, written))


def _told(error: Exception) -> str:
    return problem(error).message


def _hashed(blocks: Iterable[Block], digest: _Digest) -> Iterator[Block]:
    for block in blocks:
        digest.update(block)
        yield block


@contextmanager
def _computed(catalog: Catalog, order: Order, piece: Piece, limits: Limits, line: Line) -> Iterator[_Made]:
    """What is wanted of an image, encoded."""
    address = catalog.resolve(piece.wanted.path(line.entry.path))
    state = catalog.state(address)
    if line.source not in {None, state.version}:
        raise Changed(f"The file has changed since {line.members[0].name} was made of it.")
    narrow = piece.wanted.narrow(catalog.open_address(address, chunked=False, state=state))
    refuse_size(narrow, limits, order.expands)
    encoded = order.format.encode(narrow.compute(), order.display)
    origins = catalog.origins(address, state)
    told = replace(
        line,
        source=state.version,
        sha256=str(narrow.attrs.get("source", "")).removeprefix("sha256:"),
        origins={**line.origins, **{str(name): origins[str(name)] for name in narrow.data_vars if name in origins}},
        problems=tuple(dict.fromkeys([*line.problems, *_warned(narrow.attrs)])),
    )
    yield _Made(encoded.size, encoded.blocks, told, described(narrow))


def _warned(attributes: Mapping[Any, Any]) -> Iterator[str]:
    if "integrity_warning" in attributes:
        yield str(attributes["integrity_warning"])


@contextmanager
def _archived(catalog: Catalog, _order: Order, _piece: Piece, _limits: Limits, line: Line) -> Iterator[_Made]:
    """The file as it is in the archive. It stays open: whoever removes it meanwhile takes nothing away."""
    held = catalog.hold(line.entry)
    with Path(held).open("rb") as file:
        digest, size = sha256(), 0
        for block in _read(file, held):
            digest.update(block)
            size += len(block)
        file.seek(0)
        told = replace(
            line, source=held.version, sha256=digest.hexdigest(), problems=_changed(line, digest.hexdigest())
        )
        yield _Made(size, _read(file, held), told)


def _changed(line: Line, found: str) -> tuple[str, ...]:
    seen = line.entry.seen
    if seen is None or seen.sha256 == found:
        return line.problems
    return (*line.problems, "The file's bytes are not those that were inspected.")


def _read(file: BinaryIO, held: HeldFile) -> Iterator[bytes]:
    """The blocks of a file, each of the version that is held.

    Raises:
        Changed: there is another version by now.
    """
    while block := file.read(_BLOCK):
        held.check(held.version)
        yield block
