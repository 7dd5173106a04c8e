"""The file ``.netrc``, in which curl, wget, pydap and netCDF-C find the password of a machine.

Its format is that of GNU inetutils: words between spaces or lines. What is of other machines is kept byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_WITH_VALUE: Final = frozenset({"machine", "macdef", "login", "user", "account", "password"})
_MACRO_END: Final = re.compile(r"\n[ \t]*\n|\Z")


@dataclass(frozen=True)
class NetrcEntry:
    """The password of a machine.

    Attributes:
        machine: its name, without a port; empty for ``default``, which is for all that no entry before it names.
        login: the user.
        password: the password.
        start: where the entry begins in the text.
        end: where its last word ends.
        line: the number of its first line.
    """

    machine: str
    login: str
    password: str
    start: int
    end: int
    line: int


def parse_netrc(text: str) -> tuple[NetrcEntry, ...]:
    """Return the entries of a file, in its order; macros and comments are none."""
    entries: list[NetrcEntry] = []
    position = 0
    while word := _WORD.search(text, position):
        kind, position = word[0], word.end()
        if kind.startswith("#"):
            position = text.find("\n", position) % (len(text) + 1)  # the end of the text, if it is the last line
        elif kind == "default":
            entries.append(NetrcEntry("", "", "", word.start(), position, text.count("\n", 0, word.start()) + 1))
        elif kind in _WITH_VALUE and (following := _WORD.search(text, position)):
            position = following.end()
            value = re.sub(r"\\(.)", r"\1", following[0][1:-1]) if following[0].startswith('"') else following[0]
            if kind == "machine":
                line = text.count("\n", 0, word.start()) + 1
                entries.append(NetrcEntry(value, "", "", word.start(), position, line))
            elif kind == "macdef":
                end = _MACRO_END.search(text, position)
                position = end.end() if end else len(text)
            elif entries:
                login = value if kind in {"login", "user"} else entries[-1].login
                password = value if kind == "password" else entries[-1].password
                entries[-1] = replace(entries[-1], login=login, password=password, end=position)
    return tuple(entries)


def find_entry(text: str, machine: str) -> NetrcEntry | None:
    """Return the entry whose password programs send to a machine: the first of its name, or before it ``default``."""
    return next((each for each in parse_netrc(text) if each.machine in {machine, ""}), None)


def put_entry(text: str, machine: str, login: str, password: str) -> str:
    """Return the text of a file with an entry for a machine, where the machine's first one was, or else at the top."""
    entry = f"machine {machine}\n  login {login}\n  password {password}"
    for old in parse_netrc(text):
        if old.machine == machine:
            return f"{text[: old.start]}{entry}{text[old.end :]}"
    return f"{entry}\n{text}"


def remove_entry(text: str, entry: NetrcEntry) -> str:
    """Return the text of a file without an entry."""
    return text[: entry.start] + text[entry.end :].removeprefix("\n")
