"""Causes that keep the clients of a user from an image: the server, the token, or a line of a file."""

from __future__ import annotations

import netrc
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from shotdap.server.client_setup.netcdf_rc_file import CREDENTIAL_KEYS, FILE_NAMES, NETRC_KEY, parse_rc
from shotdap.server.client_setup.netrc_file import find_entry, parse_netrc
from shotdap.server.client_setup.private_file import is_read_by_others, read_text
from shotdap.server.client_setup.sign_in_files import SignInFiles

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_MESSAGE: Final = re.compile(r'message\s*=\s*"(.*?)";', re.DOTALL)  # of an error in DAP2
_SUFFIX: Final = re.compile(r"\.(dds|das|dods|dmr|dap|html|info)(\.\w+)?$")


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, and what would be right.

    Attributes:
        sentence: for the user; it names the file and the line, and has no secret.
        stops_netcdf: whether netCDF-C fails for it, and what is made with it.
        stops_others: whether clients fail for it that look into ``.netrc`` by themselves.
    """

    sentence: str
    stops_netcdf: bool = True
    stops_others: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """The findings before any client was tried.

    Attributes:
        url: of the image, as clients take it.
        answer: a sentence about what the server answers to whoever has the token in the files.
        is_served: whether it answers at all, and knows the image.
        problems: what is wrong with the files.
    """

    url: str
    answer: str
    is_served: bool
    problems: tuple[Problem, ...] = ()


def examine(client: httpx.Client, url: str, home: Path, folder: Path) -> Diagnosis:
    """Ask the server for an image as a client would, and look through the files that clients read.

    Args:
        client: asks the server.
        url: of the image; a suffix or constraint does no harm.
        home: the folder with the files.
        folder: in which the clients run; netCDF-C looks for its files there, too.

    Raises:
        httpx.InvalidURL: it is no URL.
    """
    url = _SUFFIX.sub("", url.partition("#")[0].partition("?")[0])
    files = SignInFiles.for_url(home, url)
    server = url.partition("/dap/")[0]
    try:
        alone = client.get(f"{url}.dds")
        entry = find_entry(read_text(files.netrc), files.machine)
        signed = client.get(f"{url}.dds", auth=(entry.login, entry.password)) if entry else alone
    except httpx.HTTPError as error:
        return Diagnosis(url, f"{files.machine} does not answer: {error}.", is_served=False)
    if alone.status_code == _OK:
        return Diagnosis(url, "The server shows this image to everybody: no token is needed.", is_served=True)
    found = _MESSAGE.search(signed.text)
    said = found[1] if found else signed.reason_phrase
    if alone.status_code != _UNAUTHORIZED:
        return Diagnosis(
            url, f"The server answers {alone.status_code} before it asks for a token: {said}", is_served=False
        )
    problems = [*_check_netrc(files, server), *_check_environment(files)]
    if entry is None:
        answer = "The server asks for a token, and none is stored."
    elif signed.status_code == _OK:
        answer = f"The server knows the token of {files.netrc}, line {entry.line}, and shows the image."
    elif signed.status_code == _NOT_FOUND:
        answer = f"The server knows the token, but has no such image, or does not show it to you: {said}"
        return Diagnosis(url, answer, is_served=False, problems=tuple(problems))
    else:
        answer = f"The server answers {signed.status_code} to the token: {said}"
        sentence = f"{files.netrc}, line {entry.line}: the token is not accepted. Get a new one: shotdap login {server}"
        problems.append(Problem(sentence))
    problems += _check_rc_files(client, files, url, folder)
    return Diagnosis(url, answer, is_served=True, problems=tuple(problems))


def _check_netrc(files: SignInFiles, server: str) -> Iterator[Problem]:
    path = files.netrc
    text = read_text(path)
    entries = parse_netrc(text)
    if not any(entry.machine in {files.machine, ""} for entry in entries):
        for entry in entries:
            if files.machine in re.split(r"[:/@]", entry.machine):
                yield Problem(
                    f"{path}, line {entry.line}: it says machine {entry.machine}; right is machine {files.machine}"
                )
                return
        yield Problem(f"{path} has no entry for {files.machine}: shotdap login {server}")
        return
    if is_read_by_others(path):
        yield Problem(f"{path}: others can read it; chmod 600 {path}", stops_netcdf=False, stops_others=False)
    try:
        netrc.netrc(path)
    except netrc.NetrcParseError as error:
        yield Problem(f"{path}, line {error.lineno}: Python's clients ignore the file: {error.msg}", stops_netcdf=False)


def _check_environment(files: SignInFiles) -> Iterator[Problem]:
    """Find what leads clients to another file than netCDF-C."""
    other = os.environ.get("NETRC")
    if other and Path(other) != files.netrc:
        yield Problem(f"The variable NETRC leads pydap to {other}: unset it, or sign in there", stops_netcdf=False)
    elif files.netrc != files.home / ".netrc":
        yield Problem(
            f"netCDF-C looks into {files.netrc}, others into {files.home / '.netrc'}: let {NETRC_KEY} name the latter",
            stops_netcdf=False,
        )


def _check_rc_files(client: httpx.Client, files: SignInFiles, url: str, folder: Path) -> Iterator[Problem]:
    """Find what keeps netCDF-C from the token: it needs a line that leads to ``.netrc``, and no other password."""
    lines = [
        (path, line)
        for directory in dict.fromkeys((files.home, folder))
        for path in (directory / name for name in FILE_NAMES)
        for line in parse_rc(read_text(path))
        if not line.url or url.startswith(line.url.rstrip("/"))
    ]
    leading = [(path, line) for path, line in lines if line.key == NETRC_KEY]
    for path, line in leading:
        if not Path(line.value).is_absolute():
            right = f"{NETRC_KEY}={files.netrc}"
            yield Problem(f"{path}, line {line.number}: netCDF-C needs an absolute path: {right}", stops_others=False)
        elif not Path(line.value).is_file():
            yield Problem(f"{path}, line {line.number}: there is no file {line.value}", stops_others=False)
        elif line.url:
            sentence = f"{path}, line {line.number}: netCDF-C 4.9.0 reads no line for one server; remove [{line.url}]"
            yield Problem(sentence, stops_others=False)
    if not leading:
        right = f"{NETRC_KEY}={files.netrc}"
        yield Problem(f"{files.home / FILE_NAMES[0]} has no line {right}: netCDF-C needs it", stops_others=False)
    given = {line.key: (path, line) for path, line in lines if line.key in CREDENTIAL_KEYS}
    if given:
        values = {key.rpartition(".")[2]: line.value for key, (_, line) in given.items()}
        user, _, password = values.get("USERPASSWORD", "").partition(":")
        credentials = (values.get("USER", values.get("USERNAME", user)), values.get("PASSWORD", password))
        if client.get(f"{url}.dds", auth=credentials).status_code == _UNAUTHORIZED:
            for path, line in given.values():
                yield Problem(
                    f"{path}, line {line.number}: netCDF-C sends this {line.key} instead of the token, and the server"
                    " does not know it: remove the line",
                    stops_others=False,
                )
