"""The files in a user's home with which clients sign in at a server by a token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from shotdap.server.client_setup.netcdf_rc_file import FILE_NAMES, NETRC_KEY, parse_rc, put_netrc_path
from shotdap.server.client_setup.netrc_file import find_entry, parse_netrc, put_entry, remove_entry
from shotdap.server.client_setup.private_file import is_read_by_others, read_text, write_text

LOGIN: Final = "shotdap"
"""The user in ``.netrc``: servers take any name beside a token, and `shotdap` knows its entries by this one."""


class ForeignEntry(Exception):
    """A file signs in another account at the server; the message is a sentence for the user."""


class TokenUnknown(Exception):
    """The server does not take a token; the message is a sentence for the user."""


@dataclass(frozen=True)
class SignInFiles:
    """The files in a home, for one server.

    Attributes:
        home: the user's home.
        machine: the name of the server, without a port, as ``.netrc`` has it.
    """

    home: Path
    machine: str

    @classmethod
    def for_url(cls, home: Path, url: str) -> SignInFiles:
        """Return those for the URL of a server, or of something on it."""
        return cls(home, httpx.URL(url).host)

    @property
    def netrc(self) -> Path:
        """The file with the token: the one that netCDF-C is told of already, if it exists, or else ``.netrc``."""
        for name in FILE_NAMES:
            for line in parse_rc(read_text(self.home / name)):
                path = Path(line.value)
                if line.key == NETRC_KEY and not line.url and path.is_absolute() and path.is_file():
                    return path
        return self.home / ".netrc"

    def check(self) -> None:
        """Check that a token can be stored.

        Raises:
            ForeignEntry: another account is signed in at the server.
            OSError: a file cannot be read.
        """
        text = read_text(self.netrc)
        for entry in parse_netrc(text):
            if entry.machine == self.machine and entry.login != LOGIN:
                raise ForeignEntry(
                    f"{self.netrc}, line {entry.line}, signs in {entry.login or 'somebody'} at {self.machine}. Remove"
                    " that entry, or use --print and put the token where you want it."
                )

    def store(self, token: str) -> Iterator[str]:
        """Write the files; yield a sentence for each that was changed.

        A file that others could read has mode 0600 afterwards, and so has a new one.

        Raises:
            ForeignEntry: another account is signed in at the server.
            OSError: a file cannot be written.
        """
        self.check()
        netrc = self.netrc
        yield from _replace(
            netrc, put_entry(read_text(netrc), self.machine, LOGIN, token), f"the token for {self.machine}"
        )
        for name in FILE_NAMES:
            path = self.home / name
            yield from _replace(path, put_netrc_path(read_text(path), str(netrc)), f"where netCDF-C finds {netrc.name}")

    def find_token(self) -> str | None:
        """Return the token that was stored for the server, `None` if there is none."""
        entry = find_entry(read_text(self.netrc), self.machine)
        return entry.password if entry is not None and entry.login == LOGIN else None

    def remove(self) -> bool:
        """Remove the token for the server; return whether there was one. The lines for netCDF-C, for all, stay."""
        text = read_text(self.netrc)
        entry = find_entry(text, self.machine)
        if entry is None or entry.login != LOGIN:
            return False
        write_text(self.netrc, remove_entry(text, entry))
        return True


def check_token(client: httpx.Client, server_url: str, token: str) -> None:
    """Check that a server takes a token.

    Raises:
        TokenUnknown: it does not.
        httpx.HTTPError: it does not answer.
    """
    answer = client.get(f"{server_url.rstrip('/')}/api/v1/tokens", headers=_bear(token))
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise TokenUnknown(f"There is no server at {server_url} that needs a token.")
    if not answer.is_success and answer.status_code != httpx.codes.FORBIDDEN:  # as restricted tokens manage none
        raise TokenUnknown(f"{server_url} answers {answer.status_code} to this token; nothing was stored.")


def revoke_token(client: httpx.Client, server_url: str, token: str) -> None:
    """Revoke a token, unless the server knows it no more.

    Raises:
        TokenUnknown: the server refuses to.
        httpx.HTTPError: it does not answer.
    """
    answer = client.delete(f"{server_url.rstrip('/')}/api/v1/tokens/current", headers=_bear(token))
    if not answer.is_success and answer.status_code != httpx.codes.UNAUTHORIZED:
        raise TokenUnknown(f"{server_url} answers {answer.status_code}: the token was not revoked, and is kept.")


def _bear(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _replace(path: Path, text: str, content: str) -> Iterator[str]:
    was_open = path.exists() and is_read_by_others(path)
    if text == read_text(path) and not was_open:
        return
    write_text(path, text)
    yield f"{path}: {content}" + (" (others could read it; now only you can)" if was_open else "")
