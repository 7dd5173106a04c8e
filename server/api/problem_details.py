"""Errors of the REST API as problem documents (RFC 9457): ``application/problem+json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from shotdap.server.api.schemas import Document
from shotdap.server.http.errors import TEMPORARY_STATUSES, Problem, respond_with_problem, to_problem
from shotdap.server.http.response import HttpResponse, make_response

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True)
class ProblemDocument(Document):
    """A problem (RFC 9457)."""

    title: str
    """The phrase of the status."""
    status: int
    """The status of the answer."""
    detail: str
    """What was wrong, and what would be right."""
    type: str = "about:blank"
    """Always `about:blank`: the status is the kind of problem."""
    column: int | None = None
    """Column of the wrong word in a query that cannot be parsed, counted from 1."""
    marked: str | None = None
    """The wrong word in its context, and a line below that marks it."""
    images: list[str] | None = None
    """The matches, where the request has to match one image."""


_STATUS_DESCRIPTIONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "What is asked for cannot be understood, or does not fit the image; the sentence says what would.",
        404: "There is no such thing.",
        406: "There is no format that the client takes.",
        409: "More than one image answers this; they are listed.",
        413: "More is asked for than one answer holds; the sentence says the limit and the way round it.",
        414: "The query string is too long.",
        416: "The range of bytes lies outside the answer.",
        429: "You have had as much as you may have for now; the headers say when to ask again.",
        500: "The image cannot be read, or the server failed.",
        503: "The file is changing, or the catalog or the memory is not there now; ask again later.",
    }
)


def describe_other_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the 304 and the failures of an operation, for the OpenAPI document.

    Failures that any operation may have need not be named.
    """
    return {
        304: {"description": "The client has it already."},
        **{status: describe_failure(status) for status in statuses},
    }


def describe_failure(status: int, description: str = "") -> dict[str, Any]:
    """Describe a failure for the OpenAPI document."""
    return {
        "description": description or _STATUS_DESCRIPTIONS.get(status, HTTPStatus(status).phrase),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}},
        **({"headers": {"Retry-After": _RETRY_AFTER_HEADER}} if status in TEMPORARY_STATUSES else {}),
    }


COMMON_FAILURES: Final = (400, 414, 429, 500, 503)
"""Statuses of failures that any operation may have."""

_RETRY_AFTER_HEADER: Final = {"description": "Seconds to wait.", "schema": {"type": "integer"}}


def render_problem(problem: Problem, **members: Any) -> HttpResponse:  # noqa: ANN401 — members of a JSON document
    """Render a problem as a problem document, with further members."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.sentence,
        **({"column": problem.syntax.column, "marked": problem.syntax.excerpt} if problem.syntax else {}),
        **members,
    }
    return HttpResponse.from_body(json.dumps(document, allow_nan=False), PROBLEM_MEDIA_TYPE, {}, problem.status)


def send_problem(status: int, message: str, **members: Any) -> Response:  # noqa: ANN401 — members of a JSON document
    """Send an expected problem, with further members."""
    render = partial(render_problem, **members)
    return make_response(respond_with_problem(Problem(status, message, expected=True), render))


def register_problem_handlers(app: FastAPI) -> None:
    """Render what an application itself refuses as a problem document; `ApiMiddleware` handles failures in it."""

    async def handle_http_error(request: Request, error: Exception) -> Response:
        problem = to_problem(error)
        if problem.status == HTTPStatus.NOT_FOUND and problem.message == HTTPStatus.NOT_FOUND.phrase:
            message = f"There is nothing at {request.url.path}; what there is stands in openapi.json."
            problem = replace(problem, message=message)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:  # Starlette names those of the first route only
            problem = replace(problem, extra_headers={"Allow": ", ".join(_list_methods(app, request))})
        return make_response(respond_with_problem(problem, render_problem))

    async def handle_validation_error(_request: Request, error: Exception) -> Response:
        errors = error.errors() if isinstance(error, RequestValidationError) else []
        sentences = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in errors]
        return send_problem(400, f"{'; '.join(sentences)}.")

    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(RequestValidationError, handle_validation_error)


def _list_methods(app: FastAPI, request: Request) -> list[str]:
    """List the methods that the OpenAPI document has for the path of a request."""
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
    methods = set[str]()
    for template, operations in app.openapi()["paths"].items():
        if compile_path(template.replace("{path}", "{path:path}"))[0].match(path):
            methods |= {name.upper() for name in operations if name != "parameters"}
    return sorted(methods)
