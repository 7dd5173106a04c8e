"""Inject faults into the processes that read and into the disk; measure the responses to affected and other clients.

Two clients request small parts of a few images repeatedly (warm), two others request images that have changed since the
previous request (cold). Meanwhile the processes that read are killed every 100 ms, one is stopped, and a file is on a
disk that hangs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import servers
from archives import KINDS, MODES, copy_files, make_archive, write_kind
from load import Client, Outcome, compute_median_ms, compute_p99_ms, list_errors, run_clients, send_once
from measuring import Figure, Plan
from processes import find_readers

__all__ = ["play"]

_COPIES = 12  # of each kind, for the clients that request cold images
_MARKER = "slow"  # in the paths on the disk that hangs
_PAUSE = 0.005  # seconds between two requests of a client, so that the machine is not saturated
_KILL_EVERY = 0.1  # seconds
_SETTLE = 0.05  # seconds after which a changed file counts as complete
_LIMIT = 5  # seconds for one read
_OPENING_LIMIT = 5 * _LIMIT  # seconds to open and inspect a file, of which _LIMIT may be processor time
_SETTINGS = f"isolate_seconds = {_LIMIT}\n[server]\nread_seconds = {_LIMIT}\n"
_PATIENCE = 30  # seconds; of clients
_PATIENCE_IN_SCENES = 15  # durations of a scene; the patience if they are shorter
_WORSE = 2  # times the quiet p99 is allowed for the other clients
_SHIM = Path(__file__).parent / "hanging_disk.c"


@dataclass(frozen=True)
class _Archive:
    """Files for each purpose, and the settings to serve them."""

    files: Path
    settings: dict[str, Path]
    warm: Sequence[str]
    cold: Sequence[str]
    slow: Sequence[str]
    slice: str
    """A small part of an image, as a DAP2 constraint."""
    shim: dict[str, str]
    """The environment in which the disk can hang; empty without a C compiler."""
    switch: Path
    """The disk hangs while this file exists."""


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Inject every fault in both modes."""
    archive = _make_archive(folder, plan.shrink)
    figures: list[Figure] = []
    for mode in MODES:
        log = folder / f"{mode}.log"
        with servers.serve_site(archive.settings[mode], log, environment=archive.shim) as server:
            figures += _Scenario(f"{mode} mode", server, archive, plan.scene).play()
    return figures


def _make_archive(folder: Path, shrink: int) -> _Archive:
    files = folder / "files"
    files.mkdir()
    warm, cold, slow = [], [], []
    for number, kind in enumerate(KINDS):
        name = f"warm_{number}"
        write_kind(kind, files / name, shrink)
        warm.append(name)
        cold += [f"cold_{number}_{copy}" for copy in range(_COPIES)]
        slow.append(f"{_MARKER}_{number}")
        copy_files(files / name, [files / each for each in (*cold[-_COPIES:], slow[-1])])
    settings = make_archive(folder, [*warm, *cold, *slow], _SETTINGS)
    corner, end = 256 // shrink, (256 + 64) // shrink - 1
    switch = folder / "the_disk_hangs"
    part = f"image[{corner}:{end}][{corner}:{end}]"
    return _Archive(files, settings, warm, cold, slow, part, _compile_shim(folder, switch), switch)


def _compile_shim(folder: Path, switch: Path) -> dict[str, str]:
    """Compile the library that makes the disk hang; return the environment that preloads it."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return {}
    library = folder / "hanging_disk.so"
    options = ["-shared", "-fPIC", "-O1", "-D_FORTIFY_SOURCE=0"]
    subprocess.run([compiler, *options, "-o", str(library), str(_SHIM), "-ldl"], check=True)  # noqa: S603 — our own
    return {
        "LD_PRELOAD": str(library),
        "HANG_MARKER": f"/files/{_MARKER}",
        "HANG_SWITCH": str(switch),
        "HANG_SWITCH_OPEN": str(_get_opening_switch(switch)),
    }


def _get_opening_switch(switch: Path) -> Path:
    """Return the switch with which even opening a file hangs."""
    return switch.with_suffix(".open")


@dataclass(frozen=True)
class _Scenario:
    """One server, its clients, and the faults."""

    case: str
    server: servers.RunningServer
    archive: _Archive
    seconds: float

    @property
    def patience(self) -> float:
        """Seconds without a byte after which a client gives up."""
        return min(_PATIENCE, _PATIENCE_IN_SCENES * self.seconds)

    def play(self) -> Iterator[Figure]:
        """Yield the figures of each fault."""
        for name in (*self.archive.warm, *self.archive.slow):
            send_once(self.server.port, f"/dap/{name}.dds", self.patience)
        self._run_load()
        quiet = self._run_load()
        yield from self._describe("quiet", quiet)
        for fault, inject in (
            ("readers killed every 100 ms", self._kill_readers),
            ("a reader stopped", self._stop_reader),
        ):
            if find_readers(self.server.process.pid):
                with inject() as hit:
                    yield from self._describe(fault, self._run_load(), quiet)
                yield Figure(self._make_title(fault), "readers hit", hit[0], "", ">= 1")
            else:
                yield Figure(
                    self._make_title(fault), "readers hit", 0, "", note="skipped: only the worker itself reads"
                )
            self._recover()
        for number, kind in enumerate(KINDS):
            yield from self._hang_disk(f"a read of {kind} hangs", self.archive.slow[number], quiet)
        yield from self._hang_disk("a file server hangs", self.archive.slow[0], quiet, opening=True)

    def _make_title(self, fault: str) -> str:
        return f"{self.case}, {fault}"

    def _run_load(self) -> dict[str, list[Outcome]]:
        """Run all four clients; return the outcomes by kind."""
        clients = {
            "warm": [self._make_client(self._iterate_warm_targets(start)) for start in (0, 2)],
            "cold": [self._make_client(self._iterate_cold_targets(half)) for half in (0, 1)],
        }
        with run_clients([*clients["warm"], *clients["cold"]], self.seconds):
            pass
        return {kind: [outcome for each in members for outcome in each.outcomes] for kind, members in clients.items()}

    def _make_client(self, targets: Iterator[str]) -> Client:
        return Client(self.server.port, targets, _PAUSE, self.patience)

    def _iterate_warm_targets(self, start: int) -> Iterator[str]:
        names = [*self.archive.warm[start:], *self.archive.warm[:start]]
        return cycle(self._make_target(name) for name in names)

    def _iterate_cold_targets(self, half: int) -> Iterator[str]:
        """Yield images that have changed since the previous request, according to the file system."""
        names = self.archive.cold[half::2]
        while True:
            for name in names:
                self._touch(name)
            time.sleep(_SETTLE)
            yield from map(self._make_target, names)

    def _make_target(self, name: str) -> str:
        return f"/dap/{name}.dods?{self.archive.slice}"

    def _describe(
        self, fault: str, load: dict[str, list[Outcome]], quiet: dict[str, list[Outcome]] | None = None
    ) -> Iterator[Figure]:
        title = self._make_title(fault)
        for kind, outcomes in load.items():
            goal = f"<= {_WORSE * compute_p99_ms(quiet[kind]):.0f}" if quiet else ""
            yield Figure(title, f"{kind}: requests", len(outcomes))
            yield Figure(title, f"{kind}: median", compute_median_ms(outcomes), "ms")
            yield Figure(title, f"{kind}: p99", compute_p99_ms(outcomes), "ms", goal)
            yield Figure(title, f"{kind}: longest", 1e3 * max((each.seconds for each in outcomes), default=0), "ms")
            errors, messages = list_errors(outcomes)
            yield Figure(title, f"{kind}: errors", errors, "", "<= 0", messages)

    @contextmanager
    def _kill_readers(self) -> Iterator[list[int]]:
        """Kill all processes that read, repeatedly while the block lasts; yield a count of them."""
        ending, hit = threading.Event(), [0]

        def kill() -> None:
            while not ending.wait(_KILL_EVERY):
                for process in find_readers(self.server.process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                        hit[0] += 1

        with _run_in_thread(kill):
            yield hit
            ending.set()

    @contextmanager
    def _stop_reader(self) -> Iterator[list[int]]:
        """Stop one of the processes that read while the block lasts; yield their number."""
        process = find_readers(self.server.process.pid)[0]
        os.kill(process, signal.SIGSTOP)
        try:
            yield [1]
        finally:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def _hang_disk(
        self, fault: str, name: str, quiet: dict[str, list[Outcome]], *, opening: bool = False
    ) -> Iterator[Figure]:
        """Request values of an image on the disk that hangs, beside the other clients; then let the disk recover.

        The server knows the structure of the image already, unless opening it hangs, too.
        """
        title = self._make_title(fault)
        if not self.archive.shim:
            yield Figure(title, "the affected request", 0, "s", note="skipped: gcc is not installed")
            return
        switches = [self.archive.switch, _get_opening_switch(self.archive.switch)] if opening else [self.archive.switch]
        if opening:
            self._change(name)
        for switch in switches:
            switch.touch()
        affected: list[Outcome] = []
        with _run_in_thread(
            lambda: affected.append(send_once(self.server.port, self._make_target(name), self.patience))
        ):
            time.sleep(_SETTLE)
            load = self._run_load()
            end = time.monotonic() + self.patience
            while not affected and time.monotonic() < end:
                time.sleep(_SETTLE)
            for switch in switches:
                switch.unlink()
        yield from self._describe(fault, load, quiet)
        message = f"{affected[0].status} {affected[0].message}"
        limit = _OPENING_LIMIT if opening else _LIMIT
        yield Figure(title, "the affected request", affected[0].seconds, "s", f"<= {limit + 2}", message)
        self._recover()

    def _recover(self) -> None:
        """Wait until the server responds as before, and has a process that reads, if it uses any."""
        self._change(self.archive.cold[0])
        for name in (self.archive.cold[0], *self.archive.warm):
            send_once(self.server.port, self._make_target(name), self.patience)

    def _change(self, name: str) -> None:
        """Change the version of a file according to the file system, so that no cache applies to it."""
        self._touch(name)
        time.sleep(_SETTLE)

    def _touch(self, name: str) -> None:
        path = self.archive.files / name
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextmanager
def _run_in_thread(work: Callable[[], None]) -> Iterator[None]:
    """Run a function in a thread while the block lasts; then wait for its end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join()
