"""Start the installed `shotdap demo`, paste the lines that it prints and those of README.md, and end it as Ctrl-C does.

Run it with the Python that shotdap is installed for, isolated (`python -I`), from outside the checkout.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import shotdap

CHECKOUT = Path(__file__).resolve().parent.parent
IMAGE = "/dap/omega/62328/asbo1/asbo1_s62328"
SECONDS_TO_START = 120
SECONDS_TO_STOP = 10
SECONDS_TO_READ = 120  # for a client that is started for the first time, on a busy machine
# XDR, which DAP2 is written in, has nothing smaller than four bytes.
XDR_BYTES = {b"Int16": 4, b"UInt16": 4, b"Int32": 4, b"UInt32": 4, b"Float32": 4, b"Float64": 8}

# By the label of a printed block: the program that takes it, a line that shows what came, and what that says.
PROGRAMS = {
    "In Octave": ("octave-cli -q", "size(ans)", r"\b893 +34\b"),
    "In IDL or GDL": ("gdl -quiet", "help, d", r"\bFLOAT += Array\[893, 34\]"),
    "In a shell": ("bash -e", "", r"\bfloat background_subtracted\(y, x\)"),
}

# A proxy that the environment names is not for loopback.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """Return a free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def fetch(url: str, accept: str = "*/*") -> bytes:
    """Return the body of a 200 response; raise an error for any other status."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with OPENER.open(request, timeout=60) as answer:
        body: bytes = answer.read()
        assert answer.status == 200, f"{url}: {answer.status}"
    print(f"200, {len(body)} bytes: {url}")
    return body


def load_pasting() -> ModuleType:
    """Load the test module that parses the printed instructions, by path: the checkout is not importable."""
    spec = importlib.util.spec_from_file_location("pasting", CHECKOUT / "tests" / "pasting.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wait_for(server: subprocess.Popen[bytes], log: Path) -> str:
    """Return what the demonstration printed, once it says that it answers; fail when it ends or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        assert server.poll() is None, f"shotdap demo ended by itself, with {server.returncode}:\n{log.read_text()}"
        if "\nEvery image: " in (text := log.read_text()):
            return text
        time.sleep(0.2)
    sys.exit(f"shotdap demo does not answer after {SECONDS_TO_START} s:\n{log.read_text()}")


def ask(base: str) -> None:
    """Request the landing document, the structure of one image, and ten pixels of a virtual variable."""
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


def ask_for_every_format(base: str) -> None:
    """Request integers and floats in every format that the server lists: no extra is installed here."""
    image = f"{base}/api/v1/images{IMAGE.removeprefix('/dap')}"
    for listed in json.loads(fetch(f"{base}/api/v1/formats"))["formats"]:
        rows = "3" if listed["holds"] == "lineout" else "0:40"
        for variable in ("image", "flat_fielded"):
            assert fetch(f"{image}?variable={variable}&y={rows}&x=0:40&format={listed['name']}")


def paste(command: str, lines: list[str], folder: Path) -> str:
    """Start a program as a shell does, and give it lines to read; what it printed.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    done = subprocess.run(
        ["bash", "-c", command],
        input="\n".join([*lines, ""]),
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        timeout=SECONDS_TO_READ,
    )
    print(f"pasted into {command}:", *lines, sep="\n    ")
    return done.stdout


def paste_all(printed: str, base: str, folder: Path) -> None:
    """Paste the printed lines and README.md's into the Python that they say, the others into programs that are here."""
    pasting = load_pasting()
    blocks = pasting.parse_instructions(printed)
    (python,) = blocks.pop("To start Python")
    *lines, last = blocks.pop("In Python")
    assert paste(python, [*lines, last, f"print(({last}).shape)"], folder) == "(34, 893)\n"
    readme = (CHECKOUT / "README.md").read_text("utf-8").replace("http://127.0.0.1:8000", base)
    paste(python, pasting.find_code(readme)["python"], folder)

    assert blocks.pop("In MATLAB") == blocks["In Octave"][1:]  # MATLAB is nowhere to try, Octave stands in for it
    assert blocks.keys() == PROGRAMS.keys()
    for label, (command, check, expected) in PROGRAMS.items():
        if shutil.which(blocks[label][0].split()[0] if label == "In a shell" else command.split()[0]) is None:
            print(f"not here, and not tried: {label}")
            continue
        shown = paste(command, [*blocks[label], check], folder)
        assert re.search(expected, shown), shown


def main() -> None:
    """Run the whole visit; any difference is an error."""
    installed = Path(shotdap.__file__).resolve()
    assert not installed.is_relative_to(CHECKOUT), f"{installed} is in the checkout"
    # A child of a shell's background job would inherit that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).parent / "shotdap"), "demo", "--port", str(port)]
    with TemporaryDirectory() as name, (Path(name) / "log").open("wb") as log:
        folder = Path(name)  # where README.md's lines find the demonstration's files, in demo/
        with subprocess.Popen(command, cwd=folder, stdout=log) as server:
            try:
                printed = wait_for(server, folder / "log")
                ask(base)
                ask_for_every_format(base)
                paste_all(printed, base, folder)
                server.send_signal(signal.SIGINT)
                assert server.wait(SECONDS_TO_STOP) == 0, f"ended with {server.returncode}"
            finally:
                server.kill()
    print(f"shotdap {shotdap.__version__} from {installed.parent}: started, answered, ended")


if __name__ == "__main__":
    main()
