"""The files ``.ncrc`` and ``.dodsrc``, in which netCDF-C looks for ``.netrc``: it does not do so by itself.

One line, for all servers: ``.netrc`` says which password is for which machine. A line can be for one server, but
netCDF-C 4.9.0 takes only one such server of a file, and 4.10 another form of its URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

FILE_NAMES: Final = (".ncrc", ".dodsrc")
"""In the home; netCDF-C reads both, since 4.9.0 first the former, versions before 4.7 the latter only."""

NETRC_KEY: Final = "HTTP.NETRC"
CREDENTIAL_KEYS: Final = frozenset(
    {"HTTP.CREDENTIALS.USER", "HTTP.CREDENTIALS.PASSWORD", "HTTP.CREDENTIALS.USERNAME", "HTTP.CREDENTIALS.USERPASSWORD"}
)
"""They are sent instead of what ``.netrc`` says."""

_LINE: Final = re.compile(
    r"^[ \t]*(?:\[(?P<url>[^\]\n]*)\])?[ \t]*(?P<key>[\w.]+)[ \t]*=[ \t]*(?P<value>.*?)[ \t\r]*$", re.MULTILINE
)


@dataclass(frozen=True)
class RcLine:
    """A line of a file.

    Attributes:
        url: of the server that it is for; empty for all.
        key: in capitals.
        value: after the sign of equality.
        number: of the line.
    """

    url: str
    key: str
    value: str
    number: int


def parse_rc(text: str) -> tuple[RcLine, ...]:
    """Return the lines of a file that set something."""
    return tuple(
        RcLine(line["url"] or "", line["key"].upper(), line["value"], text.count("\n", 0, line.start()) + 1)
        for line in _LINE.finditer(text)
    )


def put_netrc_path(text: str, path: str) -> str:
    """Return the text of a file with the absolute path of the file ``.netrc``, for all servers."""
    line = f"{NETRC_KEY}={path}"
    for old in _LINE.finditer(text):
        if not old["url"] and old["key"].upper() == NETRC_KEY:
            return f"{text[: old.start()]}{line}{text[old.end() :]}"
    separator = "" if text.endswith("\n") or not text else "\n"
    return f"{text}{separator}{line}\n"
