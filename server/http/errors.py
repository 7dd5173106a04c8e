"""The one table from exceptions to statuses. No layer below the server knows a status code."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shotdap.catalog import (
    BadCatalog,
    BadQuery,
    BadStack,
    BadToken,
    Changed,
    LostCatalog,
    Missing,
    NotFound,
    TooMany,
    Undecided,
    Unreadable,
    Unsearchable,
)
from shotdap.transforms import BadSelection, BadVariant

__all__ = ["NoChunk", "Problem", "QueryTooLong", "TooLarge", "to_problem"]


class NoChunk(LookupError):
    """There is no such chunk. Readers of Zarr take a 404 for one that holds nothing but fill values: it must not be."""


class TooLarge(ValueError):
    """The answer would be greater than the server's limit."""


class QueryTooLong(ValueError):
    """The query string is longer than the server's limit."""


_STATUS_CODES: Mapping[type[Exception], int] = MappingProxyType(
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
        Undecided: 503,
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
"""For exceptions whose own words are not a client's."""

_TEMPORARY_STATUSES: Final = frozenset({429, 503})
_RETRY_AFTER_HEADERS: Final = MappingProxyType({"Retry-After": "5"})  # seconds; pydap waits so long, and tries again
_SHORTAGE_MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EMFILE: "The server has too many files open now; ask again later.",
        errno.ENFILE: "The server's machine has too many files open now; ask again later.",
        errno.ENOMEM: _CLIENT_MESSAGES[MemoryError],
        errno.ENOSPC: "A disk of the server is full; ask again when its administrator has made room.",
        errno.EDQUOT: "A disk of the server is full; ask again when its administrator has made room.",
    }
)
"""What a machine is short of, which is no fault of the file that was asked for, whatever a reader makes of it."""


@dataclass(frozen=True)
class Problem:
    """What a client is told of a failure: a status and a sentence, which each protocol words in its own way."""

    status: int
    message: str
    expected: bool
    """Whether the sentence says it all; what is not expected belongs in the log."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that go with the status: when to ask again, where that helps."""
        return _RETRY_AFTER_HEADERS if self.status in _TEMPORARY_STATUSES else {}


def to_problem(error: Exception) -> Problem:
    """What to tell a client. Of an exception that nobody expected it learns only that there was one."""
    shortage = _find_shortage(error)
    if shortage:
        return Problem(503, shortage, expected=False)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Problem(503, _DATABASE_UNAVAILABLE, expected=False)
    for kind, status in _STATUS_CODES.items():
        if isinstance(error, kind):
            if kind in _CLIENT_MESSAGES:
                return Problem(status, _CLIENT_MESSAGES[kind], expected=False)
            return Problem(status, str(error.args[0] if error.args else error), expected=True)
    return Problem(500, "The server failed to answer, by a fault of its own; its log says more.", expected=False)


def _find_shortage(error: BaseException | None) -> str:
    """Return what the machine was short of, by an exception or what it came from; empty where that was not it."""
    while error is not None:
        sentence = _SHORTAGE_MESSAGES.get(error.errno or 0) if isinstance(error, OSError) else None
        if sentence:
            return sentence
        error = error.__cause__
    return ""
