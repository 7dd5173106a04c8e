"""Secrets in texts for people."""

from __future__ import annotations

import io
import logging
from typing import Final

import pytest

from shotdap.server.access.audit.redaction import MaskingFormatter, redact_secrets

TOKEN: Final = "sd_" + "7hQ2mZp0Xc9LrTb4VnWk8sJd1FgYe6AuKoRi3"
JWT: Final = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"bearer {JWT}",
        "Authorization: Basic YW5uOmNvcnJlY3QgaG9yc2U=",
        f"GET /k/{TOKEN}/dap/omega/1.dds HTTP/1.1",
        "GET /k/anything-else/dap/omega/1.dds HTTP/1.1",
        "http://shotdap.example/k/anything-else/dap/",
        f"/dap/omega/1.dds?x[0:9]&y={TOKEN}",
        "/dap/omega/1.dds?sd%5F7hQ2mZp0Xc9LrTb4VnWk8sJd1FgYe6AuKoRi3",
        "?a=%73d_7hQ2mZp0Xc9LrTb4VnWk8sJd1FgYe6AuKoRi3",
        "?access_token=correct-horse&format=png",
        "?format=png&api%5Fkey=correct-horse",
        "Referer: https://ann:correct-horse@shotdap.example/dap/",
        "cookie: shotdap_session=correct-horse; other=1",
        "{'password': 'correct-horse'}",
        f"ValueError: there is no variable {TOKEN}",
    ],
)
def test_secrets(text: str) -> None:
    """A secret is masked wherever it is."""
    masked = redact_secrets(text)

    assert "***" in masked
    for secret in ("7hQ2mZp0", "eyJzdWI", "YW5uOmN", "correct", "anything-else"):
        assert secret not in masked


def test_given_secrets() -> None:
    """The credentials of a request are masked in whatever else it says, also percent-encoded."""
    assert redact_secrets("x=correct horse&y=correct%20horse", ["correct horse"]) == "x=***&y=***"
    assert redact_secrets("/dap/a", ["a"]) == "/dap/a"


@pytest.mark.parametrize(
    "text",
    [
        "image[0:9][10:2:499],y&image.x>5&time<=3.5e-9",
        "dap4.ce=%2Fimage%5B0%3A9%5D%5B%5D&dap4.checksum=true",
        "omega/62328/k/asbo1_s62328/~median_filter-size-5",
        "/dap/omega/k/a.dds",
        "q=diagnostic:P510*%20shot:103700..103800&author:smith",
        "variable=background_subtracted&format=png&y=100:400&cmap=viridis",
        "python-requests/2.32 netCDF-C/4.9.3",
        "sd_card_s62328",
    ],
)
def test_requests_stay(text: str) -> None:
    """Paths, constraints and queries stay as they are: the audit is for them."""
    assert redact_secrets(text) == text


def test_logs() -> None:
    """A log shows no secret, in messages, arguments or tracebacks."""
    stream, logger = io.StringIO(), logging.getLogger("shotdap.test_redaction")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(MaskingFormatter(logging.Formatter("%(levelname)s %(message)s")))
    logger.addHandler(handler)
    try:
        int(TOKEN)
    except ValueError:
        logger.exception("failed to answer %s", f"/k/{TOKEN}/dap/a")
    finally:
        logger.removeHandler(handler)

    assert TOKEN not in stream.getvalue()
    assert "ERROR failed to answer /k/***/dap/a" in stream.getvalue()
    assert "ValueError: invalid literal" in stream.getvalue()
