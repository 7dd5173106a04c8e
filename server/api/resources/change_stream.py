"""The changes of the catalog as they happen, as a stream of events (server-sent events, of the HTML standard).

A stream ends after a minute, and clients come again by themselves, with the token of the last event: so nobody goes on
listening whose token was revoked, and a server that is replaced loses no listener.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from shotdap.catalog import ChangePage, OutdatedToken
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import ApiRequest, reject_repeated_params
from shotdap.server.api.entry_document import build_change_feed
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.schemas import StreamedChanges
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import ENDLESS_STREAM_KEY

_POLL_SECONDS: Final = 0.5  # between two looks for changes, however many clients listen
_QUIET_SECONDS: Final = 15.0  # after which a comment keeps proxies from closing the connection; embargoes end, too
_STREAM_SECONDS: Final = 60.0
_RETRY_MILLISECONDS: Final = 1000  # until a client comes again
_PAGE_SIZE: Final = 100
_MAX_TOKEN_LENGTH: Final = 100
_NEW_SECONDS: Final = 900.0  # the age of a file from which on it is not new: it was copied, or its row was changed
_NANOSECONDS: Final = 1e9


class _ChangeWatch:
    """A look for changes that all listeners of a process share.

    Args:
        catalogs: of the images.
    """

    def __init__(self, catalogs: RequestCatalogs) -> None:
        self._catalogs = catalogs
        self._look: asyncio.Task[str] | None = None

    async def wait(self, seen: str, seconds: float) -> str:
        """Wait until something has changed, for some seconds at most.

        Args:
            seen: returned by an earlier call; empty for the first one, which does not wait.
            seconds: the longest time.

        Returns:
            A text that differs after a change.
        """
        deadline = time.monotonic() + seconds
        while True:
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self._read_later(0.0 if not seen else _POLL_SECONDS))
            last = await asyncio.shield(self._look)
            if last != seen or time.monotonic() >= deadline:
                return last

    async def _read_later(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return await run_in_threadpool(self._catalogs.read_last_change)


def create_change_stream_router(catalogs: RequestCatalogs) -> APIRouter:
    """Create the route."""
    routes = APIRouter(tags=["archive"], dependencies=[Depends(reject_repeated_params)])
    watch = _ChangeWatch(catalogs)

    async def find_start(
        request: ApiRequest,
        since: Annotated[
            str, Query(description="The token of an earlier answer; without it, now.", max_length=_MAX_TOKEN_LENGTH)
        ] = "",
        last_event_id: Annotated[
            str, Header(description="The same, from a client that comes again.", max_length=_MAX_TOKEN_LENGTH)
        ] = "",
    ) -> str:
        """Return the token to begin with; a bad one is refused before the stream begins."""
        catalog, token = catalogs.open(request), last_event_id or since
        if not token:
            return await run_in_threadpool(catalog.make_present_token)
        await run_in_threadpool(catalog.list_changes, token, limit=1)
        return token

    @routes.get(
        "/changes/stream",
        response_class=EventSourceResponse,
        operation_id="change_stream",
        summary="Changes as they happen",
        responses=describe_other_responses(400, 404, 410),
    )
    async def stream_changes(
        client: Request,
        request: ApiRequest,
        start: str = Depends(find_start),  # noqa: FAST002 — an annotation cannot name a local function
    ) -> AsyncIterator[ServerSentEvent]:
        """Follow the changes of the catalog: `start` says where the stream begins, `changes` has some changes.

        Each event has the token behind it as its id: clients that come again go on there. A stream ends after a minute.
        `outdated` comes where what you may see has changed: begin again with `/changes?since=0`.
        """
        client.scope.setdefault("state", {})[ENDLESS_STREAM_KEY] = True
        catalog, token, end = catalogs.open(request), start, time.monotonic() + _STREAM_SECONDS
        yield ServerSentEvent(event="start", data={"token": token}, id=token, retry=_RETRY_MILLISECONDS)
        seen = ""
        while time.monotonic() < end:
            is_behind = not seen  # what happened while nobody listened says nothing about the server
            seen = await watch.wait(seen, _QUIET_SECONDS)
            try:
                page = await run_in_threadpool(catalog.list_changes, token, limit=_PAGE_SIZE)
            except OutdatedToken as error:
                yield ServerSentEvent(event="outdated", data={"detail": str(error)}, id="")
                return
            while page.changes:
                token = page.token
                yield ServerSentEvent(event="changes", data=_describe_changes(request, page, is_behind), id=token)
                page = await run_in_threadpool(catalog.list_changes, token, limit=_PAGE_SIZE)
            yield ServerSentEvent(comment="still here")

    return routes


def _describe_changes(request: HttpRequest, page: ChangePage, is_behind: bool) -> StreamedChanges:  # noqa: FBT001
    """Return the document of some changes, with the lag from files to here unless the client was behind."""
    feed = build_change_feed(request, page)
    inspections = [each.entry.last_good_inspection for each in page.changes if each.entry]
    now = time.time()
    ages = [now - each.modified / _NANOSECONDS for each in inspections if each]
    recent = [max(0.0, age) for age in ages if age < _NEW_SECONDS]
    lag = None if is_behind else max(recent, default=None)
    return StreamedChanges(feed.changes, feed.token, feed.more, lag)
