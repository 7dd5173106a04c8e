"""Failures as RFC 9457 has them: ``application/problem+json``."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shotdap.server.errors import EXPECTED, Problem, problem

__all__ = ["MEDIA_TYPE", "answer_problems", "problem_response"]

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("shotdap.rest")


def problem_response(trouble: Problem, **more: Any) -> Response:  # noqa: ANN401 — members of a JSON document
    """A failure as a problem document."""
    document = {"title": HTTPStatus(trouble.status).phrase, "status": trouble.status, "detail": trouble.message, **more}
    return Response(json.dumps(document), trouble.status, media_type=MEDIA_TYPE)


def answer_problems(app: FastAPI) -> None:
    """Make every failure of an application a problem document."""
    for kind in (*EXPECTED, Exception):  # under `Exception` alone, Starlette would raise each again, and log it
        app.add_exception_handler(kind, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _failed(_request: Request, error: Exception) -> Response:
    trouble = problem(error)
    if not trouble.expected:
        _LOG.error("failed to answer", exc_info=error)
    return problem_response(trouble)


async def _refused(_request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return problem_response(Problem(status, detail, expected=True))


async def _invalid(_request: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    sentences = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in errors]
    return problem_response(Problem(422, "; ".join(sentences), expected=True))
