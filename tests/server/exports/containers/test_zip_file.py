"""ZIP files that are made while they are sent: any names and sizes, also above 4 GiB, one member at a time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from itertools import repeat
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdap.server.encoders import Block
from shotdap.server.exports.containers.zip_file import ZipMember, stream_zip

NAMES: Final = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=40)
PIECES: Final = st.lists(st.binary(max_size=300) | st.just(bytes(300_000)), max_size=4)


@given(st.dictionaries(NAMES, st.tuples(PIECES, st.booleans()), max_size=5))
def test_members_keep_names_and_bytes(contents: dict[str, tuple[list[bytes], bool]]) -> None:
    """Members keep their names and bytes, in any blocks, stored or deflated."""
    members = [ZipMember(name, sum(map(len, pieces)), pieces, text) for name, (pieces, text) in contents.items()]
    file = zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(members))))

    assert file.testzip() is None
    assert {name: file.read(name) for name in file.namelist()} == {
        name: b"".join(pieces) for name, (pieces, _) in contents.items()
    }


def test_one_member_at_a_time() -> None:
    """A member is requested after all bytes of the one before are taken, and no large block is held back."""
    events: list[str] = []

    def members() -> Iterator[ZipMember]:
        for name in "abc":
            events.append(f"made {name}")
            yield ZipMember(name, 1 << 20, blocks(name))

    def blocks(name: str) -> Iterator[Block]:
        for number in range(2):
            events.append(f"{name}{number}")
            yield bytes(1 << 19)

    stream = stream_zip(members())
    for block in stream:
        events.append(f"sent {len(block) >> 19}")  # noqa: PERF401 — the members append to it, too

    assert [each for each in events if each != "sent 0"] == [
        line for name in "abc" for line in (f"made {name}", f"{name}0", "sent 1", f"{name}1", "sent 1")
    ]


@pytest.mark.parametrize("size", [2, 4])
def test_a_member_of_another_size(size: int) -> None:
    """A member of another size than announced interrupts the package before it is complete."""
    stream = stream_zip([ZipMember("a", size, [b"abc"])])
    with pytest.raises(ValueError, match="a has 3 bytes"):
        list(stream)


class Discarding(io.RawIOBase):
    """A file that keeps only its end and its size."""

    def __init__(self, blocks: Iterator[Block], kept: int = 1 << 20) -> None:
        self.size = 0
        self.end = b""
        self.position = 0
        for block in blocks:
            self.size += len(block)
            self.end = (self.end + bytes(block[-kept:]))[-kept:]

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, count: int | None = -1) -> bytes:
        start = self.position - (self.size - len(self.end))
        assert start >= 0, "these bytes were discarded"
        found = self.end[start:] if count is None or count < 0 else self.end[start : start + count]
        self.position += len(found)
        return found


def test_more_than_4_gib() -> None:
    """The directory of ZIP64 has a member of more than 4 GiB, and one that begins after it."""
    block = memoryview(bytes(8 << 20))
    many = (4 << 30) // len(block) + 1
    large = ZipMember("large", many * len(block), repeat(block, many))
    file = Discarding(stream_zip([large, ZipMember("behind", 3, [b"abc"])]))
    archive = zipfile.ZipFile(file)

    assert file.size > 4 << 30
    assert [each.file_size for each in archive.infolist()] == [many * len(block), 3]
    assert archive.infolist()[1].header_offset > 4 << 30
    assert archive.read("behind") == b"abc"
