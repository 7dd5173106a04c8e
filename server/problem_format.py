"""Format of an error for each URL, where no route can choose it."""

from __future__ import annotations

from functools import partial

from shotdap.server import api
from shotdap.server.http.errors import ProblemRenderer, render_json_problem
from shotdap.server.routes import dap


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
