"""Servers in their own processes, ended at the end of a block."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["SHOTDAP", "serve_by_pydap", "serve_bytes", "serve_folder", "serve_site"]

_HOST = "127.0.0.1"
_BIN = Path(sys.executable).parent
_PEERS = Path(__file__).parent / "peers"
SHOTDAP = str(_BIN / "shotdap")
"""The command."""
_PATIENCE = 60  # seconds to start


@contextmanager
def serve_folder(folder: Path, log: Path) -> Iterator[int]:
    """Run `shotdap serve` for a folder; yield its port."""
    with _run_server(lambda port: [SHOTDAP, "serve", "--folder", str(folder), "--port", port], log) as port:
        yield port


@contextmanager
def serve_site(settings: Path, log: Path) -> Iterator[int]:
    """Run `shotdap serve` for the catalog of a site's settings; yield its port."""
    command = [SHOTDAP, "serve", "--config", str(settings), "--port"]
    with _run_server(lambda port: [*command, port], log) as port:
        yield port


@contextmanager
def serve_by_pydap(arrays: Path, log: Path) -> Iterator[int]:
    """Run pydap's server under gunicorn with keep-alive, in one process like the others, with images in memory."""
    options = ["--worker-class", "gthread", "--threads", "8", "--pythonpath", str(_PEERS), "pydap_server:application"]
    with _run_server(
        lambda port: [str(_BIN / "gunicorn"), "--bind", f"{_HOST}:{port}", *options], log, {"BENCH_ARRAYS": str(arrays)}
    ) as port:
        yield port


@contextmanager
def serve_bytes(answers: Path, log: Path) -> Iterator[int]:
    """Run a minimal Python server under uvicorn that sends bytes from memory."""
    options = ["--no-access-log", "--app-dir", str(_PEERS), "static_server:application"]
    with _run_server(
        lambda port: [str(_BIN / "uvicorn"), "--port", port, *options], log, {"BENCH_ANSWERS": str(answers)}
    ) as port:
        yield port


@contextmanager
def _run_server(
    command: Callable[[str], Sequence[str]], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    port = _find_free_port()
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 — our own commands
            command(str(port)), env={**os.environ, **(environment or {})}, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _wait(process, port, log)
            yield port
        finally:
            process.terminate()


def _find_free_port() -> int:
    with socket.create_server((_HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the server accepts connections."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ConnectionError(f"{process.args!r} does not answer:\n{log.read_text()[-2000:]}")
