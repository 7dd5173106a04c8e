"""The query string of a DAP4 request.

Strategy: find the two known keys and pass their values on unchanged; only the parser of constraints can tell how often
a constraint has to be decoded.

Rule 1: keys can be percent-encoded, with their ``=`` and ``&`` (pydap quotes all but the beginning of a query).
Rule 2: unknown keys are ignored. ``+`` is a plus.
Rule 3: several ``dap4.ce`` are joined to one, with all their clauses.
Rule 4: ``dap4.function`` is refused: a response that ignored it would be wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from shotdap.transforms.selection import BadSelection

_SEPARATOR = re.compile(r"&|%26(?=dap4(?:\.|%2e))", re.IGNORECASE)
_EQUALS = re.compile(r"=|%(?:25)*3D", re.IGNORECASE)
_CHECKSUM_VALUES = {"true": True, "false": False}
_MAX_KEY_DECODINGS = 4
_FUNCTIONS_UNSUPPORTED = (
    "dap4.function is not offered: over DAP4, what the server computes are variables such as background_subtracted,"
    " which dap4.ce narrows like any other; functions to call, such as mean, are DAP2's, and .help lists them"
)


@dataclass(frozen=True)
class ParsedQuery:
    """The known keys of a query string.

    Attributes:
        expression: the constraint, still encoded, for `parse_constraint`; empty for everything.
        checksum: the value of ``dap4.checksum``; `None` if it is absent, or neither true nor false.
    """

    expression: str = ""
    checksum: bool | None = None


def parse_query(text: str) -> ParsedQuery:
    """Parse a raw query string (the part of the URL after ``?``).

    Raises:
        BadSelection: the query calls a function.
    """
    pairs: list[tuple[str, str]] = []
    for part in _SEPARATOR.split(text):
        key, *value = _EQUALS.split(part, maxsplit=1)
        for _ in range(_MAX_KEY_DECODINGS):
            key = unquote(key)
        pairs.append((key.lower(), "".join(value)))
    if any(key == "dap4.function" and value for key, value in pairs):
        raise BadSelection(_FUNCTIONS_UNSUPPORTED)
    expressions = [value for key, value in pairs if key == "dap4.ce" and value]
    checksums = [_CHECKSUM_VALUES.get(value.lower()) for key, value in pairs if key == "dap4.checksum"]
    return ParsedQuery(";".join(expressions), checksums[-1] if checksums else None)
