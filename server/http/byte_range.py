"""Parts of a reply: the ``Range`` of RFC 9110, section 14, for one range of bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from shotdap.server.http.response import Block, PreparedResponse

__all__ = ["apply_range"]

_SINGLE_RANGE: Final = re.compile(
    r"\s*bytes\s*=\s*(?P<first>[0-9]{0,18})\s*-\s*(?P<last>[0-9]{0,18})\s*", re.IGNORECASE
)
_STATUS_OK: Final = 200


def apply_range(reply: PreparedResponse, asked: Mapping[str, str]) -> PreparedResponse:
    """The part of a reply that a request's headers ask for; the whole where they ask for none, or for many.

    Args:
        reply: whole, of a size that is known; any other is given back as it is.
        asked: the request's headers, their names in small letters.

    Returns:
        A reply with status 206; or 416 without a body, where the range begins behind the end.
    """
    if reply.status != _STATUS_OK or reply.size is None:
        return reply
    whole = replace(reply, headers={**reply.headers, "Accept-Ranges": "bytes"})
    found = _SINGLE_RANGE.fullmatch(asked.get("range", ""))
    if (
        found is None
        or not (found["first"] or found["last"])
        or not _is_if_range_satisfied(reply, asked.get("if-range"))
    ):
        return whole
    part = _resolve_range(found["first"], found["last"], reply.size)
    if part is None:
        return whole
    if not part:
        return PreparedResponse("", 0, (), {**whole.headers, "Content-Range": f"bytes */{reply.size}"}, 416)
    headers = {**whole.headers, "Content-Range": f"bytes {part[0]}-{part[-1]}/{reply.size}"}
    return replace(whole, size=len(part), blocks=tuple(_cut_blocks(reply, part)), headers=headers, status=206)


def _is_if_range_satisfied(reply: PreparedResponse, tag: str | None) -> bool:
    """Whether the reply is what the client has a part of already; a weak tag says of no byte what it is."""
    return tag is None or tag in {reply.headers.get("ETag"), reply.headers.get("Last-Modified")}


def _resolve_range(first: str, last: str, size: int) -> range | None:
    """The bytes that are asked for, of those that there are; `None` where they go backwards, which is no range."""
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _cut_blocks(reply: PreparedResponse, part: range) -> Iterator[Block]:
    """The blocks of a part; nothing is copied."""
    start = 0
    for block in reply.blocks:
        view = memoryview(block)[max(0, part.start - start) : max(0, part.stop - start)]
        if view:
            yield view
        start += len(block)
