"""Responses: a status, headers, and a body in large blocks that can no longer fail."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from shotdap.server.http.blocks import Block
from shotdap.server.http.request import HttpRequest

ENDLESS_STREAM_KEY: Final = "endless"
"""Key of a request's state that is set where the response is a stream without an end; the server then ends it."""

_MIN_COMPRESSED_SIZE: Final = 1024  # bytes; a smaller body fits into one packet anyway
_GZIP_LEVEL: Final = 5  # of 9
_ZERO_WEIGHT: Final = re.compile(r"q=0(\.0*)?", re.IGNORECASE)
_MAX_UNSTREAMED_SIZE: Final = 512 << 10
"""Bytes of a body that is sent at once: a stream costs 0.2 ms in Starlette, as much as to prepare a small response."""


@dataclass(frozen=True)
class HttpResponse:
    """A response whose values have all been read and computed.

    netCDF-C silently turns a DAP2 body that ends early into zeros. So nothing that can fail may be left for the time
    after the status line: the blocks only bring into wire order what is in memory.
    """

    media_type: str
    """Empty if there is no body."""
    size: int | None
    """Exact length of the body in bytes; `None` if only headers were requested, and the length is costly to compute."""
    blocks: Iterable[Block]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @classmethod
    def from_body(
        cls, body: str | bytes, media_type: str, headers: Mapping[str, str] | None = None, status: int = 200
    ) -> HttpResponse:
        """Create a response whose body is one block."""
        block = body.encode() if isinstance(body, str) else body
        return cls(media_type, len(block), (block,), headers or {}, status)

    @classmethod
    def from_json(cls, document: Mapping[str, Any], status: int = 200) -> HttpResponse:
        """Create a response whose body is an indented JSON document."""
        return cls.from_body(json.dumps(document, indent=2, allow_nan=False) + "\n", "application/json", {}, status)

    @classmethod
    def redirect(cls, location: str, status: int) -> HttpResponse:
        """Create a redirect."""
        return cls("", 0, (), {"Location": location}, status)

    def with_headers(self, headers: Mapping[str, str]) -> HttpResponse:
        """Return a copy with more headers, or with other values of these."""
        return replace(self, headers={**self.headers, **headers})


def compress_response(response: HttpResponse, request: HttpRequest, *, data: bool = False) -> HttpResponse:
    """Compress a response with gzip if it is text, not short, and the client accepts that.

    Args:
        response: a response.
        request: whose `Accept-Encoding` counts.
        data: whether to compress bodies that are no text, too.
    """
    kind = response.media_type.partition(";")[0]
    is_text = kind.startswith("text/") or kind.endswith(("+xml", "/xml", "/json"))
    is_short = response.size is None or response.size < _MIN_COMPRESSED_SIZE
    if is_short or not (data or is_text) or not is_gzip_accepted(request.headers.get("accept-encoding", "")):
        return response
    body = gzip.compress(b"".join(response.blocks), _GZIP_LEVEL, mtime=0)
    headers = {**response.headers, "Content-Encoding": "gzip"}
    if "ETag" in headers:  # a strong tag belongs to exactly these bytes
        headers["ETag"] = headers["ETag"].removesuffix('"') + '-gzip"'
    return replace(response, size=len(body), blocks=(body,), headers=headers)


def is_gzip_accepted(accept_encoding: str) -> bool:
    """Check whether ``gzip`` is among the encodings, with a weight above zero (RFC 9110, 12.5.3)."""
    for encoding in accept_encoding.split(","):
        name, _, weight = encoding.partition(";")
        if name.strip().lower() in {"gzip", "x-gzip"}:
            return not _ZERO_WEIGHT.fullmatch(weight.strip())
    return False


RunFunction: TypeAlias = Callable[[Request, Callable[[HttpRequest], HttpResponse]], Awaitable[Response]]
"""Has the response to a request prepared by a function, in a thread or elsewhere."""


async def run_in_thread(request: Request, prepare: Callable[[HttpRequest], HttpResponse]) -> Response:
    """Prepare the response to a request in a thread."""
    return make_response(await run_in_threadpool(prepare, HttpRequest.from_starlette(request)))


def make_response(response: HttpResponse) -> Response:
    """Convert a response into one of Starlette."""
    headers = dict(response.headers)
    if response.media_type:
        headers["Content-Type"] = response.media_type
    if response.size is not None:
        headers["Content-Length"] = str(response.size)
    if response.size is not None and response.size <= _MAX_UNSTREAMED_SIZE:
        return Response(b"".join(response.blocks), response.status, headers)

    async def iter_blocks() -> AsyncIterator[Block]:
        for block in response.blocks:
            yield block
            await asyncio.sleep(0)  # a turn for others: a small request beside a full frame then waits 3 ms, not 35

    return StreamingResponse(iter_blocks(), response.status, headers)


def stream_response(blocks: Generator[Block, None, None], media_type: str, headers: Mapping[str, str]) -> Response:
    """Send a body while it is computed, for formats of which no program takes an incomplete file for a complete one.

    Each block is computed in a thread after the client has received those before. So nothing accumulates for a slow
    client, and a client that disconnects ends the work. If a block fails, the connection is closed before the end of
    the body.
    """

    async def iter_blocks() -> AsyncIterator[Block]:
        try:
            while True:
                block = await run_in_threadpool(next, blocks, None)
                if block is None:
                    return
                yield block
                del block  # it may be a view of a large array, which must be freed before the next is computed
        finally:
            blocks.close()

    return StreamingResponse(iter_blocks(), 200, {**headers, "Content-Type": media_type})
