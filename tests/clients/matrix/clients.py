"""Every client, and the way in which its user calls it.

Strategy: a client gets all requests at once and returns its answer to each, in words between spaces, or ``!!`` and
its error. Clients of scripts get one script; one that dies is started again after the request at which it died.
Clients that are commands are run once for each request.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import h5py
import numpy as np
from tests.clients.matrix.features import PROTOCOLS, Feature, Part

__all__ = ["CLIENTS", "Client", "ClientRequest"]

SECONDS: Final = 120  # for one command; none needs more than a few on an idle machine
MARK: Final = "@@"
WORKER: Final = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class ClientRequest:
    """A `Feature` in the terms of a protocol: names are flat in DAP2, and the URL is complete."""

    url: str
    names: tuple[str, ...]
    attributes: tuple[str, ...]
    part: Part | None
    fails: bool
    protocol: str

    @classmethod
    def from_feature(cls, feature: Feature, root: str, protocol: str) -> ClientRequest:
        """Create the request for a server at a URL."""
        constraint = (feature.constraint or {}).get(protocol, "")
        names, attributes = feature.names, feature.attributes
        if protocol == "DAP2":
            if names and names[0].endswith("/"):
                attributes, names = tuple(names[0].replace("/", "_") + name for name in attributes), ("",)
            names = tuple(name.replace("/", "_") for name in names)
        return cls(f"{root}/dap/{feature.file}{constraint}", names, attributes, feature.part, feature.fails, protocol)

    @property
    def netcdf_url(self) -> str:
        """The URL in the form of netCDF-C."""
        return f"{self.url}#dap4" if self.protocol == "DAP4" else self.url


@dataclass(frozen=True)
class Client(ABC):
    """A client.

    Attributes:
        name: its name in the matrix.
        program: the program that must be installed; none for a library of Python.
        unpacks: whether it applies ``scale_factor`` and its like.
        protocols: its protocols.
        digits: how many digits it prints of a float32 and of a float64, if not all.
        fill: its word for a type's default fill value.
    """

    name: str
    program: str = ""
    unpacks: bool = False
    protocols: tuple[str, ...] = PROTOCOLS
    digits: tuple[int, int] | None = None
    fill: str = ""

    @abstractmethod
    def run(self, requests: Sequence[ClientRequest]) -> tuple[list[str | None], str]:
        """Return the answer to each request, `None` if the client died, and all output."""


def _run(command: Sequence[str], text: str = "", folder: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
        cwd=folder,
        env=environment | {"DISPLAY": ""},
    )


# Clients that run scripts --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scripted(Client):
    """A client that runs a script; ``{}`` in its command is the script's file."""

    command: tuple[str, ...] = ()
    write: Callable[[Mapping[int, ClientRequest]], str] = field(default=lambda _: "")
    suffix: str = ""

    def run(self, requests: Sequence[ClientRequest]) -> tuple[list[str | None], str]:
        """Return the answers; see `Client.run`."""
        answers: dict[int, str | None] = {}
        output = ""
        while left := {number: each for number, each in enumerate(requests) if number not in answers}:
            written, code = self._run_once(left)
            output += written
            found = dict(_split_sections(written))
            finished = list(found)[:-1] if code < 0 else list(found)  # it died at the last one
            answers |= {number: found[number] for number in finished}
            answers.setdefault(next(number for number in left if number not in finished), None) if code < 0 else None
            if code >= 0:
                answers |= {number: None for number in left if number not in found}
        return [answers[number] for number in range(len(requests))], output

    def _run_once(self, requests: Mapping[int, ClientRequest]) -> tuple[str, int]:
        with TemporaryDirectory() as folder:
            script = Path(folder) / f"script{self.suffix}"
            script.write_text(self.write(requests))
            ended = _run([part.format(script) for part in self.command], folder=folder)
        return f"{ended.stdout}\n{ended.stderr}", ended.returncode


def _split_sections(output: str) -> list[tuple[int, str]]:
    """Return the text between one mark and the next, or until the end of its line of answers."""
    _, *parts = re.split(rf"^{MARK}(\d+)\s*$", output, flags=re.MULTILINE)
    return [(int(number), _parse_answer(text)) for number, text in zip(parts[::2], parts[1::2], strict=True)]


def _parse_answer(text: str) -> str:
    """Return a client's answer without the output of libraries: its error, or its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("!!")), "\n".join(lines))


def _write_for_worker(requests: Mapping[int, ClientRequest]) -> str:
    return json.dumps({number: _convert_to_json(request) for number, request in requests.items()})


def _convert_to_json(request: ClientRequest) -> dict[str, Any]:
    return {
        "url": request.url,
        "protocol": request.protocol,
        "names": request.names,
        "attributes": request.attributes,
        "part": request.part,
    }


def _write_octave(requests: Mapping[int, ClientRequest]) -> str:
    head = (
        "pkg load netcdf\n"
        "function show(x)\n"
        "  if ischar(x) printf('%s ', x(:)'); elseif isa(x, 'uint64') printf('%u ', x);\n"
        "  elseif isinteger(x) printf('%d ', x); else printf('%.17g ', x); end\n"
        "end\n"
    )
    return head + "".join(_write_octave_request(number, request) for number, request in requests.items()) + "exit(0)\n"


def _write_octave_request(number: int, request: ClientRequest) -> str:
    url, slash = request.netcdf_url, "/" if request.protocol == "DAP4" else ""
    if request.fails:
        steps = [f"ncinfo('{url}');"]
    elif request.attributes:
        owner = f"{slash}{request.names[0]}".rstrip("/") or "/"
        steps = [f"show(ncreadatt('{url}', '{owner}', '{name}'));" for name in request.attributes]
    else:
        part = "".join(f", [{' '.join(map(str, each))}]" for each in _reverse(request.part, first=1))
        steps = [f"show(ncread('{url}', '{slash}{name}'{part}));" for name in request.names]
    return (
        f"printf('{MARK}{number}\\n'); fflush(stdout);\n"
        f"try\n  {' '.join(steps)} printf('\\n');\ncatch e\n  printf('!!%s\\n', e.message);\nend\nfflush(stdout);\n"
    )


def _reverse(part: Part | None, *, first: int = 0) -> list[tuple[int, ...]]:
    """Return start, count and stride with the fastest dimension first, counted from `first`."""
    if part is None:
        return []
    start, count, stride = part
    return [tuple(number + first for number in reversed(start)), tuple(reversed(count)), tuple(reversed(stride))]


def _write_r(requests: Mapping[int, ClientRequest]) -> str:
    head = (
        "suppressPackageStartupMessages(library(ncdf4))\n"
        "show <- function(x) cat(if (is.character(x)) x else sprintf('%.17g', x), '')\n"
    )
    return head + "".join(_write_r_request(number, request) for number, request in requests.items())


def _write_r_request(number: int, request: ClientRequest) -> str:
    steps = [f"n <- nc_open('{request.netcdf_url}')"]
    if request.attributes:
        owner = f"'{request.names[0]}'" if request.names[0] else "0"
        steps += [f"show(ncatt_get(n, {owner}, '{name}')$value)" for name in request.attributes]
    elif request.part:
        start, count, stride = _reverse(request.part, first=1)
        last = [begin + (many - 1) * step for begin, many, step in zip(start, count, stride, strict=True)]
        steps += [f"x <- ncvar_get(n, '{request.names[0]}')", f"show(x[{_format_r_range(start, last, stride)}])"]
        if set(stride) == {1}:  # the only way for R to read no more than it needs
            words = (", ".join(map(str, each)) for each in (start, count))
            steps[1:] = [f"show(ncvar_get(n, '{request.names[0]}', {', '.join(f'c({each})' for each in words)}))"]
    else:
        steps += [f"show(ncvar_get(n, '{name}'))" for name in request.names]
    body = "; ".join(steps)
    return (
        f"cat('{MARK}{number}\\n'); flush(stdout())\n"
        f"tryCatch({{ {body}; cat('\\n') }},"
        " error = function(e) cat('!!', gsub('\\n', ' ', conditionMessage(e)), '\\n'))\n"
        "flush(stdout())\n"
    )


def _format_r_range(start: Sequence[int], last: Sequence[int], stride: Sequence[int]) -> str:
    return ", ".join(f"seq({a}, {b}, {step})" for a, b, step in zip(start, last, stride, strict=True))


# Clients that are commands ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command(Client):
    """A client that is run for each request."""

    read: Callable[[ClientRequest, Path], str] = field(default=lambda *_: "")

    def run(self, requests: Sequence[ClientRequest]) -> tuple[list[str | None], str]:
        """Return the answers; see `Client.run`."""
        with TemporaryDirectory() as folder:
            answers = [self._run_one(request, Path(folder)) for request in requests]
        return [answer for answer, _ in answers], "\n".join(output for _, output in answers)

    def _run_one(self, request: ClientRequest, folder: Path) -> tuple[str | None, str]:
        try:
            return self.read(request, folder), ""
        except Failed as error:
            return (None, str(error)) if error.died else (f"!!{error}", str(error))


class Failed(Exception):
    """A command ended with an error.

    Attributes:
        died: whether it was killed, by itself or otherwise.
    """

    def __init__(self, ended: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"{ended.stdout}\n{ended.stderr}")
        self.died = ended.returncode < 0


def _run_or_fail(command: Sequence[str], folder: Path) -> str:
    ended = _run(command, folder=str(folder))
    if ended.returncode:
        raise Failed(ended)
    return ended.stdout


def _read_by_ncdump(request: ClientRequest, folder: Path) -> str:
    url, names = request.netcdf_url, [name.rpartition("/")[2] for name in request.names]
    if request.fails:
        return _run_or_fail(["ncdump", url], folder)
    if request.attributes:
        header = _run_or_fail(["ncdump", "-h", url], folder)
        return "".join(_unescape(_parse_quoted(header, f":{name} = ")) for name in request.attributes)
    if request.part:
        data = _run_or_fail(["ncdump", "-p", "9,17", _add_constraint(request)], folder)
    else:
        data = _run_or_fail(["ncdump", "-p", "9,17", "-v", ",".join(request.names), url], folder)
    return " ".join(_parse_cdl(data, name) for name in names)


def _add_constraint(request: ClientRequest) -> str:
    """Return the URL with the constraint."""
    if request.protocol == "DAP2":
        return f"{request.url}?" + ",".join(name + _format_bounds(request.part) for name in request.names)
    return (
        f"{request.url}?dap4.ce="
        + ";".join(f"/{name}{_format_bounds(request.part)}" for name in request.names)
        + "#dap4"
    )


def _parse_quoted(text: str, before: str) -> str:
    found = re.search(re.escape(before) + r'"((?:[^"\\]|\\.)*)"', text)
    return found[1] if found else ""


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _parse_cdl(text: str, name: str) -> str:
    """Return a variable's values in CDL."""
    data = "".join(re.findall(r"\bdata:\n(.*?)(?=\n *group:|\} // group|\Z)", text, re.DOTALL))
    found = re.search(rf"^\s*{re.escape(name)} =((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*);", data, re.MULTILINE)
    if not found:  # it prints nothing for an array without elements
        return "" if f" {name}(" in text else f"!!no {name} in it"
    return re.sub(r"\b(NaN|Infinity)f\b", r"\1", _split_words(found[1]))


def _split_words(values: str) -> str:
    """Return the words of values with commas between them."""
    texts = re.findall(r'"((?:[^"\\]|\\.)*)"', values)
    if texts:
        return _unescape(" ".join(texts))
    return re.sub(r"[{},\s]+", " ", values).strip()


def _read_copy(request: ClientRequest, file: Path, command: Sequence[str], folder: Path) -> str:
    """Return the content of a copy of the dataset."""
    _run_or_fail(command, folder)
    with h5py.File(file) as copy:  # netCDF4 is not safe in several threads
        if request.attributes:
            owner = copy[request.names[0] or "/"]
            return "".join(
                _format_word(item) for name in request.attributes for item in np.asarray(owner.attrs[name]).flat
            )
        values: list[Any] = [copy[name] for name in request.names]
        return " ".join(_format_word(item) for each in values for item in np.asarray(each[()]).flat)


def _format_word(item: Any) -> str:  # noqa: ANN401 — any NumPy number, or text
    return item.decode() if isinstance(item, bytes) else item if isinstance(item, str) else repr(item.item())


def _read_by_nccopy(request: ClientRequest, folder: Path) -> str:
    url = request.netcdf_url if request.attributes or request.fails else _add_constraint(request)
    return _read_copy(request, folder / "copy.nc", ["nccopy", "-k", "nc4", url, "copy.nc"], folder)


def _format_bounds(part: Part | None) -> str:
    if part is None:
        return ""
    return "".join(
        f"[{start}:{stride}:{start + (count - 1) * stride}]" for start, count, stride in zip(*part, strict=True)
    )


def _read_by_ncks(request: ClientRequest, folder: Path) -> str:
    command = ["ncks", "-O", "-4"]
    if request.names not in {(), ("",)} and not request.attributes:
        command += ["-v", ",".join(f"/{name}" if request.protocol == "DAP4" else name for name in request.names)]
    if request.part:
        axes = [f"{request.names[0].rpartition('/')[2]}_{axis}" for axis in range(len(request.part[0]))]
        for axis, start, count, stride in zip(axes, *request.part, strict=True):
            command += ["-d", f"{axis},{start},{start + (count - 1) * stride},{stride}"]
    return _read_copy(request, folder / "copy.nc", [*command, request.netcdf_url, "copy.nc"], folder)


def _read_by_getdap(request: ClientRequest, folder: Path) -> str:
    program, flag = ("getdap", "-a") if request.protocol == "DAP2" else ("getdap4", "-d")
    if request.attributes:
        text = _run_libdap([program, flag, request.url], folder)
        return "".join(_parse_libdap_attribute(text, name, request.protocol) for name in request.attributes)
    if request.fails:
        return _run_libdap([program, "-D", request.url], folder)
    slash, between = ("", ",") if request.protocol == "DAP2" else ("/", ";")
    constraint = between.join(f"{slash}{name}{_format_bounds(request.part)}" for name in request.names)
    data = _run_libdap([program, "-D", "-c", constraint, request.url], folder)
    return " ".join(_parse_libdap_values(data, name.rpartition("/")[2]) for name in request.names)


def _run_libdap(command: Sequence[str], folder: Path) -> str:
    """Return the output of a program of libdap, which exits with 0 even on errors, and prints them with its output."""
    ended = _run(command, folder=str(folder))
    if ended.returncode or ended.stderr.strip():
        raise Failed(ended)
    return ended.stdout


def _parse_libdap_attribute(text: str, name: str, protocol: str) -> str:
    if protocol == "DAP2":
        return _unescape(_parse_quoted(text, f"String {name} "))
    found = re.search(rf'<Attribute name="{name}" type="String">\s*<Value>(.*?)</Value>', text, re.DOTALL)
    return (
        re.sub("&(quot|amp|lt|gt);", lambda each: {"quot": '"', "amp": "&", "lt": "<", "gt": ">"}[each[1]], found[1])
        if found
        else ""
    )


def _parse_libdap_values(data: str, name: str) -> str:
    """Return a variable's values as libdap prints them."""
    found = re.search(rf"^\w+ {re.escape(name)}(?:\[[^]]*\])* = (.*?);\s*$", data, re.MULTILINE | re.DOTALL)
    return _split_words(found[1]) if found else f"!!no {name} in it"


def _read_by_gdl(request: ClientRequest, folder: Path) -> str:
    lines = [f"id = ncdf_open('{request.netcdf_url}')", *_write_gdl(request)]
    (folder / "script.pro").write_text("\n".join([*lines, "print, ''", "exit, status=0", ""]))
    ended = _run(["gdl", "-quiet", "script.pro"], folder=str(folder))
    if ended.returncode or MARK not in ended.stdout or "Execution halted" in ended.stderr:
        raise Failed(ended)
    return ended.stdout.partition(MARK)[2].strip()


def _write_gdl(request: ClientRequest) -> list[str]:
    if request.attributes:
        what = f"'{request.names[0].rstrip('/')}', " if request.names[0] else ""
        flag = "" if request.names[0] else ", /global"
        shown = [f"ncdf_attget, id, {what}'{name}', a{n}{flag}" for n, name in enumerate(request.attributes)]
        return [*shown, f"print, '{MARK}', " + ", ".join(f"string(a{n})" for n in range(len(shown)))]
    part = "".join(
        f", {word}=[{','.join(map(str, each))}]"
        for word, each in zip(("offset", "count", "stride"), _reverse(request.part), strict=False)
    )
    reads = [f"ncdf_varget, id, '{name}', v{n}{part}" for n, name in enumerate(request.names)]
    prints = [
        f"print, string(v{n})" if "text" in name else _format_gdl_print(n) for n, name in enumerate(request.names)
    ]
    return [*reads, f"print, '{MARK}'", *prints]


def _format_gdl_print(number: int) -> str:
    v = f"v{number}"
    return (
        f"if size({v}, /type) eq 4 or size({v}, /type) eq 5 then print, {v}, format='(1000(G0.17,\" \"))'"
        f" else print, {v}, format='(1000(I0,\" \"))'"
    )


@dataclass(frozen=True)
class _Worker(Scripted):
    """A library of Python, in `worker`."""

    def run(self, requests: Sequence[ClientRequest]) -> tuple[list[str | None], str]:
        """Return the answers; see `Client.run`."""
        command = (sys.executable, str(WORKER), self.name, requests[0].protocol, "{}")
        scripted = Scripted(self.name, command=command, write=_write_for_worker, suffix=".json")
        return scripted.run(requests)


OCTAVE: Final = ("octave", "--no-gui", "-q")
CLIENTS: Final[tuple[Client, ...]] = (
    _Worker("netCDF4-python", unpacks=True, fill="nan"),
    _Worker("xarray, netcdf4", unpacks=True),
    _Worker("xarray, pydap", unpacks=True),
    _Worker("pydap"),
    Command("ncdump", "ncdump", fill="_", read=_read_by_ncdump),
    Command("nccopy", "nccopy", read=_read_by_nccopy),
    Command("ncks", "ncks", read=_read_by_ncks),
    Scripted("Octave", "octave", unpacks=True, command=(*OCTAVE, "{}"), write=_write_octave, suffix=".m"),
    Scripted("R", "Rscript", unpacks=True, command=("Rscript", "{}"), write=_write_r, suffix=".R"),
    Command("GDL", "gdl", read=_read_by_gdl),
    Command("getdap", "getdap", protocols=("DAP2",), digits=(6, 15), read=_read_by_getdap),
    Command("getdap4", "getdap4", protocols=("DAP4",), digits=(6, 15), read=_read_by_getdap),
)
