"""An ASGI application served over HTTP by a thread of the test's process, for parts that no command starts yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from tests.serving import find_free_port

__all__ = ["serve_app"]

_SECONDS: Final = 30


@contextmanager
def serve_app(app: ASGIApp, *, access_log: bool = False) -> Iterator[str]:
    """Serve an application while the block lasts; yield its URL, without a slash at the end."""
    port = find_free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="info", access_log=access_log, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + _SECONDS
        while not server.started and time.monotonic() < deadline and thread.is_alive():
            time.sleep(0.01)
        assert server.started
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
