"""The OpenAPI document: FastAPI's, corrected where it does not describe what the server sends."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.responses import JSONResponse

from shotdap.server.api.problem_details import COMMON_FAILURES, ProblemDocument, describe_failure

API_DESCRIPTION: Final = """\
Every image has one URL, `/images/<path>`. Without `format` it answers with a description in JSON; with one, with the
values as a file or a picture. `variable`, `transform`, `band` and the names of dimensions say which part is meant:

    /api/v1/images/omega/103741/p510_2/p510_2_s103741?variable=background_subtracted&format=png&y=100:400&cmap=viridis

Indices count from 0, and a part leaves its end out, as in Python. A parameter that there is not is an error, and so is
one that is there twice and means one thing. JSON is strict: numbers that are none are the texts `"NaN"`, `"Infinity"`
and `"-Infinity"`, dates are ISO 8601, bytes are text, and so are integers beyond 2^53. Every failure is a problem
document (RFC 9457). Lists go on by `next`, which the header `Link` has too. Answers have an `ETag`; what is asked for
with `If-None-Match` is not read again. HEAD is answered wherever GET is.
"""

API_TAGS: Final = [
    {"name": "images", "description": "Images: found, described, computed, and drawn."},
    {"name": "packages", "description": "Many images as one file, with what explains them."},
    {"name": "archive", "description": "What the archive holds, and what has changed in it."},
    {"name": "exports", "description": "Many images at once, made in the background."},
    {"name": "service", "description": "What the server is, whether it is well, and what it knows to do."},
    {"name": "legacy", "description": "Aliases for URLs that are in people's programs."},
]

_FIRST_FAILURE_STATUS: Final = "400"
_REPLACED_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")  # of FastAPI's 422, which is never sent


def register_openapi(app: FastAPI) -> None:
    """Give an application its OpenAPI document, which is built when it is first requested."""

    @cache
    def build_document() -> dict[str, Any]:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas[ProblemDocument.__name__] = TypeAdapter(ProblemDocument).json_schema(mode="serialization")
        for name in _REPLACED_SCHEMAS:
            schemas.pop(name, None)
        for operation in _iter_operations(document):  # each failure of an operation is a problem document
            responses = {
                status: each
                for status, each in operation["responses"].items()
                if "HTTPValidationError" not in str(each)
            }
            failures = {status for status in responses if status >= _FIRST_FAILURE_STATUS}
            for status in failures.union(map(str, COMMON_FAILURES)):
                response = responses.get(status, {})
                responses[status] = {**describe_failure(int(status), response.get("description", "")), **response}
            operation["responses"] = dict(sorted(responses.items()))
            for response in responses.values():
                _describe_events(response)
        return document

    app.openapi = build_document  # type: ignore[method-assign]  # as FastAPI's documentation recommends
    app.router.routes[:] = [each for each in app.router.routes if getattr(each, "path", "") != app.openapi_url]

    async def serve_openapi(request: Request) -> JSONResponse:
        root = request.scope.get("root_path", "").removesuffix("/api/v1")
        document = copy.deepcopy(build_document())
        document["servers"] = [{"url": f"{root}/api/v1"}]
        for operation in _iter_operations(document):
            for server in operation.get("servers", ()):
                server["url"] = root + server["url"]
        return JSONResponse(document)

    app.add_route("/openapi.json", serve_openapi, include_in_schema=False)


def _describe_events(response: dict[str, Any]) -> None:
    """Describe a stream of events in the words of OpenAPI 3.1; only 3.2 has `itemSchema`, which FastAPI writes."""
    for content in response.get("content", {}).values():
        if "itemSchema" in content:
            content["x-item-schema"] = content.pop("itemSchema")


def _iter_operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document.get("paths", {}).values():
        yield from (each for method, each in path.items() if method in {"get", "put", "post", "delete", "patch"})
