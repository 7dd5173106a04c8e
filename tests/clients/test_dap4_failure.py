"""A DAP4 response that fails in the middle: every client reports an error, none ends with wrong numbers.

A response is complete before its first byte is sent, so the fault is injected: a piece of the body that cannot be
read.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest
import uvicorn
import xarray as xr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.serving import find_free_port

from shotdap.server.http.response import HttpResponse, make_response
from shotdap.server.protocols import dap4
from shotdap.server.protocols.dap4 import chunks
from shotdap.transforms import Selection

DATASET: Final = xr.Dataset({name: ("x", np.arange(50_000, dtype="i4") + 70_001) for name in ("a", "b")})
LAST: Final = "120000"
CHUNK: Final = 150_000  # bytes: the dataset has three
PYTHON: Final = (sys.executable, "-W", "ignore", "-c")
COMMANDS: Final = {
    "ncdump": ("ncdump", "-v", "b", "{}#dap4"),
    "getdap4": ("getdap4", "-D", "{}"),
    "netCDF4-python": (*PYTHON, "import netCDF4; print(netCDF4.Dataset('{}#mode=dap4')['b'][-1])"),
    "pydap": (*PYTHON, "from pydap.client import open_url; print(open_url('{}', protocol='dap4')['b'][:].data[-1])"),
}


@dataclass
class Failing:
    """A piece of a body that cannot be read."""

    size: int

    def __len__(self) -> int:
        return self.size


def make_body(failing: int | None) -> dap4.EncodedBody:
    """Return the dataset's body with one failing piece."""
    whole = dap4.encode_body(DATASET, "d", Selection())
    pieces = [Failing(len(piece)) if number == failing else piece for number, piece in enumerate(whole.blocks)]
    return dap4.EncodedBody(whole.dmr, tuple(pieces))  # type: ignore[arg-type] # the fault to inject


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server whose response fails at the piece in the path."""

    async def send_data(request: Request) -> Response:
        piece = request.path_params["piece"]
        answer = make_body(None if piece == "none" else int(piece))
        return make_response(HttpResponse(dap4.MEDIA_TYPES[".dap"], answer.size, answer, {}))

    async def send_structure(_: Request) -> Response:
        return make_response(HttpResponse.from_body(dap4.render_dmr(DATASET, "d"), dap4.MEDIA_TYPES[".dmr"], {}))

    structures = [Route(f"/{{piece}}.{suffix}", send_structure) for suffix in ("dmr", "dmr.xml")]
    app = Starlette(routes=[Route("/{piece}.dap", send_data), *structures])
    port = find_free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_SIZE", CHUNK)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


def run(client: str, url: str) -> subprocess.CompletedProcess[str]:
    command = [part.format(url) for part in COMMANDS[client]]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("client", COMMANDS)
class TestClients:
    def test_whole(self, client: str, url: str, require: Callable[[str], None]) -> None:
        """Without a fault, the client reads the last value."""
        require(COMMANDS[client][0])

        assert LAST in run(client, f"{url}/none").stdout

    @pytest.mark.parametrize("piece", [0, 2, 3])
    def test_failing(self, client: str, piece: int, url: str, require: Callable[[str], None]) -> None:
        """With a fault at the first piece, in the middle or at the last, the client reports it and returns nothing."""
        require(COMMANDS[client][0])
        ended = run(client, f"{url}/{piece}")

        assert ended.stderr.strip()
        assert ended.returncode > 0 or client == "getdap4"  # it exits with 0 even on errors
        assert LAST not in ended.stdout
