"""The query string of a DAP4 request.

Strategy: find the two keys that mean something here and hand their values on as they came; only the constraint's
parser can tell how often a constraint has to be decoded.

Rule 1: keys may be percent-encoded, and with them the ``=`` and the ``&`` (pydap quotes all but a query's beginning).
Rule 2: unknown keys are ignored. ``+`` is a plus.
Rule 3: several ``dap4.ce`` are one, with all their clauses.
Rule 4: ``dap4.function`` is refused: an answer that left it out would be another one than was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from shotdap.transforms.selection import BadSelection

SEPARATOR = re.compile(r"&|%26(?=dap4(?:\.|%2e))", re.IGNORECASE)
EQUALS = re.compile(r"=|%(?:25)*3D", re.IGNORECASE)
CHECKSUM_VALUES = {"true": True, "false": False}
MAX_KEY_DECODINGS = 4  # of a key
FUNCTIONS_UNSUPPORTED = (
    "dap4.function is not offered: over DAP4, what the server computes are variables such as background_subtracted,"
    " which dap4.ce narrows like any other; functions to call, such as mean, are DAP2's, and .help lists them"
)


@dataclass(frozen=True)
class ParsedQuery:
    """What a query string asks for.

    Attributes:
        expression: the constraint, still encoded, for `parse`; empty for everything.
        checksum: what ``dap4.checksum`` says; `None` where it is absent, or neither true nor false.
    """

    expression: str = ""
    checksum: bool | None = None


def parse_query(text: str) -> ParsedQuery:
    """Split a raw query string (what follows the ``?``).

    Raises:
        BadSelection: it calls a function.
    """
    pairs = [_pair(part) for part in SEPARATOR.split(text)]
    if any(key == "dap4.function" and value for key, value in pairs):
        raise BadSelection(FUNCTIONS_UNSUPPORTED)
    expressions = [value for key, value in pairs if key == "dap4.ce" and value]
    checksums = [CHECKSUM_VALUES.get(value.lower()) for key, value in pairs if key == "dap4.checksum"]
    return ParsedQuery(";".join(expressions), checksums[-1] if checksums else None)


def _pair(part: str) -> tuple[str, str]:
    key, *value = EQUALS.split(part, maxsplit=1)
    return _decode_key(key), "".join(value)


def _decode_key(key: str) -> str:
    for _ in range(MAX_KEY_DECODINGS):
        key = unquote(key)
    return key.lower()
