"""Keep the failed requests of each user for them, and remove the sentence of an error from the headers."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from shotdap.server.access.audit.failure_log import Failure, FailureLog, get_failure_owner
from shotdap.server.access.audit.redaction import redact_secrets
from shotdap.server.access.authentication import find_path_token, get_own_path, mount_at_path_token
from shotdap.server.access.principal import PRINCIPAL_KEY, get_principal
from shotdap.server.http.errors import PROBLEM_HEADER

_NAME: Final = PROBLEM_HEADER.lower().encode()
_UNREPORTED_STATUSES: Final = frozenset({401})  # nobody knows whose it is
_PROBED_PREFIX: Final = "/zarr/"  # readers of Zarr ask for many documents that need not exist
_PROBED_STATUSES: Final = frozenset({404})
_OWN_PREFIX: Final = "/api/v1/failures"


class FailureMiddleware:
    """Keeps the failed requests of each user, after they were answered.

    Args:
        app: the application; its answers to requests that failed have a header with the sentence.
        log: keeps them; `None` for none.
    """

    def __init__(self, app: ASGIApp, log: FailureLog | None) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, token = get_own_path(mount_at_path_token(scope)), find_path_token(scope)
        failed: list[tuple[int, str]] = []

        async def send_without_sentence(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                sentences = [value for name, value in headers if name.lower() == _NAME]
                if sentences:
                    failed.append((message["status"], unquote(sentences[0].decode("latin-1"))))
                    message = {**message, "headers": [each for each in headers if each[0].lower() != _NAME]}
            await send(message)

        scope.setdefault("state", {})
        await self._app(scope, receive, send_without_sentence)
        if self._log is not None and failed and PRINCIPAL_KEY in scope["state"]:
            status, message = failed[0]
            is_probe = path.startswith(_PROBED_PREFIX) and status in _PROBED_STATUSES
            if not (is_probe or status in _UNREPORTED_STATUSES or path.startswith(_OWN_PREFIX)):
                query = scope["query_string"].decode("latin-1")
                target = redact_secrets(quote(path) + (f"?{query}" if query else ""), (token,))
                failure = Failure(time.time(), scope["method"], target, status, redact_secrets(message, (token,)))
                client = scope.get("client")
                owner = get_failure_owner(get_principal(scope["state"]), client[0] if client else "")
                await run_in_threadpool(self._log.add, owner, failure)
