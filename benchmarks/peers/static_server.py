"""Bytes from memory, by an ASGI application that does nothing else: each file in a folder, its name the path."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

_BLOCK = 512 << 10
_ANSWERS = {f"/{path.name}": memoryview(path.read_bytes()) for path in Path(os.environ["BENCH_ANSWERS"]).iterdir()}


async def application(
    scope: MutableMapping[str, Any], _receive: object, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]
) -> None:
    """Answer a request."""
    if scope["type"] != "http":
        return
    body = _ANSWERS[scope["path"]]
    head = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for start in range(0, len(body), _BLOCK):
        block = body[start : start + _BLOCK]
        await send({"type": "http.response.body", "body": block, "more_body": start + _BLOCK < len(body)})
