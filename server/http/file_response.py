"""Files as responses, complete or by a range, from a file that is open before the status line is sent.

The bytes are those of the open file, even if another file takes its place meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate
from typing import Final, Protocol
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from shotdap.server.http.blocks import BLOCK_SIZE
from shotdap.server.http.byte_range import apply_range, find_range
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response

_ATTR_CHARACTERS: Final = "!#$&+-.^_`|~"  # that need no encoding in a parameter (RFC 8187, 3.2.1)


class OpenFile(Protocol):
    """A file that is open as long as this object lives."""

    @property
    def descriptor(self) -> int:
        """The descriptor of the file."""
        ...


def respond_with_file(
    request: HttpRequest,
    file: OpenFile,
    media_type: str,
    headers: Mapping[str, str],
    check_unchanged: Callable[[], None] = lambda: None,
) -> Response:
    """Send a file, or the part of it that is requested.

    Args:
        request: whose headers `Range` and `If-Range` count.
        file: the file.
        media_type: of the file.
        headers: further headers.
        check_unchanged: raises an exception if the file is no longer the version that is sent; called now, and after
            each read. Then the connection ends early.
    """
    check_unchanged()
    status = os.fstat(file.descriptor)
    date = {"Last-Modified": formatdate(status.st_mtime, usegmt=True)}
    whole = HttpResponse(media_type, status.st_size, (), {**date, **headers})
    response, selection = apply_range(whole, request), find_range(request, whole)
    if request.only_headers or not response.size:
        return make_response(response)
    first = selection.start if selection else 0
    headers = {**response.headers, "Content-Type": media_type, "Content-Length": str(response.size)}
    blocks = _read_blocks(file, range(first, first + response.size), check_unchanged)
    return StreamingResponse(blocks, response.status, headers)


def format_attachment(name: str) -> str:
    """Format ``Content-Disposition`` of a file that the client stores under a name (RFC 6266)."""
    encoded = quote(name, safe=_ATTR_CHARACTERS)
    return f'attachment; filename="{name}"' if encoded == name else f"attachment; filename*=utf-8''{encoded}"


async def _read_blocks(file: OpenFile, selection: range, check_unchanged: Callable[[], None]) -> AsyncIterator[bytes]:
    for start in range(selection.start, selection.stop, BLOCK_SIZE):
        size = min(BLOCK_SIZE, selection.stop - start)
        block = await run_in_threadpool(os.pread, file.descriptor, size, start)
        check_unchanged()
        if len(block) < size:
            raise OSError("The file has become shorter while it was sent.")
        yield block
