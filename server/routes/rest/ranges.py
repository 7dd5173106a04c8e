"""Parts of an answer by their bytes (RFC 9110, 14): a single range of what has a strong tag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from shotdap.server.errors import Problem
from shotdap.server.replies import Block, Reply
from shotdap.server.routes.rest.problems import problem_reply

__all__ = ["ranged"]

_RANGE: Final = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))\s*")


def ranged(reply: Reply, asked: Mapping[str, str]) -> Reply:
    """The part of a reply that a request's ``Range`` asks for, or all of it.

    A header that cannot be read, or asks for several ranges, is left out of account, as the RFC allows; so is one whose
    ``If-Range`` names another state of the answer.
    """
    if reply.size is None or reply.status != 200:  # noqa: PLR2004 — OK
        return reply
    whole = replace(reply, headers={**reply.headers, "Accept-Ranges": "bytes"})
    found = _RANGE.fullmatch(asked.get("range", ""))
    same = asked.get("if-range") in {None, reply.headers.get("ETag"), reply.headers.get("Last-Modified")}
    if not found or not same:
        return whole
    start, stop = _bounds(found, reply.size)
    if start >= stop:
        sentence = f"The answer has {reply.size:,} bytes; the range that is asked for lies outside."
        refusal = problem_reply(Problem(416, sentence, expected=True))
        return replace(refusal, headers={**refusal.headers, "Content-Range": f"bytes */{reply.size}"})
    headers = {**whole.headers, "Content-Range": f"bytes {start}-{stop - 1}/{reply.size}"}
    return replace(whole, size=stop - start, blocks=_cut(reply.blocks, start, stop), headers=headers, status=206)


def _bounds(found: re.Match[str], size: int) -> tuple[int, int]:
    first, last, suffix = found.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    return int(first), size if last is None else min(int(last) + 1, size)


def _cut(blocks: Iterable[Block], start: int, stop: int) -> Iterator[Block]:
    """The bytes from one to another; blocks before and behind them are passed over."""
    at = 0
    for block in blocks:
        piece = memoryview(block)[max(0, start - at) : max(0, stop - at)]
        if piece:
            yield piece
        at += len(block)
        if at >= stop:
            return
