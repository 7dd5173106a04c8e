"""My failed calls: what was wrong with one's own last requests, and the URL that would work."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.config import Settings
from shotdap.server.access.audit.failure_log import FailureLog, get_failure_owner
from shotdap.server.access.principal import get_principal
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.http.errors import answer
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response
from shotdap.server.pages import render_page, render_problem_page
from shotdap.server.suggestion import explain_failures

_SHOWN: Final = 30


def create_failed_calls_routes(catalogs: RequestCatalogs, settings: Settings) -> list[Route]:
    """Create the route of the page.

    Args:
        catalogs: in which names near to wrong ones are sought.
        settings: of the site.
    """
    log = FailureLog.from_settings(settings)

    async def serve_calls(request: Request) -> Response:
        page_request = HttpRequest.from_starlette(request)
        owner = get_failure_owner(get_principal(page_request.state), request.client.host if request.client else "")

        def prepare() -> HttpResponse:
            failures = log.list_failures(owner, _SHOWN) if log is not None else ()
            calls = explain_failures(catalogs.open(page_request), failures, page_request.base_url)
            return render_page("calls.html", page_request, section="account", calls=calls, is_kept=log is not None)

        page = await run_in_threadpool(answer, prepare, partial(render_problem_page, page_request), "/calls")
        return make_response(page.with_headers({"Cache-Control": "no-store"}))

    return [Route("/calls", serve_calls, methods=["GET"])]
