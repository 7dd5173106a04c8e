"""Responses with pages: prepared in the threads of searches, with every failure as a page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from shotdap.catalog import Catalog
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.http.errors import answer, handle_error
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.pages import render_problem_page
from shotdap.server.search_threads import SearchThreads

PreparePage: TypeAlias = Callable[[HttpRequest, Catalog], HttpResponse]
"""Prepares a page from the catalog as the reader sees it."""


class PageResponder:
    """Answers requests with pages.

    Args:
        catalogs: of the images.
        search_threads: in which the catalog is searched.
    """

    def __init__(self, catalogs: RequestCatalogs, search_threads: SearchThreads) -> None:
        self._catalogs = catalogs
        self._search_threads = search_threads

    async def respond(self, request: Request, prepare: PreparePage, query: str = "") -> Response:
        """Return a page, or the problem with it as a page.

        Args:
            request: of a browser.
            prepare: prepares the page.
            query: the query, for a search that may be slow.
        """
        page_request = HttpRequest.from_starlette(request)
        render_problem = partial(render_problem_page, page_request)

        def respond_once() -> HttpResponse:
            page = prepare(page_request, self._catalogs.open(page_request))
            return compress_response(page, page_request)

        try:
            page = await self._search_threads.run(request.receive, respond_once, query)
        except Exception as error:  # noqa: BLE001 — every failure gets a response
            page = handle_error(error, render_problem, page_request.url)
        return make_response(page)


def respond_with_page(request: Request, prepare: Callable[[HttpRequest], HttpResponse]) -> Response:
    """Return a page that needs no catalog, or the problem with it as a page."""
    page_request = HttpRequest.from_starlette(request)
    page = answer(lambda: prepare(page_request), partial(render_problem_page, page_request), page_request.url)
    return make_response(compress_response(page.with_headers({"Cache-Control": "no-store"}), page_request))
