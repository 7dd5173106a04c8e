"""Servers with limits of their own, and requests from several addresses of this machine."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
from tests import samples
from tests.serving import Server, serving

__all__ = ["PATIENCE", "format_settings", "receive_all", "send", "serving_with", "wait_until"]

PATIENCE: Final = 30
"""Seconds after which a test fails on a busy machine."""
FRAMES: Final = np.arange(2 * 30 * 40, dtype="u2").reshape(2, 30, 40)


def format_settings(settings: Mapping[str, object]) -> str:
    """Format settings, by their dotted names, as TOML."""
    sections: dict[str, list[str]] = {}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in sections.items())


@contextmanager
def serving_with(above: Path, settings: Mapping[str, object], mode: str = "open") -> Iterator[Server]:
    """Run a server of a folder with one small image, ``shot/one.h5``, and with these settings.

    Its settings, for the command that makes tokens, are in ``shotdap.toml`` beside its log.
    """
    folder = above / "images"
    (folder / "shot").mkdir(parents=True)
    samples.write_image(folder / "shot/one.h5", FRAMES)
    config = above / "shotdap.toml"
    config.write_text(format_settings({"archive.folder": str(folder), **settings}))
    with serving(above / "server.log", "--config", config, mode=mode) as server:
        yield server


def send(port: int, request: bytes, source: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> socket.socket:
    """Connect from an address of this machine, and send the beginning of a request; return the connection."""
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
    if context is not None:
        connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
    connection.sendall(request)
    return connection


def receive_all(connection: socket.socket) -> bytes:
    """Receive all that the server sends until it closes the connection, and close it."""
    answer = bytearray()
    with connection, suppress(ConnectionError):
        while piece := connection.recv(1 << 16):
            answer += piece
    return bytes(answer)


def wait_until(look: Callable[[], bool]) -> None:
    """Wait until a function returns `True`."""
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)
