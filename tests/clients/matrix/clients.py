"""Every client, and how its user asks it.

Strategy: a client gets all questions in one go and gives what it said to each, in words between spaces, or ``!!`` and
its error. Those that run scripts get one script; one that dies is started again behind the question that it died of.
Those that are commands are run once for each question.
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
from tests.clients.matrix.asking import PROTOCOLS, Ask, Part

__all__ = ["CLIENTS", "Client", "Question"]

SECONDS: Final = 120  # for one command; none needs more than a few, but a machine may be busy
MARK: Final = "@@"
WORKER: Final = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Question:
    """An `Ask` in the words of a protocol: names are flat in DAP2, and the URL is complete."""

    url: str
    names: tuple[str, ...]
    attributes: tuple[str, ...]
    part: Part | None
    fails: bool
    protocol: str

    @classmethod
    def of(cls, ask: Ask, root: str, protocol: str) -> Question:
        """Word a question for a server at a URL."""
        constraint = (ask.constraint or {}).get(protocol, "")
        names, attributes = ask.names, ask.attributes
        if protocol == "DAP2":
            if names and names[0].endswith("/"):
                attributes, names = tuple(names[0].replace("/", "_") + name for name in attributes), ("",)
            names = tuple(name.replace("/", "_") for name in names)
        return cls(f"{root}/dap/{ask.file}{constraint}", names, attributes, ask.part, ask.fails, protocol)

    @property
    def netcdf_url(self) -> str:
        """The URL as netCDF-C takes it."""
        return f"{self.url}#dap4" if self.protocol == "DAP4" else self.url


@dataclass(frozen=True)
class Client(ABC):
    """A client.

    Attributes:
        name: what the matrix calls it.
        program: what has to be installed; none for a library of Python.
        unpacks: whether it applies ``scale_factor`` and its like.
        protocols: those that it speaks.
        digits: how many it prints of a float32 and of a float64, where not all.
        fill: what it prints for a type's default fill value.
    """

    name: str
    program: str = ""
    unpacks: bool = False
    protocols: tuple[str, ...] = PROTOCOLS
    digits: tuple[int, int] | None = None
    fill: str = ""

    @abstractmethod
    def said(self, questions: Sequence[Question]) -> tuple[list[str | None], str]:
        """What it says to each question, `None` where it died; and all that it wrote."""


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
    write: Callable[[Mapping[int, Question]], str] = field(default=lambda _: "")
    suffix: str = ""

    def said(self, questions: Sequence[Question]) -> tuple[list[str | None], str]:
        """See `Client.said`."""
        answers: dict[int, str | None] = {}
        output = ""
        while left := {number: each for number, each in enumerate(questions) if number not in answers}:
            written, code = self._once(left)
            output += written
            found = dict(_sections(written))
            finished = list(found)[:-1] if code < 0 else list(found)  # died of the last one
            answers |= {number: found[number] for number in finished}
            answers.setdefault(next(number for number in left if number not in finished), None) if code < 0 else None
            if code >= 0:
                answers |= {number: None for number in left if number not in found}
        return [answers[number] for number in range(len(questions))], output

    def _once(self, questions: Mapping[int, Question]) -> tuple[str, int]:
        with TemporaryDirectory() as folder:
            script = Path(folder) / f"script{self.suffix}"
            script.write_text(self.write(questions))
            ended = _run([part.format(script) for part in self.command], folder=folder)
        return f"{ended.stdout}\n{ended.stderr}", ended.returncode


def _sections(output: str) -> list[tuple[int, str]]:
    """What stands between one mark and the next, or the end of its line of answers."""
    _, *parts = re.split(rf"^{MARK}(\d+)\s*$", output, flags=re.MULTILINE)
    return [(int(number), _answer(text)) for number, text in zip(parts[::2], parts[1::2], strict=True)]


def _answer(text: str) -> str:
    """What a client says, without what libraries print beside it: its error, or its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("!!")), "\n".join(lines))


def _for_worker(questions: Mapping[int, Question]) -> str:
    return json.dumps({number: _plain(question) for number, question in questions.items()})


def _plain(question: Question) -> dict[str, Any]:
    return {
        "url": question.url,
        "protocol": question.protocol,
        "names": question.names,
        "attributes": question.attributes,
        "part": question.part,
    }


def _in_octave(questions: Mapping[int, Question]) -> str:
    head = (
        "pkg load netcdf\n"
        "function show(x)\n"
        "  if ischar(x) printf('%s ', x(:)'); elseif isa(x, 'uint64') printf('%u ', x);\n"
        "  elseif isinteger(x) printf('%d ', x); else printf('%.17g ', x); end\n"
        "end\n"
    )
    return head + "".join(_octave(number, question) for number, question in questions.items()) + "exit(0)\n"


def _octave(number: int, question: Question) -> str:
    url, slash = question.netcdf_url, "/" if question.protocol == "DAP4" else ""
    if question.fails:
        steps = [f"ncinfo('{url}');"]
    elif question.attributes:
        owner = f"{slash}{question.names[0]}".rstrip("/") or "/"
        steps = [f"show(ncreadatt('{url}', '{owner}', '{name}'));" for name in question.attributes]
    else:
        part = "".join(f", [{' '.join(map(str, each))}]" for each in _reversed(question.part, first=1))
        steps = [f"show(ncread('{url}', '{slash}{name}'{part}));" for name in question.names]
    return (
        f"printf('{MARK}{number}\\n'); fflush(stdout);\n"
        f"try\n  {' '.join(steps)} printf('\\n');\ncatch e\n  printf('!!%s\\n', e.message);\nend\nfflush(stdout);\n"
    )


def _reversed(part: Part | None, *, first: int = 0) -> list[tuple[int, ...]]:
    """Start, count and stride with the fastest dimension first, counted from `first`."""
    if part is None:
        return []
    start, count, stride = part
    return [tuple(number + first for number in reversed(start)), tuple(reversed(count)), tuple(reversed(stride))]


def _in_r(questions: Mapping[int, Question]) -> str:
    head = (
        "suppressPackageStartupMessages(library(ncdf4))\n"
        "show <- function(x) cat(if (is.character(x)) x else sprintf('%.17g', x), '')\n"
    )
    return head + "".join(_r(number, question) for number, question in questions.items())


def _r(number: int, question: Question) -> str:
    steps = [f"n <- nc_open('{question.netcdf_url}')"]
    if question.attributes:
        owner = f"'{question.names[0]}'" if question.names[0] else "0"
        steps += [f"show(ncatt_get(n, {owner}, '{name}')$value)" for name in question.attributes]
    elif question.part:
        start, count, stride = _reversed(question.part, first=1)
        last = [begin + (many - 1) * step for begin, many, step in zip(start, count, stride, strict=True)]
        steps += [f"x <- ncvar_get(n, '{question.names[0]}')", f"show(x[{_r_range(start, last, stride)}])"]
        if set(stride) == {1}:  # the one way in which R reads no more than it needs
            words = (", ".join(map(str, each)) for each in (start, count))
            steps[1:] = [f"show(ncvar_get(n, '{question.names[0]}', {', '.join(f'c({each})' for each in words)}))"]
    else:
        steps += [f"show(ncvar_get(n, '{name}'))" for name in question.names]
    body = "; ".join(steps)
    return (
        f"cat('{MARK}{number}\\n'); flush(stdout())\n"
        f"tryCatch({{ {body}; cat('\\n') }},"
        " error = function(e) cat('!!', gsub('\\n', ' ', conditionMessage(e)), '\\n'))\n"
        "flush(stdout())\n"
    )


def _r_range(start: Sequence[int], last: Sequence[int], stride: Sequence[int]) -> str:
    return ", ".join(f"seq({a}, {b}, {step})" for a, b, step in zip(start, last, stride, strict=True))


# Clients that are commands ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command(Client):
    """A client that is run for each question."""

    ask: Callable[[Question, Path], str] = field(default=lambda *_: "")

    def said(self, questions: Sequence[Question]) -> tuple[list[str | None], str]:
        """See `Client.said`."""
        with TemporaryDirectory() as folder:
            answers = [self._one(question, Path(folder)) for question in questions]
        return [said for said, _ in answers], "\n".join(output for _, output in answers)

    def _one(self, question: Question, folder: Path) -> tuple[str | None, str]:
        try:
            return self.ask(question, folder), ""
        except Failed as error:
            return (None, str(error)) if error.died else (f"!!{error}", str(error))


class Failed(Exception):
    """A command ended with an error, which it said.

    Attributes:
        died: whether it was killed, by itself for instance.
    """

    def __init__(self, ended: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"{ended.stdout}\n{ended.stderr}")
        self.died = ended.returncode < 0


def _output(command: Sequence[str], folder: Path) -> str:
    ended = _run(command, folder=str(folder))
    if ended.returncode:
        raise Failed(ended)
    return ended.stdout


def _ncdump(question: Question, folder: Path) -> str:
    url, names = question.netcdf_url, [name.rpartition("/")[2] for name in question.names]
    if question.fails:
        return _output(["ncdump", url], folder)
    if question.attributes:
        header = _output(["ncdump", "-h", url], folder)
        return "".join(_unescaped(_quoted(header, f":{name} = ")) for name in question.attributes)
    if question.part:
        data = _output(["ncdump", "-p", "9,17", _constrained(question)], folder)
    else:
        data = _output(["ncdump", "-p", "9,17", "-v", ",".join(question.names), url], folder)
    return " ".join(_cdl(data, name) for name in names)


def _constrained(question: Question) -> str:
    """The URL with the question in it."""
    if question.protocol == "DAP2":
        return f"{question.url}?" + ",".join(name + _bounds(question.part) for name in question.names)
    return (
        f"{question.url}?dap4.ce=" + ";".join(f"/{name}{_bounds(question.part)}" for name in question.names) + "#dap4"
    )


def _quoted(text: str, before: str) -> str:
    found = re.search(re.escape(before) + r'"((?:[^"\\]|\\.)*)"', text)
    return found[1] if found else ""


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _cdl(text: str, name: str) -> str:
    """A variable's values in CDL."""
    data = "".join(re.findall(r"\bdata:\n(.*?)(?=\n *group:|\} // group|\Z)", text, re.DOTALL))
    found = re.search(rf"^\s*{re.escape(name)} =((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*);", data, re.MULTILINE)
    if not found:  # of an array without elements it says nothing
        return "" if f" {name}(" in text else f"!!no {name} in it"
    return re.sub(r"\b(NaN|Infinity)f\b", r"\1", _words(found[1]))


def _words(values: str) -> str:
    """Words of values with commas between them."""
    texts = re.findall(r'"((?:[^"\\]|\\.)*)"', values)
    if texts:
        return _unescaped(" ".join(texts))
    return re.sub(r"[{},\s]+", " ", values).strip()


def _copied(question: Question, file: Path, command: Sequence[str], folder: Path) -> str:
    """What a copy of the dataset holds."""
    _output(command, folder)
    with h5py.File(file) as copy:  # netCDF4 would not bear several threads
        if question.attributes:
            owner = copy[question.names[0] or "/"]
            return "".join(_word(item) for name in question.attributes for item in np.asarray(owner.attrs[name]).flat)
        values: list[Any] = [copy[name] for name in question.names]
        return " ".join(_word(item) for each in values for item in np.asarray(each[()]).flat)


def _word(item: Any) -> str:  # noqa: ANN401 — any NumPy number, or text
    return item.decode() if isinstance(item, bytes) else item if isinstance(item, str) else repr(item.item())


def _nccopy(question: Question, folder: Path) -> str:
    url = question.netcdf_url if question.attributes or question.fails else _constrained(question)
    return _copied(question, folder / "copy.nc", ["nccopy", "-k", "nc4", url, "copy.nc"], folder)


def _bounds(part: Part | None) -> str:
    if part is None:
        return ""
    return "".join(
        f"[{start}:{stride}:{start + (count - 1) * stride}]" for start, count, stride in zip(*part, strict=True)
    )


def _ncks(question: Question, folder: Path) -> str:
    command = ["ncks", "-O", "-4"]
    if question.names not in {(), ("",)} and not question.attributes:
        command += ["-v", ",".join(f"/{name}" if question.protocol == "DAP4" else name for name in question.names)]
    if question.part:
        axes = [f"{question.names[0].rpartition('/')[2]}_{axis}" for axis in range(len(question.part[0]))]
        for axis, start, count, stride in zip(axes, *question.part, strict=True):
            command += ["-d", f"{axis},{start},{start + (count - 1) * stride},{stride}"]
    return _copied(question, folder / "copy.nc", [*command, question.netcdf_url, "copy.nc"], folder)


def _getdap(question: Question, folder: Path) -> str:
    program, flag = ("getdap", "-a") if question.protocol == "DAP2" else ("getdap4", "-d")
    if question.attributes:
        text = _spoken([program, flag, question.url], folder)
        return "".join(_libdap_attribute(text, name, question.protocol) for name in question.attributes)
    if question.fails:
        return _spoken([program, "-D", question.url], folder)
    slash, between = ("", ",") if question.protocol == "DAP2" else ("/", ";")
    constraint = between.join(f"{slash}{name}{_bounds(question.part)}" for name in question.names)
    data = _spoken([program, "-D", "-c", constraint, question.url], folder)
    return " ".join(_printed(data, name.rpartition("/")[2]) for name in question.names)


def _spoken(command: Sequence[str], folder: Path) -> str:
    """What a program of libdap prints; it ends with 0 whatever happened, and says errors beside its output."""
    ended = _run(command, folder=str(folder))
    if ended.returncode or ended.stderr.strip():
        raise Failed(ended)
    return ended.stdout


def _libdap_attribute(text: str, name: str, protocol: str) -> str:
    if protocol == "DAP2":
        return _unescaped(_quoted(text, f"String {name} "))
    found = re.search(rf'<Attribute name="{name}" type="String">\s*<Value>(.*?)</Value>', text, re.DOTALL)
    return (
        re.sub("&(quot|amp|lt|gt);", lambda each: {"quot": '"', "amp": "&", "lt": "<", "gt": ">"}[each[1]], found[1])
        if found
        else ""
    )


def _printed(data: str, name: str) -> str:
    """A variable's values as libdap prints them."""
    found = re.search(rf"^\w+ {re.escape(name)}(?:\[[^]]*\])* = (.*?);\s*$", data, re.MULTILINE | re.DOTALL)
    return _words(found[1]) if found else f"!!no {name} in it"


def _gdl(question: Question, folder: Path) -> str:
    lines = [f"id = ncdf_open('{question.netcdf_url}')", *_gdl_steps(question)]
    (folder / "script.pro").write_text("\n".join([*lines, "print, ''", "exit, status=0", ""]))
    ended = _run(["gdl", "-quiet", "script.pro"], folder=str(folder))
    if ended.returncode or MARK not in ended.stdout or "Execution halted" in ended.stderr:
        raise Failed(ended)
    return ended.stdout.partition(MARK)[2].strip()


def _gdl_steps(question: Question) -> list[str]:
    if question.attributes:
        what = f"'{question.names[0].rstrip('/')}', " if question.names[0] else ""
        flag = "" if question.names[0] else ", /global"
        shown = [f"ncdf_attget, id, {what}'{name}', a{n}{flag}" for n, name in enumerate(question.attributes)]
        return [*shown, f"print, '{MARK}', " + ", ".join(f"string(a{n})" for n in range(len(shown)))]
    part = "".join(
        f", {word}=[{','.join(map(str, each))}]"
        for word, each in zip(("offset", "count", "stride"), _reversed(question.part), strict=False)
    )
    reads = [f"ncdf_varget, id, '{name}', v{n}{part}" for n, name in enumerate(question.names)]
    prints = [f"print, string(v{n})" if "text" in name else _gdl_print(n) for n, name in enumerate(question.names)]
    return [*reads, f"print, '{MARK}'", *prints]


def _gdl_print(number: int) -> str:
    v = f"v{number}"
    return (
        f"if size({v}, /type) eq 4 or size({v}, /type) eq 5 then print, {v}, format='(1000(G0.17,\" \"))'"
        f" else print, {v}, format='(1000(I0,\" \"))'"
    )


@dataclass(frozen=True)
class _Worker(Scripted):
    """A library of Python, in `worker`."""

    def said(self, questions: Sequence[Question]) -> tuple[list[str | None], str]:
        """See `Client.said`."""
        command = (sys.executable, str(WORKER), self.name, questions[0].protocol, "{}")
        scripted = Scripted(self.name, command=command, write=_for_worker, suffix=".json")
        return scripted.said(questions)


OCTAVE: Final = ("octave", "--no-gui", "-q")
CLIENTS: Final[tuple[Client, ...]] = (
    _Worker("netCDF4-python", unpacks=True, fill="nan"),
    _Worker("xarray, netcdf4", unpacks=True),
    _Worker("xarray, pydap", unpacks=True),
    _Worker("pydap"),
    Command("ncdump", "ncdump", fill="_", ask=_ncdump),
    Command("nccopy", "nccopy", ask=_nccopy),
    Command("ncks", "ncks", ask=_ncks),
    Scripted("Octave", "octave", unpacks=True, command=(*OCTAVE, "{}"), write=_in_octave, suffix=".m"),
    Scripted("R", "Rscript", unpacks=True, command=("Rscript", "{}"), write=_in_r, suffix=".R"),
    Command("GDL", "gdl", ask=_gdl),
    Command("getdap", "getdap", protocols=("DAP2",), digits=(6, 15), ask=_getdap),
    Command("getdap4", "getdap4", protocols=("DAP4",), digits=(6, 15), ask=_getdap),
)
