"""Health: ``/health`` and ``/ready``, for whoever watches a server or balances load."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.server.http.response import HttpResponse, make_response
from shotdap.server.readiness import Readiness

_HEADERS: Final = {"Cache-Control": "no-store"}
_UNAVAILABLE_HEADERS: Final = {**_HEADERS, "Retry-After": "5"}  # seconds


def create_health_routes(readiness: Readiness) -> list[Route]:
    """Create the routes. Both respond in the event loop, and neither waits for a thread of the pool."""

    async def serve_health(_: Request) -> Response:
        return make_response(HttpResponse.from_json({"status": "ok"}).with_headers(_HEADERS))

    async def serve_readiness(_: Request) -> Response:
        problems = await readiness.find_problems()
        parts = {name: problem or "ok" for name, problem in problems.items()}
        if any(problems.values()):
            response = HttpResponse.from_json({"status": "unavailable", "parts": parts}, 503)
            return make_response(response.with_headers(_UNAVAILABLE_HEADERS))
        return make_response(HttpResponse.from_json({"status": "ok", "parts": parts}).with_headers(_HEADERS))

    return [Route("/health", serve_health), Route("/ready", serve_readiness)]
