"""Text that any XML parser can read, whatever characters it holds.

Rule 1: "The XML prolog at byte 0 is mandatory for pydap."
Rule 2: the document is plain ASCII, other characters being references (``&#956;`` for μ): then no client can guess
the encoding wrong, and pydap does when the header names none.
Rule 3: XML 1.0 has no place for most control characters, not even as references: each becomes U+FFFD.
Rule 4: tabs and ends of line are references: XML turns them into spaces inside a ``value="…"``.
"""

from __future__ import annotations

import re

PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://xml.opendap.org/ns/DAP/4.0#"

ILLEGAL_XML_CHARACTERS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
CHARACTER_REFERENCES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def escape_xml(text: str) -> str:
    """Give text as it may stand between tags and in double quotes."""
    legal = ILLEGAL_XML_CHARACTERS.sub("\ufffd", text).translate(CHARACTER_REFERENCES)
    return legal.encode("ascii", "xmlcharrefreplace").decode("ascii")


def convert_to_text(item: object) -> str:
    """Give anything as text: bytes as UTF-8, or as Latin-1 where they are none, and `None` as no text."""
    if item is None:
        return ""
    if not isinstance(item, bytes):
        return str(item)
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item.decode("latin-1")
