"""ZIP files that are made while they are sent: any names and sizes, more than 4 GiB too, one member at a time."""

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
def test_what_goes_in_comes_out(contents: dict[str, tuple[list[bytes], bool]]) -> None:
    """Members keep their names and bytes, however they are cut, stored or deflated."""
    members = [ZipMember(name, sum(map(len, pieces)), pieces, text) for name, (pieces, text) in contents.items()]
    file = zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(members))))

    assert file.testzip() is None
    assert {name: file.read(name) for name in file.namelist()} == {
        name: b"".join(pieces) for name, (pieces, _) in contents.items()
    }


def test_a_member_is_made_when_those_before_are_gone() -> None:
    """No member is asked for before the bytes of the last one have been taken, and a block is not held back."""
    taken: list[str] = []

    def members() -> Iterator[ZipMember]:
        for name in "abc":
            taken.append(f"made {name}")
            yield ZipMember(name, 1 << 20, blocks(name))

    def blocks(name: str) -> Iterator[Block]:
        for number in range(2):
            taken.append(f"{name}{number}")
            yield bytes(1 << 19)

    stream = stream_zip(members())
    for block in stream:
        taken.append(f"sent {len(block) >> 19}")  # noqa: PERF401 — the members append to it, too

    assert [each for each in taken if each != "sent 0"] == [
        line for name in "abc" for line in (f"made {name}", f"{name}0", "sent 1", f"{name}1", "sent 1")
    ]


@pytest.mark.parametrize("size", [2, 4])
def test_a_member_of_another_size_is_no_package(size: int) -> None:
    """A member that has not the bytes that it promised breaks the package off, before it could be taken for whole."""
    stream = stream_zip([ZipMember("a", size, [b"abc"])])
    with pytest.raises(ValueError, match="a has 3 bytes"):
        list(stream)


class Discarding(io.RawIOBase):
    """A file of which only the end is kept, and no more of the rest than how much it was."""

    def __init__(self, blocks: Iterator[Block], kept: int = 1 << 20) -> None:
        self.size = 0
        self.end = b""
        self.place = 0
        for block in blocks:
            self.size += len(block)
            self.end = (self.end + bytes(block[-kept:]))[-kept:]

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = offset + (0, self.place, self.size)[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def read(self, count: int | None = -1) -> bytes:
        start = self.place - (self.size - len(self.end))
        assert start >= 0, "what was asked for is gone"
        found = self.end[start:] if count is None or count < 0 else self.end[start : start + count]
        self.place += len(found)
        return found


def test_more_than_4_gib() -> None:
    """A member of more than 4 GiB, and one that begins behind it, are what they were by the directory of ZIP64."""
    block = memoryview(bytes(8 << 20))
    many = (4 << 30) // len(block) + 1
    large = ZipMember("large", many * len(block), repeat(block, many))
    file = Discarding(stream_zip([large, ZipMember("behind", 3, [b"abc"])]))
    archive = zipfile.ZipFile(file)

    assert file.size > 4 << 30
    assert [each.file_size for each in archive.infolist()] == [many * len(block), 3]
    assert archive.infolist()[1].header_offset > 4 << 30
    assert archive.read("behind") == b"abc"
