"""Parts of a reply: the ``Range`` of RFC 9110, section 14, for one range of bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from shotdap.server.http.response import Block, Reply

__all__ = ["part_of"]

_ONE_RANGE: Final = re.compile(r"\s*bytes\s*=\s*(?P<first>[0-9]{0,18})\s*-\s*(?P<last>[0-9]{0,18})\s*", re.IGNORECASE)
_OK: Final = 200


def part_of(reply: Reply, asked: Mapping[str, str]) -> Reply:
    """The part of a reply that a request's headers ask for; the whole where they ask for none, or for many.

    Args:
        reply: whole, of a size that is known; any other is given back as it is.
        asked: the request's headers, their names in small letters.

    Returns:
        A reply with status 206; or 416 without a body, where the range begins behind the end.
    """
    if reply.status != _OK or reply.size is None:
        return reply
    whole = replace(reply, headers={**reply.headers, "Accept-Ranges": "bytes"})
    found = _ONE_RANGE.fullmatch(asked.get("range", ""))
    if found is None or not (found["first"] or found["last"]) or not _still_is(reply, asked.get("if-range")):
        return whole
    part = _bounds(found["first"], found["last"], reply.size)
    if part is None:
        return whole
    if not part:
        return Reply("", 0, (), {**whole.headers, "Content-Range": f"bytes */{reply.size}"}, 416)
    headers = {**whole.headers, "Content-Range": f"bytes {part[0]}-{part[-1]}/{reply.size}"}
    return replace(whole, size=len(part), blocks=tuple(_cut(reply, part)), headers=headers, status=206)


def _still_is(reply: Reply, tag: str | None) -> bool:
    """Whether the reply is what the client has a part of already; a weak tag says of no byte what it is."""
    return tag is None or tag in {reply.headers.get("ETag"), reply.headers.get("Last-Modified")}


def _bounds(first: str, last: str, size: int) -> range | None:
    """The bytes that are asked for, of those that there are; `None` where they go backwards, which is no range."""
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _cut(reply: Reply, part: range) -> Iterator[Block]:
    """The blocks of a part; nothing is copied."""
    start = 0
    for block in reply.blocks:
        view = memoryview(block)[max(0, part.start - start) : max(0, part.stop - start)]
        if view:
            yield view
        start += len(block)
