"""Byte ranges of responses, as in RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdap.server.http.byte_range import apply_range
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse

WHOLE = bytes(range(100))
REPLY = HttpResponse(
    "text/plain", 100, (WHOLE[:30], WHOLE[30:31], b"", WHOLE[31:]), {"ETag": '"a"', "Last-Modified": "then"}
)


def read_body(reply: HttpResponse) -> bytes:
    return b"".join(map(bytes, reply.blocks))


@given(st.integers(0, 99), st.integers(0, 150))
def test_a_range(first: int, last: int) -> None:
    """A range includes its first and last byte, up to the end; a reversed one is ignored."""
    reply = apply_range(REPLY, HttpRequest("", headers={"range": f"bytes={first}-{last}"}))
    expected = WHOLE[first : last + 1] if last >= first else WHOLE

    assert (reply.status, read_body(reply), reply.size) == (206 if last >= first else 200, expected, len(expected))
    if reply.status == 206:
        assert reply.headers["Content-Range"] == f"bytes {first}-{min(last, 99)}/100"


@given(st.integers(1, 150))
def test_the_end(count: int) -> None:
    """``bytes=-N`` is the last N bytes, or all if there are fewer; ``bytes=N-`` all from N on."""
    reply = apply_range(REPLY, HttpRequest("", headers={"range": f"bytes=-{count}"}))

    assert read_body(reply) == WHOLE[-count:]
    assert reply.headers["Content-Range"] == f"bytes {max(0, 100 - count)}-99/100"
    if count < 100:
        assert read_body(apply_range(REPLY, HttpRequest("", headers={"range": f"bytes={count}-"}))) == WHOLE[count:]


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 20}-"])
def test_after_the_end(asked: str) -> None:
    """A range that begins after the end gives 416 with the length of the whole."""
    reply = apply_range(REPLY, HttpRequest("", headers={"range": asked}))

    assert (reply.status, read_body(reply), reply.size) == (416, b"", 0)
    assert reply.headers["Content-Range"] == "bytes */100"


@pytest.mark.parametrize(
    "asked",
    ["", "bytes=", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=1-٣", f"bytes={'9' * 5000}-"],
)
def test_no_single_range(asked: str) -> None:
    """Anything but a single range of bytes gives the whole, with the header that allows ranges."""
    reply = apply_range(REPLY, HttpRequest("", headers={"range": asked}))

    assert (reply.status, read_body(reply), reply.headers["Accept-Ranges"]) == (200, WHOLE, "bytes")


@pytest.mark.parametrize(("if_range", "status"), [('"a"', 206), ("then", 206), ('"b"', 200), ('W/"a"', 200)])
def test_only_if_it_still_is(if_range: str, status: int) -> None:
    """A range with If-Range is applied only if the whole is unchanged."""
    assert apply_range(REPLY, HttpRequest("", headers={"range": "bytes=5-6", "if-range": if_range})).status == status


def test_failures_stay_whole() -> None:
    """A response that is no success has no ranges."""
    failure = HttpResponse.from_body("There is nothing.", "text/plain", {}, 404)

    assert apply_range(failure, HttpRequest("", headers={"range": "bytes=0-1"})) is failure
