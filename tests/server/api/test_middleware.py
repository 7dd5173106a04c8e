"""The middleware of the API, in this process: failures, query strings, HEAD."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from shotdap.catalog import NotFound, Unreadable
from shotdap.server.api.middleware import ApiMiddleware
from shotdap.server.api.problem_details import register_problem_handlers
from shotdap.server.http.errors import TooLarge

Ask = Callable[..., httpx.Response]

FAILURES: dict[str, Exception] = {
    "missing": NotFound("There is no such image."),
    "large": TooLarge("Too much."),
    "damaged": Unreadable("It is damaged."),
    "away": OperationalError("SELECT secret", {}, Exception("at /srv/archive")),
    "full": MemoryError(),
    "fault": RuntimeError("a path of the server: /srv/archive"),
}


@pytest.fixture
def ask() -> Ask:
    """A function that sends a request to an application whose routes fail."""
    app = FastAPI()
    app.add_middleware(ApiMiddleware, max_query_length=50)
    register_problem_handlers(app)

    @app.get("/{name}")
    def fail(name: str, number: int = 0) -> dict[str, int]:
        if name in FAILURES:
            raise FAILURES[name]
        return {"number": number}

    async def send(method: str, target: str) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, target)

    return lambda target, method="GET": anyio.run(send, method, target)


@pytest.mark.parametrize(
    ("name", "status"),
    [("missing", 404), ("large", 413), ("damaged", 500), ("away", 503), ("full", 503), ("fault", 500)],
)
def test_failures(ask: Ask, name: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A failure gives a problem document without details of the server; an unexpected one is logged once."""
    with caplog.at_level(logging.ERROR):
        answer = ask(f"/{name}")

    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "srv" not in answer.text
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)
    assert len(caplog.records) == (name in {"away", "full", "fault"})


def test_validation(ask: Ask) -> None:
    """A parameter of a wrong type is a bad request, like all invalid ones."""
    answer = ask("/here?number=x")

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("number: ")


def test_long_queries(ask: Ask) -> None:
    """A query string that is too long is refused before anything else."""
    answer = ask(f"/here?number={'1' * 60}")

    assert answer.status_code == 414
    assert answer.json()["detail"] == "The query string has 67 bytes; 50 are taken at most."


def test_head(ask: Ask) -> None:
    """HEAD is GET without the body, also for failures."""
    answer, failure = ask("/here", "HEAD"), ask("/missing", "HEAD")

    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "12")
    assert (failure.status_code, failure.content) == (404, b"")
