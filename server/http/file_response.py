"""A file's bytes as an answer, whole or by ranges."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

__all__ = ["OpenFileResponse"]


class OpenFileResponse(FileResponse):
    """An answer from a file that is open already, so that one which cannot be opened fails before the status line.

    The bytes are those of the open file, whatever takes its place meanwhile.

    Args:
        file: read from its beginning, and closed once the answer has gone out.
        media_type: what it is.
        filename: what the client is to call it.
        headers: others that go with it; a validator's take the place of Starlette's own.
    """

    def __init__(self, file: BinaryIO, media_type: str, filename: str, headers: Mapping[str, str]) -> None:
        self._file = file
        descriptor = file.fileno()
        status = os.fstat(descriptor)
        super().__init__(
            f"/dev/fd/{descriptor}", media_type=media_type, filename=filename, headers=headers, stat_result=status
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the part of it that is asked for."""
        with self._file:
            await super().__call__(scope, receive, send)
