"""Format of an error for each URL, where no route can choose it: in middleware, and for what no route takes."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from shotdap.server import api
from shotdap.server.http.errors import Problem, ProblemRenderer, render_json_problem, respond_with_problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import make_response
from shotdap.server.pages import render_problem_page
from shotdap.server.routes import dap

_PROGRAM_PREFIXES: Final = ("/zarr/", "/fileServer/", "/static/", "/health", "/ready")
"""Of paths whose errors are for programs, whatever they accept."""


def make_refusal(problem: Problem, scope: Scope) -> Response:
    """Make the response that refuses a request, in the format of the protocol that its path belongs to."""
    return make_response(respond_with_problem(problem, find_problem_renderer(scope)))


def find_problem_renderer(scope: Scope) -> ProblemRenderer:
    """Return the renderer of errors of the protocol that a request belongs to; a page for a browser.

    Args:
        scope: of the request.
    """
    request = HttpRequest.from_starlette(Request(scope))
    route_path: str = scope["path"].removeprefix(request.root_path)
    if route_path.startswith("/dap/"):
        return partial(dap.render_dap_problem, dap.find_suffix(route_path), request)
    if route_path.startswith("/api/"):
        return api.render_problem
    if request.wants_page and not route_path.startswith(_PROGRAM_PREFIXES):
        return partial(render_problem_page, request)
    return render_json_problem
