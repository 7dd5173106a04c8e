"""Answer processes: each runs the application of the server for one request at a time.

The body of a large answer is written into the frame store while the application produces it, and the application waits
meanwhile: so a process never holds more of a body than the application does itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from typing import Final

from starlette.types import ASGIApp, Message

from shotdap.catalog.reading.frame_store import FrameStore
from shotdap.server.access.audit.redaction import mask_logs
from shotdap.server.answering.forwarded_request import MAX_INLINE_BODY, ForwardedAnswer, ForwardedRequest
from shotdap.server.http.blocks import Block
from shotdap.server.http.errors import handle_error, memory_budget
from shotdap.server.http.response import make_response
from shotdap.server.problem_format import find_problem_renderer

PRELOADED_MODULE: Final = "shotdap.server.answering.preloaded"
"""Creates the application when it is imported, in the process that answer processes are forked from."""

_LOG = logging.getLogger("shotdap.http")


@dataclass(frozen=True)
class AnswerService:
    """What answers requests, created before a process is forked: without a descriptor, a connection or a thread."""

    application: ASGIApp
    store: FrameStore
    """Of large bodies."""
    memory: int
    """Bytes of memory that one request may use."""


class _Exchange:
    """One request, run by the application step by step: the caller decides when it goes on.

    Args:
        application: answers the request.
        request: the request.
        loop: runs the application; it stands still between two messages.
    """

    def __init__(self, application: ASGIApp, request: ForwardedRequest, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._messages: asyncio.Queue[Message | Exception | None] = asyncio.Queue(maxsize=1)
        self._bodies = [request.body]
        self._task = loop.create_task(self._run(application, request))

    async def _run(self, application: ASGIApp, request: ForwardedRequest) -> None:
        try:
            await application(request.create_scope(), self._receive, self._messages.put)
        except Exception as error:  # noqa: BLE001 — raised again for the caller, by `receive_message`
            await self._messages.put(error)
        else:
            await self._messages.put(None)

    async def _receive(self) -> Message:
        if not self._bodies:  # a client that leaves ends this process
            await self._loop.create_future()
        return {"type": "http.request", "body": self._bodies.pop(), "more_body": False}

    def receive_message(self) -> Message:
        """Run the application until its next message.

        Raises:
            Exception: that of the application.
        """
        message = self._loop.run_until_complete(self._messages.get())
        if message is None:
            raise RuntimeError("The application ended before its answer.")
        if isinstance(message, Exception):
            raise message
        return message

    def iter_body(self) -> Iterator[Block]:
        """Run the application until the end of the body, and yield the parts that are not empty."""
        more = True
        while more:
            message = self.receive_message()
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    def finish(self) -> None:
        """Run what the application does after its answer; raise its exception, which is for the log."""
        last = self._loop.run_until_complete(self._messages.get())
        if isinstance(last, Exception):
            raise last

    def close(self) -> None:
        """End the application, wherever it is."""
        self._task.cancel()
        self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))


class AnswerProcess:
    """Answers one request after the other, in one event loop.

    Args:
        service: answers.
    """

    def __init__(self, service: AnswerService) -> None:
        self._service = service
        self._loop = asyncio.new_event_loop()

    def answer(self, request: ForwardedRequest) -> ForwardedAnswer:
        """Run the application for one request; a failure is an answer, too."""
        token = memory_budget.set(self._service.memory)
        exchange = _Exchange(self._service.application, request, self._loop)
        try:
            return self._collect_answer(exchange, is_head=request.method == "HEAD")
        except Exception as error:  # noqa: BLE001 — every failure gets an answer in the format of the protocol
            render_problem = find_problem_renderer(request.create_scope())
            response = make_response(handle_error(error, render_problem, request.path))
            body = b"" if request.method == "HEAD" else bytes(response.body)
            return ForwardedAnswer(response.status_code, tuple(response.raw_headers), body)
        finally:
            exchange.close()
            memory_budget.reset(token)

    def _collect_answer(self, exchange: _Exchange, *, is_head: bool) -> ForwardedAnswer:
        """Collect the answer of the application; a large body is written into the store while it is produced."""
        start = exchange.receive_message()
        parts, first, size = exchange.iter_body(), list[Block](), 0
        for part in parts:
            if not is_head:
                first.append(part)
                size += len(part)
            if size > MAX_INLINE_BODY:
                break
        is_large = size > MAX_INLINE_BODY
        body = self._service.store.spool_body(chain(first, parts)) if is_large else b"".join(first)
        try:
            exchange.finish()
        except Exception:  # noqa: BLE001 — logged, as a server does where the answer has begun
            _LOG.exception("failed after an answer")
        return ForwardedAnswer(start["status"], tuple(start.get("headers", ())), body)


_process: AnswerProcess | None = None


def start_answer_process() -> None:
    """Prepare this process for its first request."""
    global _process  # noqa: PLW0603 — the program of this process
    mask_logs()  # where it is no fork of a worker
    _process = AnswerProcess(import_module(PRELOADED_MODULE).open_answer_service())


def answer_request(request: ForwardedRequest) -> ForwardedAnswer:
    """Answer a request in this process, which `start_answer_process` has prepared."""
    if _process is None:
        raise RuntimeError("This is no answer process.")
    return _process.answer(request)
