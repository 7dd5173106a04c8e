"""Archives of damaged files, the responses of a server, and a comparison with the library alone.

Good files of every format are put into an archive, inspected by the catalog, and only then damaged, by a fixed seed.
Their times are restored: if the size is the same, too, the catalog trusts its inspection, and nothing checks the
file before a reader opens it. Each file is requested in every protocol, from a server with a catalog and from one of a
folder. A response must be an error message of its protocol, or equal what the library alone reads of the damaged file
in a separate process: a wrong number with a success code is the worst that can happen.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import re
import resource
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Literal, TypeAlias

import httpx
from tests.catalog.readers.test_damage import WRITERS
from tests.conftest import REAL
from tests.server.wire import parse_dap2_error, parse_dap4_chunks, parse_dap4_error
from tests.serving import Server, run_shotdap, serving

from shotdap.config import Site, load_settings
from shotdap.server.protocols import dap2, dap4

__all__ = ["MODES", "CheckedResponse", "Mode", "make_archive", "serve_damaged"]

Mode: TypeAlias = Literal["catalog", "folder"]
MODES: Final[tuple[Mode, ...]] = ("catalog", "folder")
SUFFIXES: Final = (".dds", ".das", ".dods", ".dap")
SETTINGS: Final[Mapping[Mode, str]] = {
    "catalog": '[archive]\nurl = "sqlite:///archive.db"\nroot = "files"\n[catalog]\npath_template = "{name}"\n',
    "folder": '[archive]\nfolder = "files"\n[catalog]\n',
}
SEED: Final = 62328
ENDS: Final = 2048  # bytes at both ends of a file, where headers and directories are
MOST_OF_REAL: Final = 1 / 8  # of all files, because they are large
SECONDS_ALONE: Final = 30  # for reading one file in a separate process
MEMORY_ALONE: Final = 4 << 30  # bytes of address space of that process
SECONDS_TO_ANSWER: Final = 45  # more than twice the real time that a file may take
SECONDS_TO_DIE: Final = 1.0  # from hanging up to the end of the process
WORKER_REPLACED: Final = "; another one replaces it."  # in the log of a server, one of whose workers died or hung
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.damaged"])  # so that a process starts at once
_HASH: Final = re.compile(rb" ?sha256:[0-9a-f]{64}")
_NO_SOURCE: Final = re.compile(
    rb' *String source "";\n|\s*<Attribute name="source" type="String">\s*<Value(?:/>|></Value>)\s*</Attribute>'
)


@dataclass(frozen=True)
class CheckedResponse:
    """The response of a server for one damaged file in one protocol."""

    mode: Mode
    file: str
    suffix: str
    status: int
    """0 if the server hung up."""
    kind: Literal["right", "error", "wrong", "unconfirmed", "malformed", "lost"]
    """``right``: equal to what the library reads. ``unconfirmed``: the library crashed in its own process.
    ``malformed``: an error that is not a message of the protocol. ``lost``: no response."""
    seconds: float
    detail: str = ""


# The archive ---------------------------------------------------------------------------------------------------------


def make_archive(folder: Path, number: int) -> list[str]:
    """Make an archive of damaged files, which its catalog has inspected before the damage; return the files' names."""
    files = folder / "files"
    files.mkdir(parents=True)
    for mode, text in SETTINGS.items():
        (folder / f"{mode}.toml").write_text(f"{text}isolate_seconds = 4\n")
    names = [
        _copy_good(content, name, turn, files) for turn, (name, content) in enumerate(_choose_good(folder, number))
    ]
    with closing(sqlite3.connect(folder / "archive.db")) as database, database:
        columns = "IMAGE_ID, FACILITY, SHOT_NUMBER, SHOT_DATE, DIAGNOSTIC, SOURCE_FILE, ARCHIVE_FILE, FORMAT, MODIFIED"
        database.execute(f"CREATE TABLE ARCHIVE_FILES ({columns})")
        when = "2024-02-14 11:53:20.000000"
        rows = [(turn, "OMEGA", turn, when, "CAM", name, name, "ANY", when) for turn, name in enumerate(names)]
        database.executemany("INSERT INTO ARCHIVE_FILES VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    built = run_shotdap("catalog", "build", "--config", folder / "catalog.toml")
    assert built.returncode == 0, built.stdout + built.stderr
    rng = random.Random(SEED)  # noqa: S311 — no secret
    for name in names:
        path = files / name
        before = path.stat()
        path.write_bytes(_damage(bytearray(path.read_bytes()), rng))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return names


def _choose_good(folder: Path, number: int) -> list[tuple[str, bytes]]:
    """Return good files by name: one of every format in turn, and some real and odd files if there are any."""
    made = {}
    for name, write in WRITERS.items():
        write(folder / "good")
        made[name.replace(" ", "_")] = (folder / "good").read_bytes()
        (folder / "good").unlink()
    found = [
        path for near in ("real", "odd") for path in sorted((REAL.parent / near).glob("*")) if path.suffix != ".csv"
    ]
    real = list(islice(cycle(found), int(number * MOST_OF_REAL))) if found else []
    chosen = [*((path.name, path.read_bytes()) for path in real), *islice(cycle(made.items()), number - len(real))]
    random.Random(SEED).shuffle(chosen)  # noqa: S311 — no secret
    return chosen


def _copy_good(content: bytes, name: str, turn: int, files: Path) -> str:
    copy = f"{turn:04}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"
    (files / copy).write_bytes(content)
    return copy


def _damage(content: bytearray, rng: random.Random) -> bytes:
    """Return a damaged copy of a file's content, usually of the same size."""
    size = len(content)
    if not size:
        return b"\0"
    near = rng.randrange(min(size, ENDS))
    place = rng.choice([near, size - 1 - near, rng.randrange(size)])
    match rng.choice(["bit", "bit", "bits", "zeros", "garbage", "cut"]):
        case "bit":
            content[place] ^= 1 << rng.randrange(8)
        case "bits":
            for _ in range(8):
                content[(place + rng.randrange(256)) % size] ^= rng.randrange(1, 256)
        case "zeros":
            end = min(size, place + rng.choice([64, 4096, size]))
            content[place:end] = bytes(end - place)
        case "garbage":
            end = min(size, place + rng.choice([4, 64, 4096]))
            content[place:end] = rng.randbytes(end - place)
        case _:
            del content[place:]
    return bytes(content)


# The library alone ---------------------------------------------------------------------------------------------------


class Library:
    """The library in a separate process, which reads one file after the other, and is replaced when it dies.

    Args:
        settings: of the site whose files it reads.
    """

    def __init__(self, settings: Path) -> None:
        self._settings = settings
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_answer_alone, args=(self._settings, theirs))
        self._process.start()
        theirs.close()

    def read(self, name: str, *, afresh: bool = False) -> dict[str, str]:
        """Return digests of what the library reads of a file, by suffix; "" for an error.

        A suffix at which the process crashed, hung, or ran out of memory, and those after it, are missing.

        Args:
            name: of the file.
            afresh: read it in a process that has read no other file.
        """
        if afresh:
            self.close()
            self._start()
        found: dict[str, str] = {}
        deadline = time.monotonic() + SECONDS_ALONE
        try:
            self._pipe.send(name)
            while len(found) < len(SUFFIXES) and self._pipe.poll(max(0, deadline - time.monotonic())):
                suffix, digest = self._pipe.recv()
                found[suffix] = digest
        except (EOFError, ConnectionError):
            pass
        if len(found) < len(SUFFIXES):
            self.close()
            self._start()
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _answer_alone(settings: Path, pipe: Connection) -> None:
    """Open files with the library and encode them in each protocol, without a server or another process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries complain
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_ALONE, MEMORY_ALONE))
    catalog = Site(load_settings(settings, {"catalog.isolate": False})).open_catalog()

    def encode(name: str, suffix: str) -> Iterable[bytes | memoryview]:
        image = catalog.image(name)
        if suffix == ".dap":
            selection = dap4.parse_constraint("")
            dataset = selection.apply(image.open(chunked=False)).compute()
            return dap4.encode_body(dataset, name, selection, checksum=True)
        adapted = image.open(chunked=False, view=dap2.adapt_dataset)
        if suffix == ".das":
            return [dap2.render_das(adapted).encode()]
        narrowed = dap2.parse_constraint("").narrow(adapted)
        if suffix == ".dds":
            return [dap2.render_dds(narrowed, name).encode()]
        return dap2.encode_body(narrowed.compute(), name)

    while True:
        name = pipe.recv()
        for suffix in SUFFIXES:
            try:
                digest = digest_body(suffix, b"".join(bytes(block) for block in encode(name, suffix)))
            except MemoryError:
                return
            except Exception:  # noqa: BLE001 — whatever it is, the library does not read the file
                digest = ""
            pipe.send((suffix, digest))


def digest_body(suffix: str, body: bytes) -> str:
    """Return a hash of a body, without the hashes of files in it, which not every reading process computes."""
    if suffix == ".dap":
        chunks = [content for _, content in parse_dap4_chunks(body)]
        body = _remove_hashes(chunks[0]) + b"".join(chunks[1:])
    elif suffix == ".das":
        body = _remove_hashes(body)
    return hashlib.sha256(body).hexdigest()


def _remove_hashes(text: bytes) -> bytes:
    return _NO_SOURCE.sub(b"", _HASH.sub(b"", text))


# The server ----------------------------------------------------------------------------------------------------------


def serve_damaged(folder: Path, names: Sequence[str]) -> tuple[list[CheckedResponse], Counter[Mode]]:
    """Request every damaged file in both modes; return the responses, and the server processes that died or hung."""
    deaths: Counter[Mode] = Counter()
    with ThreadPoolExecutor(len(MODES)) as threads:
        runs = [threads.submit(_serve_mode, mode, folder, names) for mode in MODES]
        responses = [response for run in runs for response in run.result()[0]]
        for mode, run in zip(MODES, runs, strict=True):
            deaths[mode] = run.result()[1]
    return responses, deaths


def _serve_mode(mode: Mode, folder: Path, names: Sequence[str]) -> tuple[list[CheckedResponse], int]:
    settings = folder / f"{mode}.toml"
    responses: list[CheckedResponse] = []
    deaths = 0
    todo = [(name, suffix) for name in reversed(names) for suffix in reversed(SUFFIXES)]
    with closing(Library(settings)) as library:
        alone: dict[str, str] = {}
        while todo:
            with (
                serving(folder / f"{mode}.log", "--config", settings, may_die=True) as server,
                httpx.Client(trust_env=False, timeout=SECONDS_TO_ANSWER) as client,
            ):
                while todo and server.process.poll() is None:
                    name, suffix = todo.pop()
                    if suffix == SUFFIXES[0]:
                        alone = library.read(name)
                    response = _request(client, server, mode, name, suffix, alone)
                    if response.kind in {"wrong", "unconfirmed"}:
                        alone = library.read(name, afresh=True)
                        response = _request(client, server, mode, name, suffix, alone)
                    responses.append(response)
                    if response.kind == "lost":
                        _let_die(server, hangs=response.seconds >= SECONDS_TO_ANSWER)
                deaths += (server.process.poll() is not None) + server.log.read_text().count(WORKER_REPLACED)
    return responses, deaths


def _let_die(server: Server, *, hangs: bool) -> None:
    """Wait a moment for the end of a server that hung up; kill one that hangs, because it would hang repeatedly."""
    if hangs:
        os.killpg(server.process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(SECONDS_TO_DIE)


def _request(
    client: httpx.Client, server: Server, mode: Mode, name: str, suffix: str, alone: Mapping[str, str]
) -> CheckedResponse:
    begun = time.monotonic()
    try:
        response = client.get(server.dap(name + suffix))
    except httpx.TransportError as error:
        return CheckedResponse(mode, name, suffix, 0, "lost", time.monotonic() - begun, repr(error))
    seconds, status = time.monotonic() - begun, response.status_code
    if status == httpx.codes.OK:
        if suffix not in alone:
            return CheckedResponse(mode, name, suffix, status, "unconfirmed", seconds)
        same = digest_body(suffix, response.content) == alone[suffix]
        return CheckedResponse(mode, name, suffix, status, "right" if same else "wrong", seconds)
    read_error: Callable[[str], tuple[int, str]] = parse_dap4_error if suffix == ".dap" else parse_dap2_error
    try:
        code, message = read_error(response.text)
    except (AssertionError, SyntaxError) as error:
        return CheckedResponse(mode, name, suffix, status, "malformed", seconds, repr(error))
    kind: Literal["error", "malformed"] = "error" if code == status and message else "malformed"
    return CheckedResponse(mode, name, suffix, status, kind, seconds, message)
