"""The one table from exceptions to statuses. No layer below the server knows a status code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy.exc import OperationalError

from shotdap.catalog import BadQuery, BadStack, BadToken, Changed, Missing, NotFound, TooMany, Unreadable, Unsearchable
from shotdap.transforms import BadSelection, BadVariant

__all__ = ["NoChunk", "Problem", "QueryTooLong", "TooLarge", "problem"]


class NoChunk(LookupError):
    """There is no such chunk. Readers of Zarr take a 404 for one that holds nothing but fill values: it must not be."""


class TooLarge(ValueError):
    """The answer would be greater than the server's limit."""


class QueryTooLong(ValueError):
    """The query string is longer than the server's limit."""


_STATUSES: Mapping[type[Exception], int] = MappingProxyType(
    {
        BadSelection: 400,
        BadVariant: 400,
        BadStack: 400,
        BadQuery: 400,
        BadToken: 400,
        NotFound: 404,
        Unsearchable: 404,
        NoChunk: 410,
        TooLarge: 413,
        TooMany: 413,
        QueryTooLong: 414,
        Changed: 503,
        Missing: 500,  # the catalog promised it: not the client's fault, and netCDF-C shows the sentence of a 500
        Unreadable: 500,
        MemoryError: 503,
        OperationalError: 503,
    }
)
_SENTENCES: Mapping[type[Exception], str] = MappingProxyType(
    {
        MemoryError: "The server has not enough memory for this now; ask again later, or for less.",
        OperationalError: "The catalog's database does not answer now; ask again later.",
    }
)
"""For exceptions whose own words are not a client's."""


@dataclass(frozen=True)
class Problem:
    """What a client is told of a failure: a status and a sentence, which each protocol words in its own way."""

    status: int
    message: str
    expected: bool
    """Whether the sentence says it all; what is not expected belongs in the log."""


def problem(error: Exception) -> Problem:
    """What to tell a client. Of an exception that nobody expected it learns only that there was one."""
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            if kind in _SENTENCES:
                return Problem(status, _SENTENCES[kind], expected=False)
            return Problem(status, str(error.args[0] if error.args else error), expected=True)
    return Problem(500, "The server failed to answer, by a fault of its own; its log says more.", expected=False)
