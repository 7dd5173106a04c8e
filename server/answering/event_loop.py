"""Responses that are prepared in the event loop, as long as that holds up nobody."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shotdap.catalog import NeedsProcess, run_suspending
from shotdap.server.answering.forwarder import FORWARDER_KEY, Forwarder
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response, run_in_thread

_CLIENT_LEFT: Final = 499  # for the log only, as nginx has it


async def respond_in_loop(request: Request, prepare: Callable[[HttpRequest], HttpResponse]) -> Response:
    """Prepare a response in the event loop; a request that is too expensive for it is forwarded to a process.

    A server without such processes prepares it in a thread.

    Args:
        request: a request that is usually cheap.
        prepare: prepares the response; what it has to wait for it gets by `reading.suspending.wait_for`.
    """
    forwarder = request.scope.get("state", {}).get(FORWARDER_KEY)
    if not isinstance(forwarder, Forwarder):
        return await run_in_thread(request, prepare)
    try:
        return make_response(await run_suspending(partial(prepare, HttpRequest.from_starlette(request))))
    except NeedsProcess:
        try:
            return await forwarder.respond(request)
        except ClientDisconnect:
            return Response(status_code=_CLIENT_LEFT)
