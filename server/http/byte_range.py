"""Partial responses: the header ``Range`` of RFC 9110, section 14, for one range of bytes."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from shotdap.server.http.blocks import select_bytes
from shotdap.server.http.errors import Problem, ProblemRenderer
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse

_SINGLE_RANGE: Final = re.compile(  # whoever asks for what lies beyond any file is told so, whatever the number
    r"\s*bytes\s*=\s*(?P<first>[0-9]{0,100})\s*-\s*(?P<last>[0-9]{0,100})\s*", re.IGNORECASE
)


def apply_range(
    response: HttpResponse, request: HttpRequest, render_problem: ProblemRenderer | None = None
) -> HttpResponse:
    """Return the part of a response that a request selects; the whole if it selects none, or more than one.

    Args:
        response: a complete response of known size; any other is returned unchanged.
        request: whose headers `Range` and `If-Range` count; HEAD has none (RFC 9110, 14.2).
        render_problem: renders the body of a 416, which otherwise has none.

    Returns:
        A response with status 206; or 416 if the range begins after the end.
    """
    if response.status != HTTPStatus.OK or response.size is None:
        return response
    whole = response.with_headers({"Accept-Ranges": "bytes"})
    selection = find_range(request, whole)
    if selection is None:
        return whole
    if selection:
        headers = {"Content-Range": f"bytes {selection[0]}-{selection[-1]}/{response.size}"}
        part = replace(whole, size=len(selection), blocks=tuple(select_bytes(response.blocks, selection)), status=206)
        return part.with_headers(headers)
    headers = {"Content-Range": f"bytes */{response.size}"}
    if render_problem is None:
        return HttpResponse("", 0, (), {**whole.headers, **headers}, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    message = f"The answer has {response.size:,} bytes; the range that is asked for lies outside."
    problem = Problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, message, expected=True)
    return render_problem(problem).with_headers(headers)


def find_range(request: HttpRequest, response: HttpResponse) -> range | None:
    """Return the selected bytes, as far as they exist; `None` if the whole response is to be sent.

    Args:
        request: whose headers `Range` and `If-Range` count.
        response: a complete response.
    """
    size = response.size or 0
    match = _SINGLE_RANGE.fullmatch(request.headers.get("range", ""))
    if request.only_headers or match is None or not (match["first"] or match["last"]):
        return None
    if_range = request.headers.get("if-range")
    if if_range is not None and if_range not in {response.headers.get("ETag"), response.headers.get("Last-Modified")}:
        return None  # the client has a part of another version; a weak tag never shows that bytes are equal
    if not match["first"]:
        return range(max(0, size - int(match["last"])), size)
    first = int(match["first"])
    if match["last"] and int(match["last"]) < first:
        return None  # it goes backwards, and so is no range
    return range(first, min(int(match["last"]) + 1, size) if match["last"] else size)
