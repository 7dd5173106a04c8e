"""Keyset cursors: positions in the order of a search, as opaque tokens for clients."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from shotdap.catalog.index.search.index_scan import Position
from shotdap.catalog.query import Query

_MAX_TOKEN_LENGTH: Final = 200  # characters
_MAX_INTEGER: Final = 2**63 - 1  # the greatest integer of a database


class BadToken(ValueError):
    """A token that is not the cursor of a page of this query."""


def encode_cursor(position: Position, query: Query) -> str:
    """Return the token of a position in a query's order; it can be part of a URL."""
    content = json.dumps([*position, _hash_query(query)], separators=(",", ":"))
    return urlsafe_b64encode(content.encode()).decode().rstrip("=")


def decode_cursor(token: str, query: Query) -> Position:
    """Return the position that a token encodes.

    Raises:
        BadToken: it encodes none, or the position belongs to another query.
    """
    try:
        padding = b"=" * (-len(token) % 4)
        content = urlsafe_b64decode(token.encode("ascii") + padding) if len(token) <= _MAX_TOKEN_LENGTH else b""
        value, number, query_hash = json.loads(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadToken("This is not a page token; a search returns one with each page except the last.") from error
    is_by_shot = any(term.name == "shot" and not term.is_negated for term in query.terms)
    value_types = (int,) if is_by_shot else (str, type(None))
    if type(number) is not int or type(value) not in value_types or abs(number) > _MAX_INTEGER:
        raise BadToken("This is not a page token of this query.")
    if query_hash != _hash_query(query) or (type(value) is int and abs(value) > _MAX_INTEGER):
        raise BadToken("This token belongs to another query; start this one without a token.")
    return value, number


def _hash_query(query: Query) -> str:
    return hashlib.blake2b(str(query).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
