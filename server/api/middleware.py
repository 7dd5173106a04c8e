"""Middleware of the REST API: HEAD, query strings that are too long, files that change, and failures."""

from __future__ import annotations

import logging
from contextlib import nullcontext

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotdap.catalog import Changed, begin_attempt
from shotdap.server.api.problem_details import render_problem
from shotdap.server.http.errors import handle_error
from shotdap.server.http.limits import check_query_length
from shotdap.server.http.request import ONLY_HEADERS_KEY
from shotdap.server.http.response import make_response

_LOG = logging.getLogger("shotdap.http")


class ApiMiddleware:
    """Answers HEAD like GET, and every failure with a problem document.

    An exception handler cannot do the latter: Starlette raises an exception again, for the log, after the handler of
    all exceptions has answered it.
    """

    def __init__(self, app: ASGIApp, max_query_length: int) -> None:
        self._app = app
        self._max_query_length = max_query_length
        """Bytes of the query string."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        inner = {**scope, "method": "GET", ONLY_HEADERS_KEY: True} if is_head else scope
        sender = _ResponseSender(send, without_body=is_head)
        try:
            check_query_length(scope["query_string"], self._max_query_length)
            await self._call_with_retry(inner, receive, sender)
        except Exception as error:
            if sender.has_begun:
                raise  # the connection ends before the announced length, which every client notices
            response = make_response(handle_error(error, render_problem, scope["path"]))
            await response(inner, receive, sender.send)

    async def _call_with_retry(self, scope: Scope, receive: Receive, sender: _ResponseSender) -> None:
        """Call the application; a second time if a file changed while it was read."""
        is_repeatable = scope["method"] == "GET"  # the body of a POST cannot be received again
        try:
            with begin_attempt(1) if is_repeatable else nullcontext():
                await self._app({**scope}, receive, sender.send)
        except Changed as error:
            if sender.has_begun or not is_repeatable:
                raise
            _LOG.info("retry: %s", error)
            with begin_attempt(2):
                await self._app({**scope}, receive, sender.send)


class _ResponseSender:
    """Sends a response, and knows whether it has begun."""

    def __init__(self, send: Send, *, without_body: bool) -> None:
        self._send = send
        self._without_body = without_body
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """Send a message."""
        self.has_begun = True
        if self._without_body and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)
