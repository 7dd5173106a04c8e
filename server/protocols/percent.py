"""Percent-encoding that clients apply more than once.

"4.9.0 sends the brackets of a CE given in the URL as ``%25255b``, 4.10.1 turns ``%5B`` into ``%255B``: decode again
until the CE parses." A ``+`` is a plus: query strings of OPeNDAP are no HTML forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

Parsed = TypeVar("Parsed")

_MAX_DECODINGS = 8  # netCDF-C reaches three; the bound keeps a hostile "%252525…" linear


def parse_percent_encoded(parse: Callable[[str], Parsed], expression: str) -> Parsed:
    """Parse an expression, percent-decoding it once more as long as it does not parse.

    Args:
        parse: raises a `ValueError` for text that it cannot parse; it must refuse text that is still encoded.
        expression: percent-encoded any number of times, or not at all.

    Returns:
        The result of `parse` for the first text that it accepts.

    Raises:
        ValueError: the error of `parse` for the fully decoded text.
    """
    for _ in range(_MAX_DECODINGS):
        try:
            return parse(expression)
        except ValueError:
            decoded = unquote(expression)
            if decoded == expression:
                raise
            expression = decoded
    return parse(expression)
