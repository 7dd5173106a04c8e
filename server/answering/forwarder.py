"""The server's side of forwarding: sends a request to an answer process, and its answer to the client.

Rule 1: a client that leaves ends the work for it: the process is killed, and replaced.
Rule 2: what ends a request before its answer is an answer, too, in the format of its protocol.
Rule 3: a large body is sent from a map of the frame store, with a turn for other requests after each block.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shotdap.catalog import Overloaded, Undecided, Unreadable
from shotdap.catalog.reading.frame_store import FrameStore
from shotdap.catalog.reading.process_pool import CallLimits, ProcessPool
from shotdap.catalog.reading.process_starter import ForkServer
from shotdap.config import Site
from shotdap.server.answering.answer_process import answer_request, start_answer_process
from shotdap.server.answering.forwarded_request import ForwardedAnswer, ForwardedRequest
from shotdap.server.http.blocks import Block, split_bytes
from shotdap.server.http.errors import SMALLER_REQUEST_ADVICE, OutOfBudget, handle_error
from shotdap.server.http.response import make_response
from shotdap.server.problem_format import find_problem_renderer

FORWARDER_KEY: Final = "forwarder"
"""Key of an ASGI scope's state that has the server's `Forwarder`; a process without one answers everything itself."""

_WAITING_SECONDS: Final = 60  # that a request may wait for disks and the processor, by the clock


class Forwarder:
    """Forwards requests to answer processes.

    Args:
        pool: of processes that were prepared by `start_answer_process`.
        store: of large bodies, the same as that of the processes.
        limits: of one request.
        body_limit: bytes of bodies that clients are still reading; with more, further requests wait.
        wait_seconds: for which they wait.
    """

    def __init__(
        self, pool: ProcessPool, store: FrameStore, limits: CallLimits, body_limit: int, wait_seconds: float
    ) -> None:
        self._pool = pool
        self._store = store
        self._limits = limits
        self._bodies = _OpenBodies(body_limit, wait_seconds)

    async def respond(self, request: Request) -> Response:
        """Return the answer of an answer process, or the reason why there is none.

        Raises:
            ClientDisconnect: the client left; the work for it has ended.
        """
        try:
            forwarded = await ForwardedRequest.from_starlette(request)
            await self._bodies.wait_for_room()
            answer = await self._call_unless_disconnected(forwarded, request)
            return ForwardedResponse(answer, self._store, self._bodies)
        except (Overloaded, Unreadable, OSError, RuntimeError) as failure:
            error = self._judge_failure(failure)
            render_problem = find_problem_renderer(request.scope)
            return make_response(handle_error(error, render_problem, request.scope["path"]))

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by an answer process, as an ASGI application."""
        with suppress(ClientDisconnect):
            response = await self.respond(Request(scope, receive))
            await response(scope, receive, send)

    async def _call_unless_disconnected(self, forwarded: ForwardedRequest, request: Request) -> ForwardedAnswer:
        """Wait for the answer while the client waits for it."""
        subject = forwarded.client[0] if forwarded.client else ""
        call = asyncio.ensure_future(self._pool.call(answer_request, forwarded, subject=subject, limits=self._limits))
        departure = asyncio.ensure_future(_wait_for_disconnect(request.receive))
        try:
            await asyncio.wait((call, departure), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise ClientDisconnect
            return call.result()
        finally:
            call.cancel()
            departure.cancel()
            await asyncio.gather(call, departure, return_exceptions=True)

    def _judge_failure(self, failure: Exception) -> Exception:
        """Return what the client is told: a request that spent its budget would spend it again."""
        limits = self._limits
        if not isinstance(failure, Undecided):
            return failure
        if failure.retry_seconds == limits.cpu_seconds:
            return OutOfBudget(
                f"This takes more than the {limits.cpu_seconds:g} s of processor time that one request may use"
                f" (server.cpu_seconds). {SMALLER_REQUEST_ADVICE}"
            )
        if failure.retry_seconds == limits.wall_seconds:
            return Undecided(
                f"There was no answer after {limits.wall_seconds:g} s, because a disk or the machine is slow now"
                f" (server.cpu_seconds). Ask again later. {SMALLER_REQUEST_ADVICE}"
            )
        return failure


class _OpenBodies:
    """The bodies that clients are still reading: slow clients together do not fill the memory of the machine.

    Args:
        limit: bytes; with more, further requests wait.
        seconds: for which they wait.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def wait_for_room(self) -> None:
        """Wait until there is room for another body.

        Raises:
            Overloaded: there is none in time.
        """
        try:
            await asyncio.wait_for(self._has_room.wait(), self._seconds)
        except TimeoutError:
            raise Overloaded("Clients that read slowly hold all memory for responses; ask again later.") from None

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Count a body while it is sent."""
        self._add(size)
        try:
            yield
        finally:
            self._add(-size)

    def _add(self, size: int) -> None:
        self._bytes += size
        (self._has_room.set if self._bytes < self._limit else self._has_room.clear)()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def open_forwarder(
    site: Site, store: FrameStore, readers: ProcessPool, fork_server: ForkServer
) -> AsyncIterator[Forwarder]:
    """Start the reader and the answer processes of a site, and stop them at the end of the block.

    Args:
        site: the site.
        store: of large bodies, and of frames.
        readers: the reader processes.
        fork_server: forks all of them, with `PRELOADED_MODULE`.
    """
    server = site.settings.server
    limits = CallLimits(server.cpu_seconds, server.cpu_seconds + _WAITING_SECONDS, server.memory_mib << 20)
    pool = ProcessPool(
        server.answer_processes or (os.cpu_count() or 1) + 1,
        limits,
        fork_server=fork_server,
        initialize=start_answer_process,
        max_waiting=server.max_waiting,
        wait_seconds=server.wait_seconds,
        activity="Answering this request",
        name="shotdap answer",
    )
    with fork_server, closing(readers), closing(pool):
        with suppress(OSError):  # the pool has logged it, and tries again
            await asyncio.gather(readers.start(), pool.start())
        yield Forwarder(pool, store, limits, site.frame_store_limit, server.wait_seconds)


class ForwardedResponse(Response):
    """The answer of an answer process, header by header and byte by byte.

    Args:
        answer: the answer.
        store: has its body, if that is large.
        bodies: counts it while it is sent.
    """

    def __init__(self, answer: ForwardedAnswer, store: FrameStore, bodies: _OpenBodies) -> None:
        super().__init__(status_code=answer.status)
        self._bodies = bodies
        self.raw_headers = list(answer.headers)
        self._content: Block = answer.body if isinstance(answer.body, bytes) else store.open_body(answer.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 — ASGI
        """Send the answer; a turn for other requests follows each block."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if isinstance(self._content, bytes):
            await send({"type": "http.response.body", "body": self._content})
            return
        with self._bodies.hold(len(self._content)):
            for block in split_bytes(self._content):
                await send({"type": "http.response.body", "body": block, "more_body": True})
                await asyncio.sleep(0)
        await send({"type": "http.response.body"})


class ForwardingMiddleware:
    """Forwards the requests that a predicate names, where the server has a `Forwarder`."""

    def __init__(self, app: ASGIApp, is_forwarded: Callable[[str, str, bytes], bool]) -> None:
        self._app = app
        self._is_forwarded = is_forwarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        forwarder = scope.get("state", {}).get(FORWARDER_KEY) if scope["type"] == "http" else None
        if isinstance(forwarder, Forwarder):
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if self._is_forwarded(scope["method"], path, scope["query_string"]):
                await forwarder.forward(scope, receive, send)
                return
        await self._app(scope, receive, send)
