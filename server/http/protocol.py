"""What never reaches the application because it is no HTTP: refused in the protocol's words all the same.

uvicorn's parser takes URLs of less than 64 KiB, and answers whatever it cannot read with a plain sentence. Here that
sentence is a DAP error, or a problem document of the REST API; a URL that is too long has the status that says so.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shotdap.server import api
from shotdap.server.http.errors import Problem
from shotdap.server.http.response import ENDLESS_STREAM_KEY, PreparedResponse
from shotdap.server.routes import dap

__all__ = ["HttpProtocol"]

_MAX_URL_LENGTH: Final = 0xFFFF  # http_parser keeps offsets in 16 bits


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with refusals that a client can show, and an end to streams that have none."""

    def shutdown(self) -> None:
        """Let a request be answered before the server ends; not a stream of events, which would keep it for ever."""
        super().shutdown()
        if self.cycle is not None and self.scope.get("state", {}).get(ENDLESS_STREAM_KEY):
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and close the connection: where the next request begins is anyone's guess."""
        url: bytes = getattr(self, "url", b"")
        problem = Problem(400, f"This is no HTTP request that can be read: {msg}", expected=True)
        if len(url) > _MAX_URL_LENGTH:
            sentence = f"The URL has {len(url):,} bytes or more; {_MAX_URL_LENGTH:,} are taken at most."
            problem = Problem(414, sentence, expected=True)
        self.transport.write(_encode_response(_prepare_refusal(url.partition(b"?")[0].decode("latin-1"), problem)))
        self.transport.close()


def _prepare_refusal(path: str, problem: Problem) -> PreparedResponse:
    """A refusal in the words of the protocol that a path belongs to."""
    if path.startswith("/api/"):
        return api.prepare_problem(problem)
    return dap.prepare_error(dap.find_suffix(path), problem)


def _encode_response(reply: PreparedResponse) -> bytes:
    headers = {
        **reply.headers,
        "Content-Type": reply.media_type,
        "Content-Length": str(reply.size),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}", *map(": ".join, headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + b"".join(reply.blocks)
