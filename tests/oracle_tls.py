"""TLS in front of the tests' Oracle server, like a TCPS listener, and wallets for its clients."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trustme
from cryptography.hazmat.primitives import serialization
from tests.oracle import USER, Mirror

__all__ = ["WALLET_PASSWORD", "Listener", "listening"]

ALIAS: Final = "laser_tls"
WALLET_PASSWORD: Final = "wallet-secret-1"  # noqa: S105 — opens what the tests make
_HOST: Final = "localhost"


@dataclass(frozen=True)
class Listener:
    """A listener that accepts only clients with a certificate of one authority."""

    authority: trustme.CA
    port: int

    @property
    def url(self) -> str:
        """SQLAlchemy's URL, by the alias in a wallet's folder."""
        return f"oracle+oracledb://{USER}@{ALIAS}"

    def create_wallet(self, folder: Path, authority: trustme.CA | None = None) -> Path:
        """Create a folder with ``tnsnames.ora`` and a wallet: a client's encrypted key, and its trusted authority."""
        client = (authority or self.authority).issue_cert("reader@laboratory.example")
        key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(WALLET_PASSWORD.encode()),
        )
        certificates = [each.bytes() for each in client.cert_chain_pems]
        trusted = (authority or self.authority).cert_pem.bytes()
        (folder / "ewallet.pem").write_bytes(b"".join([encrypted, *certificates, trusted]))
        address = f"(ADDRESS=(PROTOCOL=tcps)(HOST={_HOST})(PORT={self.port}))"
        (folder / "tnsnames.ora").write_text(
            f"{ALIAS} = (DESCRIPTION={address}(CONNECT_DATA=(SERVICE_NAME=FREEPDB1)))\n"
        )
        return folder


@contextmanager
def listening(mirror: Mirror) -> Iterator[Listener]:
    """Run TLS in front of a server while the block lasts."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(_HOST).configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    started = Future[tuple[int, Callable[[], object]]]()

    async def serve() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(_make_forwarder(mirror.server.port), _HOST, 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            started.set_result((port, partial(loop.call_soon_threadsafe, stopped.set)))
            await stopped.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, stop = started.result(10)
    try:
        yield Listener(authority, port)
    finally:
        stop()
        thread.join()


def _make_forwarder(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a handler that forwards all bytes, in both directions."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_forward(reader, before), _forward(behind, writer))

    return forward


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(1 << 16):
            writer.write(some)
            await writer.drain()
    writer.close()
