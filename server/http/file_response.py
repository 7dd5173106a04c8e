"""Files as responses, complete or by ranges."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import BinaryIO

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send


class OpenFileResponse(FileResponse):
    """A response from a file that is open already: a file that cannot be opened fails before the status line.

    The bytes are those of the open file, even if another file takes its place meanwhile.

    Args:
        file: read from its beginning, and closed after the response was sent.
        media_type: of the file.
        filename: under which the client stores it.
        headers: further headers; validators among them replace those of Starlette.
    """

    def __init__(self, file: BinaryIO, media_type: str, filename: str, headers: Mapping[str, str]) -> None:
        self._file = file
        descriptor = file.fileno()
        super().__init__(
            f"/dev/fd/{descriptor}",
            media_type=media_type,
            filename=filename,
            headers=headers,
            stat_result=os.fstat(descriptor),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the part of it that is requested."""
        with self._file:
            await super().__call__(scope, receive, send)


class VerifiedFileResponse(FileResponse):
    """A response from a file that may be rewritten in place meanwhile: the connection then ends early.

    Args:
        path: of the file.
        stat_result: of the version to send.
        filename: under which the client stores it.
        headers: further headers; validators among them replace those of Starlette.
        check_unchanged: raises an exception if the file is no longer of this version; called before each block.
    """

    def __init__(
        self,
        path: str,
        stat_result: os.stat_result,
        filename: str,
        headers: Mapping[str, str],
        check_unchanged: Callable[[], None],
    ) -> None:
        media_type = "application/octet-stream"  # an archive may contain anything, even a login page
        super().__init__(path, headers=headers, media_type=media_type, filename=filename, stat_result=stat_result)
        self._check_unchanged = check_unchanged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, and check before each block that it is still of this version."""

        async def check_and_send(message: Message) -> None:
            self._check_unchanged()
            await send(message)

        # Without extensions: with one, a server would be given the path, and would read the file itself.
        await super().__call__({**scope, "extensions": {}}, receive, check_and_send)
