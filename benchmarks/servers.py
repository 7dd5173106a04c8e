"""Servers in their own processes, ended at the end of a block."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "SHOTDAP",
    "RunningServer",
    "run_command",
    "serve_by_nginx",
    "serve_by_pydap",
    "serve_bytes",
    "serve_folder",
    "serve_site",
]

_HOST = "127.0.0.1"
_BIN = Path(sys.executable).parent
_PEERS = Path(__file__).parent / "peers"
SHOTDAP = str(_BIN / "shotdap")
"""The command."""
_PATIENCE = 60  # seconds to start
_GRACE = 20  # seconds to stop
_UNCOUNTED = {"SHOTDAP_LIMITS__REQUESTS_PER_MINUTE": "0"}
"""Clients count bytes: without this limit, no header says how many requests and seconds are left in a minute."""
_NGINX = """\
daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/error.log; user {user};
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen {host}:{port}; root {answers}; default_type application/octet-stream; }}
}}
"""


@dataclass(frozen=True)
class RunningServer:
    """A server that accepts connections."""

    port: int
    process: subprocess.Popen[bytes]


def run_command(*arguments: str) -> str:
    """Run a command of shotdap that ends by itself; return what it prints.

    Raises:
        RuntimeError: it fails.
    """
    done = subprocess.run([SHOTDAP, *arguments], check=False, capture_output=True, text=True)  # noqa: S603 — our own
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


@contextmanager
def serve_folder(folder: Path, log: Path, workers: int = 1) -> Iterator[int]:
    """Run `shotdap serve` for a folder; yield its port."""
    command = [SHOTDAP, "serve", "--folder", str(folder), "--workers", str(workers), "--port"]
    with _run_server(lambda port: [*command, port], log) as server:
        yield server.port


@contextmanager
def serve_site(
    settings: Path, log: Path, *, workers: int = 1, environment: Mapping[str, str] | None = None, is_open: bool = True
) -> Iterator[RunningServer]:
    """Run `shotdap serve` with the settings of a site, open to everybody or to those with a token."""
    access = ["--open"] if is_open else []
    command = [SHOTDAP, "serve", *access, "--config", str(settings), "--workers", str(workers), "--port"]
    with _run_server(lambda port: [*command, port], log, environment) as server:
        yield server


@contextmanager
def serve_by_pydap(arrays: Path, log: Path) -> Iterator[int]:
    """Run pydap's server under gunicorn with keep-alive, in one process like the others, with images in memory."""
    options = ["--worker-class", "gthread", "--threads", "8", "--pythonpath", str(_PEERS), "pydap_server:application"]
    with _run_server(
        lambda port: [str(_BIN / "gunicorn"), "--bind", f"{_HOST}:{port}", *options], log, {"BENCH_ARRAYS": str(arrays)}
    ) as server:
        yield server.port


@contextmanager
def serve_bytes(answers: Path, log: Path) -> Iterator[int]:
    """Run a minimal Python server under uvicorn that sends bytes from memory."""
    options = ["--no-access-log", "--app-dir", str(_PEERS), "static_server:application"]
    with _run_server(
        lambda port: [str(_BIN / "uvicorn"), "--port", port, *options], log, {"BENCH_ANSWERS": str(answers)}
    ) as server:
        yield server.port


@contextmanager
def serve_by_nginx(answers: Path, folder: Path, workers: int = 1) -> Iterator[int]:
    """Run nginx, which sends the files of a folder; it keeps its own files in another folder."""
    folder.mkdir()

    def configure(port: str) -> list[str]:
        configuration = folder / "nginx.conf"
        user = pwd.getpwuid(os.getuid()).pw_name
        configuration.write_text(
            _NGINX.format(workers=workers, folder=folder, host=_HOST, port=port, answers=answers, user=user)
        )
        return [shutil.which("nginx") or "nginx", "-c", str(configuration), "-e", str(folder / "error.log")]

    with _run_server(configure, folder / "log") as server:
        yield server.port


@contextmanager
def _run_server(
    command: Callable[[str], Sequence[str]], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    port = _find_free_port()
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 — our own commands
            command(str(port)),
            env={**os.environ, **_UNCOUNTED, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait(process, port, log)
            yield RunningServer(port, process)
        finally:
            process.terminate()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:  # a benchmark of faults may leave it in any state
                os.killpg(process.pid, signal.SIGKILL)


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
