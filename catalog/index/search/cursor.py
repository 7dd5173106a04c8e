"""Places in the order of what is found, as opaque tokens for clients to go on with."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from shotdap.catalog.index.search.index_scan import Position
from shotdap.catalog.query import Query

__all__ = ["BadToken", "decode_cursor", "encode_cursor"]

_MAX_CURSOR_LENGTH: Final = 200  # characters
_MAX_INTEGER: Final = 2**63


class BadToken(ValueError):
    """What should say where a search goes on does not."""


def encode_cursor(place: Position, query: Query) -> str:
    """A place in what a query finds, as text that fits into a URL."""
    said = json.dumps([*place, _hash_query(query)], separators=(",", ":"))
    return urlsafe_b64encode(said.encode()).decode().rstrip("=")


def decode_cursor(token: str, query: Query) -> Position:
    """The place that a token says.

    Raises:
        BadToken: it says none, or one in what another query finds.
    """
    try:
        value, number, digest = json.loads(_decode_base64(token))
    except (ValueError, TypeError, RecursionError) as error:
        raise BadToken("This is no token of a page; a search gives one with each page that another follows.") from error
    if type(number) is not int or type(value) not in _kinds(query) or abs(number) >= _MAX_INTEGER:
        raise BadToken("This is no token of a page of this query.")
    if digest != _hash_query(query) or (type(value) is int and abs(value) >= _MAX_INTEGER):
        raise BadToken("This token is that of another query; begin this one without a token.")
    return value, number


def _decode_base64(token: str) -> bytes:
    if len(token) > _MAX_CURSOR_LENGTH:
        raise ValueError
    return urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))


def _kinds(query: Query) -> tuple[type, ...]:
    by_shot = any(term.name == "shot" and not term.is_negated for term in query.terms)
    return (int,) if by_shot else (str, type(None))


def _hash_query(query: Query) -> str:
    return hashlib.blake2b(str(query).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
