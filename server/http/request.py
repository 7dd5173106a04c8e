"""A request, as far as it matters to the routes of any protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request

ONLY_HEADERS_KEY: Final = "shotdap.only_headers"
"""Key of an ASGI scope that is set where a HEAD request is answered by the routes of GET."""


@dataclass(frozen=True)
class HttpRequest:
    """A request, as far as it matters to the routes of any protocol."""

    path: str
    """Below the prefix of the route, percent-decoded."""
    query: str = ""
    """As it was received: percent-encoded."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""
    base_url: str = ""
    """URL of the server as the client sees it, mount path included, without a slash at the end."""
    root_path: str = ""
    """Path at which the application is mounted."""
    url: str = ""
    """URL of the request as the client sees it."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the layers around the routes say about the request, such as who makes it."""
    only_headers: bool = False
    """Whether the client does not want the body (HEAD), which then need not be computed."""

    @classmethod
    def from_starlette(cls, request: Request) -> HttpRequest:
        """Convert a request of Starlette or FastAPI."""
        scope = request.scope
        return cls(
            request.path_params.get("path", ""),
            scope["query_string"].decode("latin-1"),
            request.headers,
            str(request.base_url).rstrip("/"),
            scope.get("root_path", ""),
            str(request.url),
            scope.get("state", {}),
            only_headers=scope["method"] == "HEAD" or ONLY_HEADERS_KEY in scope,
        )

    @property
    def wants_page(self) -> bool:
        """True if a browser asks for a page to show; Java names text/html, too, whatever the program."""
        return (
            "text/html" in self.headers.get("accept", "") and "java/" not in self.headers.get("user-agent", "").lower()
        )

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters of the query string, decoded; of a repeated one the last value."""
        return QueryParams(self.query)
