"""What goes out: headers, and a body in big pieces that can no longer fail."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

__all__ = ["ENDLESS_STREAM_KEY", "Block", "PreparedResponse", "compress_response", "make_response", "stream_response"]

Block: TypeAlias = bytes | memoryview

ENDLESS_STREAM_KEY: Final = "endless"
"""What a request's state says where its answer is a stream that does not end by itself; the server then ends it."""

_MIN_COMPRESSED_SIZE: Final = 1024  # bytes; less fits into one packet anyway
_GZIP_LEVEL: Final = 5  # of gzip's nine
_ZERO_WEIGHT: Final = re.compile(r"q=0(\.0*)?", re.IGNORECASE)


_MAX_UNSTREAMED_SIZE: Final = 512 << 10
"""Bytes of a body that goes out in one piece: a stream costs Starlette 0.2 ms, as much as a small answer's making."""


@dataclass(frozen=True)
class PreparedResponse:
    """An answer whose every value has been read and computed.

    netCDF-C turns a DAP2 body that ends short into zeros without a word, so nothing that can fail may be left for
    after the status line: the blocks only put into wire order what is in memory.
    """

    media_type: str
    """Empty where there is no body to have one."""
    size: int | None
    """The body's length in bytes, exactly; `None` where only headers were asked for, and it would take work to know."""
    blocks: Iterable[Block]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @classmethod
    def from_body(
        cls, body: str | bytes, media_type: str, headers: Mapping[str, str], status: int = 200
    ) -> PreparedResponse:
        """A reply of one block."""
        block = body.encode() if isinstance(body, str) else body
        return cls(media_type, len(block), (block,), headers, status)


def compress_response(reply: PreparedResponse, accepted: str, *, data: bool = False) -> PreparedResponse:
    """The reply as gzip, if it is text of some length and the client takes it so; else as it is.

    Args:
        reply: what to send.
        accepted: the request's ``Accept-Encoding``.
        data: compress what is not text as well.
    """
    worth = reply.size is not None and reply.size >= _MIN_COMPRESSED_SIZE and (data or _is_text(reply.media_type))
    if not worth or not _is_gzip_accepted(accepted):
        return reply
    body = gzip.compress(b"".join(reply.blocks), _GZIP_LEVEL, mtime=0)
    headers = {**reply.headers, "Content-Encoding": "gzip"}
    if "ETag" in headers:  # a strong tag is of these very bytes
        headers["ETag"] = headers["ETag"].removesuffix('"') + '-gzip"'
    return replace(reply, size=len(body), blocks=(body,), headers=headers)


def _is_text(media_type: str) -> bool:
    kind = media_type.partition(";")[0]
    return kind.startswith("text/") or kind.endswith(("+xml", "/xml", "/json"))


def _is_gzip_accepted(accepted: str) -> bool:
    """Whether ``gzip`` stands among the encodings, and not with a weight of nothing (RFC 9110, 12.5.3)."""
    for each in accepted.split(","):
        name, _, weight = each.partition(";")
        if name.strip().lower() in {"gzip", "x-gzip"}:
            return not _ZERO_WEIGHT.fullmatch(weight.strip())
    return False


def make_response(reply: PreparedResponse) -> Response:
    """The reply as Starlette sends it."""
    headers = dict(reply.headers)
    if reply.media_type:
        headers["Content-Type"] = reply.media_type
    if reply.size is not None:
        headers["Content-Length"] = str(reply.size)
    if reply.size is not None and reply.size <= _MAX_UNSTREAMED_SIZE:
        return Response(b"".join(reply.blocks), reply.status, headers)
    return StreamingResponse(_iter_ready_blocks(reply.blocks), reply.status, headers)


async def _iter_ready_blocks(blocks: Iterable[Block]) -> AsyncIterator[Block]:
    """Give the event loop a turn after each block: a small request beside a full frame then waits 3 ms, not 35."""
    for block in blocks:
        yield block
        await asyncio.sleep(0)


def stream_response(blocks: Generator[Block, None, None], media_type: str, headers: Mapping[str, str]) -> Response:
    """A body that is made while it is sent, for formats of which no program takes a beginning for the whole.

    Each block is made in a thread, when the client has taken those before; so a slow client makes nothing pile up, and
    one that goes away ends the work. If making a block fails, the connection is closed before the body's end.
    """
    return StreamingResponse(_iter_computed_blocks(blocks), 200, {**headers, "Content-Type": media_type})


async def _iter_computed_blocks(blocks: Generator[Block, None, None]) -> AsyncIterator[Block]:
    try:
        while True:
            block = await run_in_threadpool(next, blocks, None)
            if block is None:
                return
            yield block
            del block  # it may be a view of something large, which must go before the next is made
    finally:
        blocks.close()
