"""Errors: the only table from exceptions of lower layers to statuses, and the handler of all unexpected ones."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias
from urllib.parse import quote

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from shotdap.catalog import (
    BadCatalog,
    BadQuery,
    BadStack,
    BadToken,
    Changed,
    LostCatalog,
    Missing,
    NotFound,
    OutdatedToken,
    Overloaded,
    TooMany,
    TooSlow,
    Undecided,
    Unreadable,
    Unsearchable,
)
from shotdap.server.http.response import HttpResponse
from shotdap.transforms import BadSelection, BadVariant

PROBLEM_HEADER: Final = "Shotdap-Problem"
"""The header that carries the sentence of an error, percent-encoded, to the layers around the routes. No client gets it
from a server."""

_LOG = logging.getLogger("shotdap.http")
_MAX_SENTENCE_BYTES: Final = 1000


class NoChunk(LookupError):
    """The chunk does not exist. This is no 404, which readers of Zarr take for a chunk that has only fill values."""


class TooLarge(ValueError):
    """The response would exceed a limit of the server."""


class QueryTooLong(ValueError):
    """The query string is longer than the server's limit."""


class OutOfBudget(ValueError):
    """The request used up its own budget: processor time, or working memory. To ask again does not help."""


_STATUS_CODES: Mapping[type[Exception], int] = MappingProxyType(
    {
        BadSelection: 400,
        BadVariant: 400,
        BadStack: 400,
        BadQuery: 400,
        OutdatedToken: 410,
        BadToken: 400,
        NotFound: 404,
        Unsearchable: 404,
        NoChunk: 410,
        TooLarge: 413,
        TooMany: 413,
        OutOfBudget: 413,
        QueryTooLong: 414,
        Changed: 503,
        Missing: 500,  # the catalog promised it: not the client's fault, and netCDF-C shows the sentence of a 500
        Overloaded: 503,
        Undecided: 503,
        TooSlow: 503,
        Unreadable: 500,
        MemoryError: 503,
        LostCatalog: 503,
        BadCatalog: 500,
        PoolTimeoutError: 503,
        OperationalError: 503,
        InterfaceError: 503,
        DatabaseError: 500,
    }
)
_DATABASE_UNAVAILABLE: Final = "The catalog's database does not answer now; ask again later."
_DATABASE_BROKEN: Final = "The catalog's database cannot be read as it is; the server's log says why."
_CLIENT_MESSAGES: Mapping[type[Exception], str] = MappingProxyType(
    {
        MemoryError: "The server has not enough memory for this now; ask again later, or for less.",
        LostCatalog: _DATABASE_UNAVAILABLE,
        BadCatalog: _DATABASE_BROKEN,
        PoolTimeoutError: "All connections to the catalog's database are in use now; ask again later.",
        OperationalError: _DATABASE_UNAVAILABLE,
        InterfaceError: _DATABASE_UNAVAILABLE,
        DatabaseError: _DATABASE_BROKEN,
    }
)
"""Messages for exceptions whose own message is not meant for clients."""

SMALLER_REQUEST_ADVICE: Final = "Ask for a smaller part, or have a job do it: POST /api/v1/exports."

memory_budget: ContextVar[int] = ContextVar("memory_budget", default=0)
"""Bytes of working memory that the present request may use, where it has memory of its own; otherwise 0."""

TEMPORARY_STATUSES: Final = frozenset({429, 503})
_RETRY_AFTER_HEADERS: Final = MappingProxyType({"Retry-After": "5"})  # seconds; pydap waits for them, and tries again
_SHORTAGE_MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EMFILE: "The server has too many files open now; ask again later.",
        errno.ENFILE: "The server's machine has too many files open now; ask again later.",
        errno.ENOMEM: _CLIENT_MESSAGES[MemoryError],
        errno.ENOSPC: "A disk of the server is full; ask again when its administrator has made room.",
        errno.EDQUOT: "A disk of the server is full; ask again when its administrator has made room.",
    }
)
"""Shortages of the machine: no fault of the requested file, whatever error a reader turns them into."""


@dataclass(frozen=True)
class SyntaxDetails:
    """Position of an error in a search query, for protocols that can show it."""

    sentence: str
    """The message without the position."""
    column: int
    """Where the wrong word begins, counted from 1."""
    excerpt: str
    """The wrong word in its context, and a line below that marks it."""


@dataclass(frozen=True)
class Problem:
    """A failure as a client sees it: a status and a message, which each protocol renders in its own format."""

    status: int
    message: str
    expected: bool
    """Whether the message is complete; an unexpected error belongs in the log."""
    syntax: SyntaxDetails | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The message without the position of a syntax error."""
        return self.syntax.sentence if self.syntax else self.message

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that belong to the status: when to ask again, if that helps; which methods are allowed."""
        retry = _RETRY_AFTER_HEADERS if self.status in TEMPORARY_STATUSES else {}
        return {**retry, **self.extra_headers}


ProblemRenderer: TypeAlias = Callable[[Problem], HttpResponse]
"""Renders a problem in the format of one protocol."""


def answer(prepare: Callable[[], HttpResponse], render_problem: ProblemRenderer, subject: str) -> HttpResponse:
    """Prepare a response; if that fails, return the error in the format of the protocol.

    Args:
        prepare: prepares the response.
        render_problem: renders the error.
        subject: the requested path or query, for the log.
    """
    try:
        return prepare()
    except Exception as error:  # noqa: BLE001 — every failure gets a response in the format of the protocol
        return handle_error(error, render_problem, subject)


def handle_error(error: Exception, render_problem: ProblemRenderer, subject: str) -> HttpResponse:
    """Return the response to a request that failed, and log an unexpected error."""
    problem = to_problem(error)
    if not problem.expected:
        _LOG.error("failed to answer %s", subject, exc_info=error)
    return respond_with_problem(problem, render_problem)


def respond_with_problem(problem: Problem, render_problem: ProblemRenderer) -> HttpResponse:
    """Return a problem as a response, with the headers that belong to it."""
    sentence = quote(problem.message.encode("utf-8", "replace")[:_MAX_SENTENCE_BYTES])
    return render_problem(problem).with_headers({**problem.headers, PROBLEM_HEADER: sentence})


def render_json_problem(problem: Problem) -> HttpResponse:
    """Render a problem as a JSON object, where the protocol has no format for errors."""
    return HttpResponse.from_json({"status": problem.status, "message": problem.message}, problem.status)


def render_text_problem(problem: Problem) -> HttpResponse:
    """Render a problem as one line of text."""
    return HttpResponse.from_body(f"{problem.message}\n", "text/plain; charset=utf-8", {}, problem.status)


def to_problem(error: Exception) -> Problem:
    """Convert an exception to a problem. Of an unexpected one the client learns only that the server failed."""
    if isinstance(error, HTTPException):  # of Starlette, or of a route of the REST API
        return Problem(error.status_code, error.detail, expected=True, extra_headers=error.headers or {})
    if memory_budget.get() and _is_out_of_memory(error):
        error = OutOfBudget(describe_memory_budget(memory_budget.get()))
    shortage = _find_shortage(error)
    if shortage:
        return Problem(503, shortage, expected=False)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Problem(503, _DATABASE_UNAVAILABLE, expected=False)
    for kind, status in _STATUS_CODES.items():
        if isinstance(error, kind):
            if kind in _CLIENT_MESSAGES:
                return Problem(status, _CLIENT_MESSAGES[kind], expected=False)
            details = (
                SyntaxDetails(error.sentence, error.column, error.excerpt) if isinstance(error, BadQuery) else None
            )
            return Problem(status, str(error.args[0] if error.args else error), expected=True, syntax=details)
    return Problem(500, "The server failed to answer, by a fault of its own; its log says more.", expected=False)


def describe_memory_budget(size: int) -> str:
    """Say that a request needs more working memory than it may use, and what to do."""
    return (
        f"This needs more than the {size >> 20:,} MiB of working memory that one request may use (server.memory_mib)."
        f" {SMALLER_REQUEST_ADVICE}"
    )


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Check whether an exception comes from a lack of memory; a library may fail otherwise while it cleans up."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        error = error.__cause__ or error.__context__
    return False


def _find_shortage(error: BaseException | None) -> str:
    """Return the shortage that caused an exception, directly or through others; empty if there is none."""
    while error is not None:
        message = _SHORTAGE_MESSAGES.get(error.errno or 0) if isinstance(error, OSError) else None
        if message:
            return message
        error = error.__cause__
    return ""
