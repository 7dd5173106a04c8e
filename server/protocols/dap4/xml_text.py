"""Text that any XML parser can read, whatever its characters are.

Rule 1: "The XML prolog at byte 0 is mandatory for pydap."
Rule 2: the document is ASCII, with references for other characters (``&#956;`` for μ): then no client can guess a wrong
encoding, as pydap does if the header contains none.
Rule 3: XML 1.0 does not allow most control characters, not even as references: each becomes U+FFFD.
Rule 4: tabs and ends of line are references: XML replaces them by spaces inside a ``value="…"``.
"""

from __future__ import annotations

import re

PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://xml.opendap.org/ns/DAP/4.0#"

_ILLEGAL_XML_CHARACTERS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CHARACTER_REFERENCES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def escape_xml(text: str) -> str:
    """Escape text for XML, between tags and in double quotes."""
    legal = _ILLEGAL_XML_CHARACTERS.sub("\ufffd", text).translate(_CHARACTER_REFERENCES)
    return legal.encode("ascii", "xmlcharrefreplace").decode("ascii")


def convert_to_text(item: object) -> str:
    """Convert a value to text: bytes from UTF-8, or else from Latin-1; `None` is empty."""
    if item is None:
        return ""
    if not isinstance(item, bytes):
        return str(item)
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item.decode("latin-1")
