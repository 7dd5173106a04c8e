"""A real object store for tests: moto's server, which speaks S3 over HTTP, in its own process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import obstore
from obstore.store import S3Store
from tests.serving import SECONDS_TO_START, find_free_port, make_environment

__all__ = ["ObjectStore", "storing"]

BUCKET: Final = "shots"


@dataclass(frozen=True)
class ObjectStore:
    """A server with one bucket."""

    url: str
    process: subprocess.Popen[bytes]

    def put(self, key: str, content: bytes) -> None:
        """Store an object; replace it if it exists."""
        obstore.put(self._bucket, key, content)

    @property
    def _bucket(self) -> S3Store:
        keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1", "endpoint": self.url}
        return S3Store(BUCKET, config=keys, client_options={"allow_http": True})  # type: ignore[arg-type]  # a TypedDict


@contextmanager
def storing(log: Path) -> Iterator[ObjectStore]:
    """Run a server while the block lasts."""
    port = find_free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=make_environment()) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for_server(url, log)
            httpx.put(f"{url}/{BUCKET}").raise_for_status()
            yield ObjectStore(url, process)
        finally:
            process.kill()


def _wait_for_server(url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())
