"""The API's documentation for people at ``/api/docs``: Swagger UI, from this server alone."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shotdap.server.http.response import make_response
from shotdap.server.pages import render_page

__all__ = ["create_docs_routes"]

_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI styles its elements one by one, and has small pictures in its style sheet."""


def create_docs_routes() -> list[Mount | Route]:
    """The page, and what it is made with."""

    async def serve_docs(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        answer = make_response(render_page("swagger.html", root=root, swagger=version("fastapi-swagger")))
        answer.headers["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
        return answer

    return [
        Route("/api/docs", serve_docs, methods=["GET"]),
        Mount("/api/docs/files", StaticFiles(packages=[("fastapi_swagger", "resources")])),
    ]
