"""The clients on this machine, and how each of them opens an image."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from shotdap.server.access.audit.redaction import redact_secrets

_SECONDS: Final = 60  # for one client; a slow one takes five
_OPENED: Final = "opened"
_NETCDF_ERROR: Final = re.compile(r"NetCDF: [^:\n('\"]+")  # scripts print more lines after it


@dataclass(frozen=True)
class Program:
    """A client, and a command that opens an image without reading values.

    Attributes:
        name: for the user.
        command: with ``{url}`` for the URL, and ``{dds}`` for that of its DDS.
        is_netcdf: it signs in as netCDF-C does, by ``.ncrc``; others look into ``.netrc`` by themselves.
        module: of Python that must be installed; empty for a program.
        expected: a text that it prints if it has opened the image; its exit code says so, too.
    """

    name: str
    command: tuple[str, ...]
    is_netcdf: bool
    module: str = ""
    expected: str = ""

    @property
    def is_installed(self) -> bool:
        """Check whether it can be tried here."""
        return find_spec(self.module) is not None if self.module else shutil.which(self.command[0]) is not None

    def try_url(self, url: str, home: Path) -> Trial:
        """Open an image with the files of a home."""
        texts = {"url": url, "dds": f"{url}.dds", "python": sys.executable}
        environment = {**os.environ, "HOME": str(home)}
        try:
            done = subprocess.run(  # noqa: S603 — the table's commands; the URL is one of their arguments, and quoted
                [part.format_map(texts) for part in self.command],
                check=False,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                env=environment,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Trial(self, f"it has not opened the image within {_SECONDS} s")
        if done.returncode == 0 and self.expected in done.stdout:
            return Trial(self, "")
        written = f"{done.stdout}\n{done.stderr}".strip()
        if found := _NETCDF_ERROR.search(written):
            return Trial(self, found[0].strip())
        return Trial(self, redact_secrets(written.rpartition("\n")[2]) or f"exit code {done.returncode}")


@dataclass(frozen=True)
class Trial:
    """The outcome of a trial."""

    program: Program
    message: str
    """The error of netCDF-C, or the last line that was printed; empty for a client that has opened the image."""


_NETCDF4: Final = "import sys, netCDF4; netCDF4.Dataset(sys.argv[1]).close()"
_PYDAP: Final = "import sys; from pydap.client import open_url; open_url(sys.argv[1], protocol=sys.argv[2])"
_OCTAVE: Final = "pkg load netcdf; ncinfo('{url}'); disp('" + _OPENED + "')"
_GDL: Final = "id = ncdf_open('{url}') & ncdf_close, id & print, '" + _OPENED + "'"
_R: Final = "suppressPackageStartupMessages(library(ncdf4)); nc_close(nc_open('{url}'))"

PROGRAMS: Final = (
    Program("netCDF-C, DAP2", ("ncdump", "-h", "{url}"), is_netcdf=True),
    Program("netCDF-C, DAP4", ("ncdump", "-h", "{url}#dap4"), is_netcdf=True),
    Program("Python netCDF4, DAP2", ("{python}", "-c", _NETCDF4, "{url}"), is_netcdf=True, module="netCDF4"),
    Program("Python netCDF4, DAP4", ("{python}", "-c", _NETCDF4, "{url}#dap4"), is_netcdf=True, module="netCDF4"),
    Program("pydap, DAP2", ("{python}", "-c", _PYDAP, "{url}", "dap2"), is_netcdf=False, module="pydap"),
    Program("pydap, DAP4", ("{python}", "-c", _PYDAP, "{url}", "dap4"), is_netcdf=False, module="pydap"),
    Program("Octave, DAP2", ("octave-cli", "--no-gui", "--eval", _OCTAVE), is_netcdf=True, expected=_OPENED),
    Program("GDL, DAP2", ("gdl", "-quiet", "-e", _GDL), is_netcdf=True, expected=_OPENED),
    Program("R, DAP2", ("Rscript", "-e", _R), is_netcdf=True),
    Program("getdap, DAP2", ("getdap", "-d", "{url}"), is_netcdf=False, expected="Dataset {"),
    Program("getdap4, DAP4", ("getdap4", "-d", "{url}"), is_netcdf=False, expected="<Dataset"),
    Program("curl", ("curl", "--netrc", "--fail", "-sS", "-o", os.devnull, "{dds}"), is_netcdf=False),
    Program("wget", ("wget", "-nv", "-O", os.devnull, "{dds}"), is_netcdf=False),
)
"""In the order in which they are tried."""


def try_programs(url: str, home: Path) -> Iterator[Trial]:
    """Try every client that is installed, one after the other.

    Args:
        url: of an image, without a suffix.
        home: the folder with the files by which they sign in.
    """
    quoted = url.replace("'", "%27")  # it stands between quotes in scripts
    return (program.try_url(quoted, home) for program in PROGRAMS if program.is_installed)
