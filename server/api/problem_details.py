"""Failures as RFC 9457 has them: ``application/problem+json``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shotdap.catalog import BadQuery
from shotdap.server.api.schemas import Document
from shotdap.server.http.errors import Problem, to_problem
from shotdap.server.http.response import PreparedResponse, make_response

__all__ = [
    "COMMON_FAILURES",
    "PROBLEM_MEDIA_TYPE",
    "ProblemDocument",
    "describe_failure",
    "describe_other_responses",
    "prepare_problem",
    "register_problem_handlers",
    "respond_to_failure",
    "respond_with_problem",
]

PROBLEM_MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("shotdap.rest")
_TEMPORARY_STATUSES: Final = frozenset({429, 503})


@dataclass(frozen=True)
class ProblemDocument(Document):
    """What went wrong (RFC 9457)."""

    title: str
    """The status in words."""
    status: int
    """The status of the answer."""
    detail: str
    """What was wrong, and what would be right."""
    type: str = "about:blank"
    """No more than the status says of the kind of problem."""
    column: int | None = None
    """Of a query that cannot be understood: where the wrong word begins, counted from 1."""
    marked: str | None = None
    """Of a query that cannot be understood: the wrong word in its surroundings, and a line below that marks it."""
    images: list[str] | None = None
    """The images that there are, where one was asked for and it is not said which."""


_STATUS_DESCRIPTIONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "What is asked for cannot be understood, or does not fit the image; the sentence says what would.",
        404: "There is no such thing.",
        406: "There is no format that the client takes.",
        409: "More than one image answers this; they are listed.",
        413: "More is asked for than one answer holds; the sentence says the limit and the way round it.",
        414: "The query string is too long.",
        416: "The range of bytes lies outside the answer.",
        500: "The image cannot be read, or the server failed.",
        503: "The file is changing, or the catalog or the memory is not there now; ask again later.",
    }
)


def describe_other_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Other answers of an operation than its own, for its OpenAPI document: nothing new, and these failures.

    Failures that any operation may have need not be named.
    """
    return {
        304: {"description": "The client has it already."},
        **{status: describe_failure(status) for status in statuses},
    }


def describe_failure(status: int, description: str = "") -> dict[str, Any]:
    """A failure as an OpenAPI document has it."""
    return {
        "description": description or _STATUS_DESCRIPTIONS.get(status, HTTPStatus(status).phrase),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}},
        **({"headers": {"Retry-After": _RETRY_AFTER_HEADER}} if status in _TEMPORARY_STATUSES else {}),
    }


COMMON_FAILURES: Final = (400, 414, 500, 503)
"""The failures that any operation may have."""

_RETRY_AFTER_HEADER: Final = {"description": "Seconds to wait.", "schema": {"type": "integer"}}


def prepare_problem(trouble: Problem, **more: Any) -> PreparedResponse:  # noqa: ANN401 — members of a JSON document
    """A failure as a problem document."""
    title = HTTPStatus(trouble.status).phrase
    document = {"type": "about:blank", "title": title, "status": trouble.status, "detail": trouble.message, **more}
    return PreparedResponse.from_body(
        json.dumps(document, allow_nan=False), PROBLEM_MEDIA_TYPE, trouble.headers, trouble.status
    )


def respond_with_problem(trouble: Problem, **more: Any) -> Response:  # noqa: ANN401 — members of a JSON document
    """A failure as Starlette sends it."""
    return make_response(prepare_problem(trouble, **more))


def respond_to_failure(error: Exception, path: str) -> Response:
    """The answer to a request that failed; what nobody expected goes into the log."""
    trouble = to_problem(error)
    if not trouble.expected:
        _LOG.error("failed to answer %s", path, exc_info=error)
    if isinstance(error, BadQuery):
        return respond_with_problem(replace(trouble, message=error.sentence), column=error.column, marked=error.excerpt)
    return respond_with_problem(trouble)


def register_problem_handlers(app: FastAPI) -> None:
    """Make what an application itself refuses a problem document; what fails in it is `ApiMiddleware`'s."""
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    if status == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"There is nothing at {request.url.path}; what there is stands in openapi.json."
    reply = prepare_problem(Problem(status, detail, expected=True))
    headers = getattr(error, "headers", None) or {}  # a 405 says what is allowed
    return make_response(replace(reply, headers={**reply.headers, **headers}))


async def _handle_validation_error(_request: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    sentences = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in errors]
    return respond_with_problem(Problem(400, f"{'; '.join(sentences)}.", expected=True))
