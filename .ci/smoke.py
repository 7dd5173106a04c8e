"""Start the installed `shotdap demo`, ask what clients ask, and end it as Ctrl-C does.

Run it with the Python that shotdap is installed for, isolated (`python -I`), from outside the checkout.
"""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import shotdap

CHECKOUT = Path(__file__).resolve().parent.parent
IMAGE = "/dap/omega/62328/asbo1/asbo1_s62328"
SECONDS_TO_START = 120
SECONDS_TO_STOP = 10
# XDR, which DAP2 is written in, has nothing smaller than four bytes.
XDR_BYTES = {b"Int16": 4, b"UInt16": 4, b"Int32": 4, b"UInt32": 4, b"Float32": 4, b"Float64": 8}

# A proxy that the environment names is not for loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def fetch(url: str, accept: str = "*/*") -> bytes:
    """The body of a 200 answer; any other status is an error."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with OPENER.open(request, timeout=60) as answer:
        body: bytes = answer.read()
        assert answer.status == 200, f"{url}: {answer.status}"
    print(f"200, {len(body)} bytes: {url}")
    return body


def wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server accepts connections; fail when it ends or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        assert server.poll() is None, f"shotdap demo ended by itself, with {server.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    sys.exit(f"shotdap demo does not answer after {SECONDS_TO_START} s")


def ask(base: str) -> None:
    """The landing document, the structure of one image, and ten pixels of a virtual variable."""
    assert json.loads(fetch(f"{base}/", accept="application/json"))

    dds = fetch(f"{base}{IMAGE}.dds")
    assert dds.startswith(b"Dataset {"), dds[:200]
    assert b" background_subtracted[" in dds, dds

    body = fetch(f"{base}{IMAGE}.dods?background_subtracted[0:1:0][0:1:9]")
    head, _, data = body.partition(b"\nData:\n")
    declared = re.search(rb"(\w+) background_subtracted\[[^]]*\b1\]\[[^]]*\b10\];", head)
    assert declared, head
    assert data[:8] == (10).to_bytes(4, "big") * 2, data[:8]
    assert len(data) == 8 + 10 * XDR_BYTES[declared[1]], len(data)


def main() -> None:
    """Run the whole visit; any difference is an error."""
    installed = Path(shotdap.__file__).resolve()
    assert not installed.is_relative_to(CHECKOUT), f"{installed} is in the checkout"
    # A child of a shell's background job would inherit that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    port = free_port()
    command = [str(Path(sys.executable).parent / "shotdap"), "demo", "--port", str(port)]
    with TemporaryDirectory() as folder, subprocess.Popen([*command, "--folder", folder]) as server:
        try:
            wait_for(server, port)
            ask(f"http://127.0.0.1:{port}")
            server.send_signal(signal.SIGINT)
            assert server.wait(SECONDS_TO_STOP) == 0, f"ended with {server.returncode}"
        finally:
            server.kill()
    print(f"shotdap {shotdap.__version__} from {installed.parent}: started, answered, ended")


if __name__ == "__main__":
    main()
