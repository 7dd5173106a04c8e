"""Places in the order of what is found, as opaque tokens for clients to go on with."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from shotdap.catalog.index.search.index_scan import Place
from shotdap.catalog.query import Query

__all__ = ["BadToken", "place", "token"]

_LONGEST: Final = 200  # characters
_GREATEST: Final = 2**63


class BadToken(ValueError):
    """What should say where a search goes on does not."""


def token(place: Place, query: Query) -> str:
    """A place in what a query finds, as text that fits into a URL."""
    said = json.dumps([*place, _digest(query)], separators=(",", ":"))
    return urlsafe_b64encode(said.encode()).decode().rstrip("=")


def place(token: str, query: Query) -> Place:
    """The place that a token says.

    Raises:
        BadToken: it says none, or one in what another query finds.
    """
    try:
        value, number, digest = json.loads(_decoded(token))
    except (ValueError, TypeError, RecursionError) as error:
        raise BadToken("This is no token of a page; a search gives one with each page that another follows.") from error
    if type(number) is not int or type(value) not in _kinds(query) or abs(number) >= _GREATEST:
        raise BadToken("This is no token of a page of this query.")
    if digest != _digest(query) or (type(value) is int and abs(value) >= _GREATEST):
        raise BadToken("This token is that of another query; begin this one without a token.")
    return value, number


def _decoded(token: str) -> bytes:
    if len(token) > _LONGEST:
        raise ValueError
    return urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))


def _kinds(query: Query) -> tuple[type, ...]:
    by_shot = any(term.name == "shot" and not term.negated for term in query.terms)
    return (int,) if by_shot else (str, type(None))


def _digest(query: Query) -> str:
    return hashlib.blake2b(str(query).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
