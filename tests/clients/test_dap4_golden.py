"""The golden DAP4 responses, read by real clients: every value is the dataset's."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import numpy as np
import pytest
from tests.clients.matrix.clients import CLIENTS, Client, ClientRequest
from tests.clients.matrix.features import Array, Conditions, is_right
from tests.conftest import skip_absent
from tests.server.protocols.test_dap4 import FILES, GOLDEN

from shotdap.server.protocols import dap4

READERS: Final = [client for client in CLIENTS if client.name in {"netCDF4-python", "ncdump", "getdap4"}]
GROUPED: Final = "grouped"
"""Files that getdap4 misreads: it expects the variables of groups before those around them."""
HEAD: Final = 4  # bytes of a chunk's header
CRLF: Final = b"\r\n"


class Handler(BaseHTTPRequestHandler):
    """Sends a file for any requested part of it, and its first chunk as its structure."""

    def do_GET(self) -> None:
        """Answer."""
        name, _, suffix = self.path.lstrip("/").partition("?")[0].partition(".")
        content = (GOLDEN / f"{name}.dap").read_bytes()
        if suffix != "dap":
            content = content[HEAD : HEAD + int.from_bytes(content[1:HEAD], "big")].removesuffix(CRLF)
        self.send_response(200)
        self.send_header("Content-Type", dap4.MEDIA_TYPES[f".{suffix}"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — likewise
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of the golden files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def convert_to_dap4(values: Array) -> Array:
    """Return values in the types of DAP4."""
    return values.astype("u1") if values.dtype.kind == "b" else values


PAIRS: Final = [
    pytest.param(client, file, id=f"{client.name}-{file}")
    for client in READERS
    for file, (make, _) in FILES.items()
    if make().variables and not (client.name == "getdap4" and file.startswith(GROUPED))
]


@pytest.mark.parametrize(("client", "file"), PAIRS)
def test_values(client: Client, file: str, url: str) -> None:
    """A client that reads the file finds each value of each variable."""
    if client.program and shutil.which(client.program) is None:
        skip_absent(f"{client.program} is not installed")
    make, expression = FILES[file]
    variables = dap4.parse_constraint(expression).apply(make()).variables
    target = f"{url}/{file.removesuffix('.dap')}"
    requests = [ClientRequest(target, (str(name),), (), None, fails=False, protocol="DAP4") for name in variables]
    answers, _ = client.run(requests)

    for (name, variable), words in zip(variables.items(), answers, strict=True):
        assert words is not None, name
        fill_value = variable.attrs.get("_FillValue")
        circumstances = Conditions("DAP4", GOLDEN, digits=client.digits, fill=client.fill, fill_value=fill_value)
        assert is_right([convert_to_dap4(np.asarray(variable.values))], words, circumstances), (name, words)
