"""Format of an error for each URL, where no route can choose it: in middleware, and for what no route takes."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response
from starlette.types import Scope

from shotdap.server import api
from shotdap.server.http.errors import Problem, ProblemRenderer, render_json_problem, respond_with_problem
from shotdap.server.http.response import make_response
from shotdap.server.routes import dap


def make_refusal(problem: Problem, scope: Scope) -> Response:
    """Make the response that refuses a request, in the format of the protocol that its path belongs to."""
    render_problem = find_problem_renderer(scope["path"], scope.get("root_path", ""))
    return make_response(respond_with_problem(problem, render_problem))


def find_problem_renderer(path: str, root_path: str = "") -> ProblemRenderer:
    """Return the renderer of errors of the protocol that a path belongs to.

    Args:
        path: of the URL, with the path at which the application is mounted.
        root_path: the path at which the application is mounted.
    """
    route_path = path.removeprefix(root_path)
    if route_path.startswith("/dap/"):
        return partial(dap.render_dap_problem, dap.find_suffix(route_path), root_path)
    return api.render_problem if route_path.startswith("/api/") else render_json_problem
