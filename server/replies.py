"""What goes out: headers, and a body in big pieces that can no longer fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.responses import Response, StreamingResponse

__all__ = ["Block", "Reply", "respond"]

Block: TypeAlias = bytes | memoryview


@dataclass(frozen=True)
class Reply:
    """An answer whose every value has been read and computed.

    netCDF-C turns a DAP2 body that ends short into zeros without a word, so nothing that can fail may be left for
    after the status line: the blocks only put into wire order what is in memory.
    """

    media_type: str
    size: int
    """The body's length in bytes, exactly."""
    blocks: Iterable[Block]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @classmethod
    def of(cls, body: str | bytes, media_type: str, headers: Mapping[str, str], status: int = 200) -> Reply:
        """A reply of one block."""
        block = body.encode() if isinstance(body, str) else body
        return cls(media_type, len(block), (block,), headers, status)


def respond(reply: Reply) -> Response:
    """The reply as Starlette sends it."""
    headers = {**reply.headers, "Content-Type": reply.media_type, "Content-Length": str(reply.size)}
    return StreamingResponse(_in_turns(reply.blocks), reply.status, headers)


async def _in_turns(blocks: Iterable[Block]) -> AsyncIterator[Block]:
    """Give the event loop a turn after each block: a small request beside a full frame then waits 3 ms, not 35."""
    for block in blocks:
        yield block
        await asyncio.sleep(0)
