"""Requests that uvicorn cannot parse as HTTP, refused in the error format of the protocol.

uvicorn's parser accepts URLs of less than 64 KiB, and answers what it cannot parse with a line of text. Here that line
is a DAP error, or a problem document of the REST API, and a URL that is too long has the status for that.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shotdap.server import api
from shotdap.server.http.errors import Problem
from shotdap.server.http.response import ENDLESS_STREAM_KEY
from shotdap.server.routes import dap

_MAX_URL_LENGTH: Final = 0xFFFF  # http_parser stores offsets in 16 bits


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with errors that a client can show. It ends endless streams at shutdown."""

    def shutdown(self) -> None:
        """Let the current request be answered before the server ends, unless its response is an endless stream."""
        super().shutdown()
        if self.cycle is not None and self.scope.get("state", {}).get(ENDLESS_STREAM_KEY):
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close the connection, as the start of the next request is unknown."""
        url: bytes = getattr(self, "url", b"")
        problem = Problem(400, f"This is no HTTP request that can be read: {msg}", expected=True)
        if len(url) > _MAX_URL_LENGTH:
            message = f"The URL has {len(url):,} bytes or more; {_MAX_URL_LENGTH:,} are taken at most."
            problem = Problem(414, message, expected=True)
        path = url.partition(b"?")[0].decode("latin-1")
        if path.startswith("/api/"):
            response = api.render_problem(problem)
        else:
            response = dap.render_dap_problem(dap.find_suffix(path), "", problem)
        headers = {
            **response.headers,
            "Content-Type": response.media_type,
            "Content-Length": str(response.size),
            "Connection": "close",
        }
        status_line = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
        head = "\r\n".join([status_line, *map(": ".join, headers.items()), "", ""])
        self.transport.write(head.encode("latin-1") + b"".join(response.blocks))
        self.transport.close()
