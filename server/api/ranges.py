"""Parts of an answer by their bytes, by `apply_range`; where there is none, a problem document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shotdap.server.api.problem_details import prepare_problem
from shotdap.server.http.byte_range import apply_range
from shotdap.server.http.errors import Problem
from shotdap.server.http.response import PreparedResponse

__all__ = ["apply_range_or_problem"]

_RANGE_NOT_SATISFIABLE: Final = 416


def apply_range_or_problem(reply: PreparedResponse, asked: Mapping[str, str]) -> PreparedResponse:
    """The part of a reply that a request's ``Range`` asks for, or all of it."""
    part = apply_range(reply, asked)
    if part.status != _RANGE_NOT_SATISFIABLE:
        return part
    sentence = f"The answer has {reply.size:,} bytes; the range that is asked for lies outside."
    refusal = prepare_problem(Problem(_RANGE_NOT_SATISFIABLE, sentence, expected=True))
    return replace(refusal, headers={**refusal.headers, "Content-Range": part.headers["Content-Range"]})
