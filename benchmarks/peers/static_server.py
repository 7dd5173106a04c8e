"""A minimal ASGI application that sends bytes from memory: each file below a folder, at its path."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

_BLOCK = 512 << 10
_FOLDER = Path(os.environ["BENCH_ANSWERS"])
_ANSWERS = {
    f"/{path.relative_to(_FOLDER)}": memoryview(path.read_bytes()) for path in _FOLDER.rglob("*") if path.is_file()
}


async def application(
    scope: MutableMapping[str, Any], _receive: object, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]
) -> None:
    """Respond to a request."""
    if scope["type"] != "http":
        return
    body = _ANSWERS[scope["path"]]
    head = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for start in range(0, len(body), _BLOCK):
        block = body[start : start + _BLOCK]
        await send({"type": "http.response.body", "body": block, "more_body": start + _BLOCK < len(body)})
