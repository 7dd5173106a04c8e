"""The matrix as a page of the documentation, and the versions that it holds for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final

import netCDF4
from tests.clients.matrix.clients import CLIENTS
from tests.clients.matrix.features import ERROR, FEATURES, PROTOCOLS, RIGHT
from tests.clients.matrix.notes import NOTES, find_note

__all__ = ["Cells", "list_versions", "render_page"]

Cells = Mapping[tuple[str, str, str], str]
"""Client, protocol and feature → the result of `judge`."""

HEAD: Final = """\
# Clients

Each cell is a real client that asked a running server for one thing, its answer compared with the file. `make matrix`
renews this page; a test fails when it is not what the clients say.

- ✓ is right, value by value. Over DAP2, 64-bit integers are Float64, exact to 2⁵³ ([why](protocols.md)).
- For a request that fails, ✓ says that the user reads the server's own sentence, and "error" that the client reports
  an error in words of its own. None takes it for an answer.
- A number leads to a note: what is not right there is the client's own doing.
"""

TAIL: Final = """\
netCDF-C reads whole variables over DAP4, whatever part a program asks for; for parts of large images use DAP2 with it,
or a `dap4.ce` in the URL. MATLAB and IDL use netCDF-C, as Octave and GDL do. On a plain `http` server give pydap
`http://…` and `protocol="dap4"`: at a `dap4://…` it waits for TLS before each request.

netCDF-C garbles the last bits of every Float32 attribute over DAP4 (it reads -9999 as -9999.006), so shotdap sends them
as Float64. A `_FillValue` has to be of its variable's type: that of a float32 variable is a `missing_value` instead,
unless it is NaN or 0; programs that know `_FillValue` alone need DAP2. In a list of texts netCDF-C garbles
`& < > " ' \\`: such a list is one text of several lines to it and to pydap. pydap fails for values that are text beyond
ASCII; the other clients read them.
"""

PROGRAMS: Final = {
    "netCDF-C (ncdump, nccopy)": (("nccopy",), r"version (\S+)"),
    "NCO (ncks)": (("ncks", "--version"), r"ncks version (\S+)"),
    "Octave": (("octave", "--version"), r"version (\S+)"),
    "R": (("Rscript", "--version"), r"version (\S+)"),
    "GDL": (("gdl", "--version"), r"Version (\S+)"),
    "libdap (getdap, getdap4)": (("getdap4", "-V"), r"version: (\S+)"),
}


def list_versions() -> str:
    """Return the clients' versions in a sentence."""
    libraries = {name: version(name) for name in ("netCDF4", "xarray", "pydap")}
    libraries["netCDF4"] = f"{version('netCDF4')} (netCDF-C {netCDF4.__netcdf4libversion__})"
    programs = {name: _read_version(*program) for name, program in PROGRAMS.items()}
    return ", ".join(f"{name} {number}" for name, number in {**libraries, **programs}.items())


def _read_version(command: tuple[str, ...], form: str) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "absent"
    found = re.search(form, ended.stdout + ended.stderr)
    return found[1] if found else "unknown"


def render_page(cells: Cells) -> str:
    """Return the page of the documentation."""
    tables = (part for protocol in PROTOCOLS for part in (f"## {protocol}", "\n".join(_render_table(cells, protocol))))
    notes = "\n".join(f"{number}. {note.sentence}" for number, note in enumerate(NOTES, 1))
    return (
        "\n\n".join([HEAD.rstrip(), *tables, "## Notes", notes, TAIL.rstrip(), f"Versions: {list_versions()}."]) + "\n"
    )


def _render_table(cells: Cells, protocol: str) -> Iterator[str]:
    clients = [client.name for client in CLIENTS if protocol in client.protocols]
    yield _render_row(["", *clients])
    yield _render_row(["---", *[":-:"] * len(clients)])
    for feature in FEATURES:
        if protocol in feature.protocols:
            results = {client: cells[client, protocol, feature.name] for client in clients}
            numbers = {client: 0 if feature.fails else find_note(client, protocol, feature.name) for client in clients}
            yield _render_row([feature.name, *(_render_cell(results[client], numbers[client]) for client in clients)])


def _render_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _render_cell(result: str, number: int) -> str:
    if number and result != RIGHT:
        return f"[{number}](#notes)"
    return result if result in {RIGHT, ERROR} else f"**{result}**"
