"""What every request to the API goes through: HEAD, query strings that are too long, and failures."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotdap.catalog import Changed, begin_attempt
from shotdap.server.api.problem_details import respond_to_failure
from shotdap.server.http.errors import QueryTooLong

__all__ = ["ApiMiddleware", "is_head_request"]

_LOG = logging.getLogger("shotdap.rest")
_HEAD_SCOPE_KEY: Final = "shotdap.only_headers"


def is_head_request(request: Request) -> bool:
    """Whether nothing needs to be computed: the client asked for headers alone."""
    return bool(request.scope.get(_HEAD_SCOPE_KEY))


class ApiMiddleware:
    """An application that answers HEAD like GET, and whose every failure is a problem document.

    A handler of exceptions cannot do the latter: Starlette raises again, for the log, what the one for all of them has
    answered.
    """

    def __init__(self, app: ASGIApp, longest: int) -> None:
        self._app = app
        self._max_query_length = longest
        """Bytes of the query string."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        inner = {**scope, "method": "GET", _HEAD_SCOPE_KEY: True} if is_head else scope
        answer = _ResponseSender(send, without_body=is_head)
        try:
            self._check_query_length(scope["query_string"])
            await self._call_with_retry(inner, receive, answer)
        except Exception as error:
            if answer.has_begun:
                raise  # the connection ends short of its length, which every client notices
            await respond_to_failure(error, scope["path"])(inner, receive, answer.send)

    async def _call_with_retry(self, scope: Scope, receive: Receive, answer: _ResponseSender) -> None:
        """Have the request answered; once more, where a file has changed while it was read."""
        is_repeatable = scope["method"] == "GET"  # what was posted cannot be received again
        try:
            with begin_attempt(1) if is_repeatable else nullcontext():
                await self._app({**scope}, receive, answer.send)
        except Changed as error:
            if answer.has_begun or not is_repeatable:
                raise
            _LOG.info("made again: %s", error)
            with begin_attempt(2):
                await self._app({**scope}, receive, answer.send)

    def _check_query_length(self, query: bytes) -> None:
        if len(query) > self._max_query_length:
            raise QueryTooLong(
                f"The query string has {len(query):,} bytes; {self._max_query_length:,} are taken at most."
            )


class _ResponseSender:
    """An answer on its way."""

    def __init__(self, send: Send, *, without_body: bool) -> None:
        self._send = send
        self._without_body = without_body
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        self.has_begun = True
        if self._without_body and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)
