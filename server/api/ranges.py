"""Parts of an answer by their bytes, by `part_of`; where there is none, a problem document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shotdap.server.api.problem_details import problem_reply
from shotdap.server.http.byte_range import part_of
from shotdap.server.http.errors import Problem
from shotdap.server.http.response import Reply

__all__ = ["ranged"]

_OUTSIDE: Final = 416


def ranged(reply: Reply, asked: Mapping[str, str]) -> Reply:
    """The part of a reply that a request's ``Range`` asks for, or all of it."""
    part = part_of(reply, asked)
    if part.status != _OUTSIDE:
        return part
    sentence = f"The answer has {reply.size:,} bytes; the range that is asked for lies outside."
    refusal = problem_reply(Problem(_OUTSIDE, sentence, expected=True))
    return replace(refusal, headers={**refusal.headers, "Content-Range": part.headers["Content-Range"]})
