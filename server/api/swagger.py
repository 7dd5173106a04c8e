"""The documentation of the API at ``/api/docs``: Swagger UI, with all its files from this server."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import make_response
from shotdap.server.pages import render_page

_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI has small pictures in its style sheet, and shows pictures that the API has answered with. The styles of
its elements are set by its script, which needs no permission."""


def create_docs_routes() -> list[Mount | Route]:
    """Create the routes of the page and of its files."""

    async def serve_docs(request: Request) -> Response:
        page = render_page("swagger.html", HttpRequest.from_starlette(request), swagger=version("fastapi-swagger"))
        return make_response(page.with_headers({"Content-Security-Policy": _CONTENT_SECURITY_POLICY}))

    return [
        Route("/api/docs", serve_docs, methods=["GET"]),
        Mount("/api/docs/files", StaticFiles(packages=[("fastapi_swagger", "resources")])),
    ]
