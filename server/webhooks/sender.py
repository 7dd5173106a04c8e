"""The sender of webhooks: one child process of each server, and for each webhook one of all servers.

Each message has a page of the feed of changes as the webhook's account sees it. The cursor advances only when the
receiver has accepted the message: nothing is lost when a server or a receiver is away, and nothing is queued.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import httpx
from sqlalchemy.exc import SQLAlchemyError

from shotdap.catalog import BadCatalog, BadToken, Catalog, ChangePage, TooSlow
from shotdap.config import Settings, SettingsSource, Site
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.api.entry_document import build_change_feed
from shotdap.server.api.responses import prepare_document
from shotdap.server.child_process import run_child_process
from shotdap.server.http.outgoing import create_outgoing_client
from shotdap.server.http.request import HttpRequest
from shotdap.server.webhooks.cursor_store import LEASE_SECONDS, CursorStore
from shotdap.server.webhooks.webhook import Webhook, load_webhooks

_LOG = logging.getLogger("shotdap.webhooks")
_POLL_SECONDS: Final = 1.0
_RENEW_SECONDS: Final = LEASE_SECONDS / 4
_MAX_BACKOFF_SECONDS: Final = 300.0
_PAGE_SIZE: Final = 100  # images in one message
_ID_LENGTH: Final = 32
_OUTDATED: Final = (
    "The rules for this webhook have changed: images may have appeared and disappeared. Read the list of images again."
)


@dataclass(frozen=True)
class _Message:
    """A message that was not accepted yet."""

    id: str
    body: bytes
    token: str
    """Where the feed goes on behind it."""


class WebhookSender:
    """Sends the messages of one webhook.

    Args:
        webhook: its receiver.
        catalog: of all images.
        cursors: of the site.
        base_url: of this server in the links of messages.
        seconds: the time limit of one attempt.
    """

    def __init__(self, webhook: Webhook, catalog: Catalog, cursors: CursorStore, base_url: str, seconds: float) -> None:
        self._webhook = webhook
        self._catalog = catalog.restrict(webhook.visibility)
        self._cursors = cursors
        self._request = HttpRequest("", base_url=base_url)
        self._seconds = seconds
        self._holder = uuid4().hex
        self._token = ""
        self._renew_at = 0.0
        self._message: _Message | None = None
        self._failures = 0
        self._attempt_at = 0.0

    async def run(self) -> None:
        """Send what there is, again and again, until the task is cancelled."""
        try:
            while True:
                try:
                    pause = await self._advance()
                except (SQLAlchemyError, BadCatalog, TooSlow) as error:
                    _LOG.warning(
                        "Webhook %s: the database does not answer: %s", self._webhook.name, type(error).__name__
                    )
                    pause = _RENEW_SECONDS
                except Exception:  # noqa: BLE001 — nobody starts this process anew, and other webhooks go on
                    _LOG.exception("Webhook %s: it is tried again", self._webhook.name)
                    pause = _RENEW_SECONDS
                await asyncio.sleep(pause)
        finally:
            self._cursors.release(self._webhook.name, self._holder)

    async def _advance(self) -> float:
        """Take the next step; return the seconds until the one after it."""
        name, now = self._webhook.name, time.monotonic()
        if now >= self._renew_at:
            token = await asyncio.to_thread(self._cursors.take, name, self._holder)
            if token is None:
                self._message = None
                return _RENEW_SECONDS
            self._token, self._renew_at = token, now + _RENEW_SECONDS
        if self._message is None:
            self._message = await asyncio.to_thread(self._read_message)
        if self._message is None:
            return _POLL_SECONDS
        if now < self._attempt_at:
            return min(self._attempt_at, self._renew_at) - now
        reason = await self._send(self._message)
        if reason:
            self._failures += 1
            pause = min(_MAX_BACKOFF_SECONDS, 2.0 ** min(self._failures, 16))
            self._attempt_at = time.monotonic() + pause
            _LOG.warning("Webhook %s: %s; the next attempt is in %.0f s", name, reason, pause)
            return min(pause, _RENEW_SECONDS)
        self._failures, self._attempt_at = 0, 0.0
        if await asyncio.to_thread(self._cursors.advance, name, self._holder, self._message.token):
            self._token = self._message.token
        else:
            self._renew_at = 0.0
        self._message = None
        return 0.0

    def _read_message(self) -> _Message | None:
        """Read the changes behind the cursor as a message; `None` if there are none."""
        if not self._token:  # a new webhook is told what happens from now on
            self._token = self._catalog.make_present_token()
            self._cursors.advance(self._webhook.name, self._holder, self._token)
        try:
            page = self._catalog.list_changes(self._token, limit=_PAGE_SIZE)
        except BadToken:
            page = ChangePage((), self._catalog.make_present_token(), has_more=False)
            return self._make_message("outdated", page, detail=_OUTDATED)
        return self._make_message("changes", page) if page.changes else None

    def _make_message(self, kind: str, page: ChangePage, **more: str) -> _Message:
        """Make a message, whose id is the same whenever it has the same content."""
        feed = build_change_feed(self._request, page)
        document = json.loads(b"".join(prepare_document(feed).blocks))
        content = {"event": kind, "webhook": self._webhook.name, "changes": document["changes"], **more}
        numbers = [str(each.number) for each in page.changes] or [page.token]
        id_ = hashlib.sha256(json.dumps([content, numbers]).encode()).hexdigest()[:_ID_LENGTH]
        return _Message(id_, json.dumps({"id": id_, **content}).encode(), page.token)

    async def _send(self, message: _Message) -> str:
        """Send a message; return why it was not accepted, or nothing."""
        headers = self._webhook.sign(message.id, int(time.time()), message.body)
        try:
            async with (
                asyncio.timeout(self._seconds),
                create_outgoing_client(self._seconds) as client,
                client.stream("POST", self._webhook.url, content=message.body, headers=headers) as response,
            ):
                return "" if response.is_success else f"its receiver answered {response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return f"its receiver does not answer ({type(error).__name__})"


@contextmanager
def run_webhooks(settings: Settings, source: SettingsSource) -> Iterator[None]:
    """Send webhooks in a child process until the end of the block, if the settings have any.

    Args:
        settings: of the site.
        source: from which the process loads the settings.

    Raises:
        BadSettings: see `load_webhooks`.
    """
    if not load_webhooks(settings):
        yield
        return
    with run_child_process(_send_until_parent_exits, source, "shotdap hooks"):
        yield


def _send_until_parent_exits(source: SettingsSource) -> None:
    settings = source.load()
    cursors, catalog = CursorStore(AccessDatabase.from_settings(settings)), Site(settings).open_catalog()
    senders = [
        WebhookSender(each, catalog, cursors, settings.oidc.public_url, settings.webhooks.seconds)
        for each in load_webhooks(settings)
    ]

    async def send() -> None:
        everything = asyncio.gather(*(each.run() for each in senders))
        # Each sender ends its lease, so that the next process need not wait until it expires.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, everything.cancel)
        with suppress(asyncio.CancelledError):
            await everything

    asyncio.run(send())
