"""The API's documentation for people at ``/api/docs``: Swagger UI, from this server alone."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shotdap.server.http.response import respond
from shotdap.server.pages import page

__all__ = ["routes"]

_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI styles its elements one by one, and has small pictures in its style sheet."""


def routes() -> list[Mount | Route]:
    """The page, and what it is made with."""

    async def documentation(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        answer = respond(page("swagger.html", root=root, swagger=version("fastapi-swagger")))
        answer.headers["Content-Security-Policy"] = _POLICY
        return answer

    return [
        Route("/api/docs", documentation, methods=["GET"]),
        Mount("/api/docs/files", StaticFiles(packages=[("fastapi_swagger", "resources")])),
    ]
