"""The clients of users, each as one function that reads parts of variables into NumPy arrays.

Strategy: a client gets all requested parts at once, because a program takes longer to start than to read. The output
of a program is converted into arrays here; its requests are its own.
"""

from __future__ import annotations

import re
import subprocess
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tests.serving import make_environment

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap uses, imports cgi
    from pydap.client import open_url

__all__ = ["CLIENTS", "DIMENSIONS", "OPENERS", "Client", "Opener", "VariablePart", "open_url", "run"]

Array: TypeAlias = NDArray[Any]
Fetch: TypeAlias = Callable[[str, "Sequence[VariablePart]", Path], list[Array]]
"""From the URL of an image, the requested parts, and a folder for scratch files, to the values."""

DIMENSIONS: Final = ("y", "x")
"""The names of a frame's dimensions, which ncks needs."""

SECONDS: Final = 60  # for a response of a program; most take less than one


@dataclass(frozen=True)
class VariablePart:
    """A part of a variable: for each dimension a slice with known bounds; without slices, all of it."""

    name: str
    part: tuple[slice, ...] = ()

    @property
    def starts(self) -> list[int]:
        """The first index in each dimension."""
        return [piece.start for piece in self.part]

    @property
    def counts(self) -> list[int]:
        """The number of indices in each dimension."""
        return [len(range(piece.start, piece.stop, piece.step)) for piece in self.part]

    @property
    def steps(self) -> list[int]:
        """The stride in each dimension."""
        return [piece.step for piece in self.part]

    @property
    def hyperslab(self) -> str:
        """The part in the syntax of both protocols."""
        return "".join(f"[{piece.start}:{piece.step}:{piece.stop - 1}]" for piece in self.part)

    def select(self, values: Any) -> Array:  # noqa: ANN401 — whatever a client's variable is
        """Return the part of an array, or of an object that can be indexed like one."""
        return np.asarray(values[self.part or ...])


@dataclass(frozen=True)
class Client:
    """A program or library that reads a remote image."""

    fetch: Fetch
    program: str = ""
    """The program that must be installed, unless it is a library of ours."""


def run(*command: str) -> str:
    """Run a client's program; return its output.

    Raises:
        subprocess.CalledProcessError: it failed.
        subprocess.TimeoutExpired: it hung.
    """
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=make_environment(), timeout=SECONDS, errors="replace"
    )
    if done.returncode:
        done.check_returncode()
    return done.stdout


# xarray, by each of its engines, as users open an image


def _open_by_netcdf4_dap2(url: str, group: str | None = None) -> xr.Dataset:
    return xr.open_dataset(url, engine="netcdf4", group=group)


def _open_by_netcdf4_dap4(url: str, group: str | None = None) -> xr.Dataset:
    return xr.open_dataset(f"{url}#dap4", engine="netcdf4", group=group)


def _open_by_pydap_dap2(url: str, group: str | None = None) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PyDAP was unable to determine the DAP protocol", UserWarning)
        return xr.open_dataset(url, engine="pydap", group=group)


def _open_by_pydap_dap4(url: str, group: str | None = None) -> xr.Dataset:
    """Open by pydap; a constraint of everything selects DAP4, because ``dap4://`` would try TLS for ten seconds."""
    return xr.open_dataset(f"{url}?dap4.ce=/", engine="pydap", group=group)


class Opener(Protocol):
    """Opens an image with xarray."""

    def __call__(self, url: str, group: str | None = None) -> xr.Dataset:
        """Open the image at a URL, or a group of it."""
        ...


OPENERS: Final[Mapping[str, Opener]] = {
    "netcdf4-dap2": _open_by_netcdf4_dap2,
    "netcdf4-dap4": _open_by_netcdf4_dap4,
    "pydap-dap2": _open_by_pydap_dap2,
    "pydap-dap4": _open_by_pydap_dap4,
}


def _read_by_xarray(opener: Opener) -> Fetch:
    def fetch(url: str, asked: Sequence[VariablePart], _scratch: Path) -> list[Array]:
        with opener(url) as dataset:
            return [ask.select(dataset[ask.name]) for ask in asked]

    return fetch


# The libraries below them


def _read_by_netcdf4(ending: str) -> Fetch:
    def fetch(url: str, asked: Sequence[VariablePart], _scratch: Path) -> list[Array]:
        with netCDF4.Dataset(f"{url}{ending}") as dataset:
            return [ask.select(dataset[ask.name]) for ask in asked]

    return fetch


def _read_by_pydap(protocol: str) -> Fetch:
    def fetch(url: str, asked: Sequence[VariablePart], _scratch: Path) -> list[Array]:
        dataset = open_url(url, protocol=protocol)
        return [ask.select(dataset[ask.name]) for ask in asked]

    return fetch


# netCDF's programs


def _read_by_ncdump(url: str, asked: Sequence[VariablePart], _scratch: Path) -> list[Array]:
    return [
        _parse_cdl(run("ncdump", "-p", "9,17", "-v", ask.name, _add_constraint(url, ask)), ask.name) for ask in asked
    ]


def _add_constraint(url: str, ask: VariablePart) -> str:
    """Return the URL of a part, because these programs have no indices of their own."""
    return f"{url}?{ask.name}{ask.hyperslab}" if ask.part else url


def _parse_cdl(text: str, name: str) -> Array:
    sizes = {dimension: int(size) for dimension, size in re.findall(r"^\t(\w+) = (\d+) ;", text, re.MULTILINE)}
    (dimensions,) = re.findall(rf"^\t\w+ {name}\(([^)]*)\) ;", text, re.MULTILINE)
    (values,) = re.findall(rf"^ {name} =([^;]*);", text, re.MULTILINE)
    shape = [sizes[dimension] for dimension in dimensions.split(", ")]
    return np.array(values.split(","), float).reshape(shape)


def _read_by_nccopy(url: str, asked: Sequence[VariablePart], scratch: Path) -> list[Array]:
    return [_read_copy(_add_constraint(url, ask), ask.name, scratch) for ask in asked]


def _read_by_nccopy_dap4(url: str, asked: Sequence[VariablePart], scratch: Path) -> list[Array]:
    return [_read_copy(f"{url}?dap4.ce=/{ask.name}{ask.hyperslab}#dap4", ask.name, scratch) for ask in asked]


def _read_copy(url: str, name: str, scratch: Path) -> Array:
    copy = scratch / "copy.nc"
    run("nccopy", "-k", "nc4", url, str(copy))
    return _read_netcdf(copy, name)


def _read_netcdf(path: Path, name: str) -> Array:
    with netCDF4.Dataset(path) as dataset:
        return np.asarray(dataset[name][...])


def _read_by_ncks(url: str, asked: Sequence[VariablePart], scratch: Path) -> list[Array]:
    return [_read_part_by_ncks(url, ask, scratch / "cut.nc") for ask in asked]


def _read_part_by_ncks(url: str, ask: VariablePart, cut: Path) -> Array:
    ranges = (
        f"-d{dimension},{piece.start},{piece.stop - 1},{piece.step}"
        for dimension, piece in zip(DIMENSIONS, ask.part, strict=False)
    )
    run("ncks", "-O", "-C", "-v", ask.name, *ranges, url, str(cut))
    return _read_netcdf(cut, ask.name)


# libdap's programs


def _read_by_getdap(url: str, asked: Sequence[VariablePart], _scratch: Path) -> list[Array]:
    return [_parse_libdap(run("getdap", "-D", "-c", f"{ask.name}{ask.hyperslab}", url)) for ask in asked]


def _read_by_getdap4(url: str, asked: Sequence[VariablePart], _scratch: Path) -> list[Array]:
    return [_parse_libdap(run("getdap4", "-D", "-c", f"/{ask.name}{ask.hyperslab}", url)) for ask in asked]


def _parse_libdap(text: str) -> Array:
    """Parse ``Int32 image[y = 2][x = 3] = {{681, 674, 674},{670, 673, 664}};`` of getdap, or nameless of getdap4."""
    head, _, values = text.rpartition("The data:")[2].partition(" = {")
    shape = [int(size) for size in re.findall(r"\[(?:\w+ = )?(\d+)\]", head)]
    numbers = values.rpartition(";")[0].replace("{", " ").replace("}", " ")
    return np.array(numbers.split(","), float).reshape(shape)


# The languages of laboratories. Octave stands in for MATLAB and GDL for IDL: they use the same library.

_OCTAVE_TYPES: Final = {"single": "f4", "double": "f8", "int32": "i4", "int16": "i2"}
_GDL_TYPES: Final = {"FLOAT": "f4", "DOUBLE": "f8", "LONG": "i4", "INT": "i2"}


def _read_by_octave(url: str, asked: Sequence[VariablePart], scratch: Path) -> list[Array]:
    """Read by `ncread`, which counts from one and reverses dimensions; in a file its columns are our rows again."""
    lines = ["pkg load netcdf"]
    for number, ask in enumerate(asked):
        arguments = [[start + 1 for start in reversed(ask.starts)], ask.counts[::-1], ask.steps[::-1]]
        part = "".join(f", {argument}" for argument in arguments if ask.part)
        lines += [
            f"d = ncread('{url}', '{ask.name}'{part});",
            f"f = fopen('{scratch / str(number)}', 'w'); fwrite(f, d, class(d)); fclose(f);",
            "printf('%s %s\\n', class(d), num2str(size(d)));",
        ]
    printed = _run_script("octave-cli", "-qf", text="\n".join(lines), scratch=scratch)
    return _read_written(printed, _OCTAVE_TYPES, scratch)


def _read_by_gdl(url: str, asked: Sequence[VariablePart], scratch: Path) -> list[Array]:
    lines = [f"id = NCDF_OPEN('{url}')"]
    for number, ask in enumerate(asked):
        arguments = {"OFFSET": ask.starts[::-1], "COUNT": ask.counts[::-1], "STRIDE": ask.steps[::-1]}
        part = "".join(f", {key}={value}" for key, value in arguments.items() if ask.part)
        lines += [
            f"NCDF_VARGET, id, '{ask.name}', d{part}",
            f"openw, 1, '{scratch / str(number)}'",
            "writeu, 1, d",
            "close, 1",
            "print, size(d, /tname), size(d, /dim)",
        ]
    printed = _run_script("gdl", "-quiet", text="\n".join([*lines, "exit", ""]), scratch=scratch)
    return _read_written(printed, _GDL_TYPES, scratch)


def _read_by_r(url: str, asked: Sequence[VariablePart], scratch: Path) -> list[Array]:
    """Read by `ncvar_get`, which has no strides: it reads the range, and R selects."""
    lines = ["library(ncdf4)", f"n <- nc_open('{url}')"]
    for number, ask in enumerate(asked):
        start = ", ".join(str(piece.start + 1) for piece in reversed(ask.part))
        count = ", ".join(str(piece.stop - piece.start) for piece in reversed(ask.part))
        part = f", start = c({start}), count = c({count})" if ask.part else ""
        thin = ", ".join(f"seq(1, {piece.stop - piece.start}, {piece.step})" for piece in reversed(ask.part))
        lines += [
            f"d <- ncvar_get(n, '{ask.name}'{part})" + (f"[{thin}]" if ask.part else ""),
            f"f <- file('{scratch / str(number)}', 'wb'); writeBin(as.double(d), f); close(f)",
            "cat('double', dim(d), '\\n')",
        ]
    printed = _run_script("Rscript", "--vanilla", text="\n".join(lines), scratch=scratch)
    return _read_written(printed, {"double": "f8"}, scratch)


def _run_script(*command: str, text: str, scratch: Path) -> str:
    script = scratch / "script"
    script.write_text(text)
    return run(*command, str(script))


def _read_written(printed: str, types: dict[str, str], scratch: Path) -> list[Array]:
    """Read arrays from files named by their numbers; lines give type and size, fastest dimension first."""
    described = [line.split() for line in printed.splitlines() if line.split(" ")[0] in types]
    return [
        np.fromfile(scratch / str(number), types[kind]).reshape([int(size) for size in reversed(sizes)])
        for number, (kind, *sizes) in enumerate(described)
    ]


CLIENTS: Final = {
    **{f"xarray-{name}": Client(_read_by_xarray(opener)) for name, opener in OPENERS.items()},
    "netCDF4-dap2": Client(_read_by_netcdf4("")),
    "netCDF4-dap4": Client(_read_by_netcdf4("#dap4")),
    "pydap-dap2": Client(_read_by_pydap("dap2")),
    "pydap-dap4": Client(_read_by_pydap("dap4")),
    "ncdump": Client(_read_by_ncdump, "ncdump"),
    "nccopy-dap2": Client(_read_by_nccopy, "nccopy"),
    "nccopy-dap4": Client(_read_by_nccopy_dap4, "nccopy"),
    "ncks": Client(_read_by_ncks, "ncks"),
    "getdap": Client(_read_by_getdap, "getdap"),
    "getdap4": Client(_read_by_getdap4, "getdap4"),
    "octave": Client(_read_by_octave, "octave-cli"),
    "gdl": Client(_read_by_gdl, "gdl"),
    "r": Client(_read_by_r, "Rscript"),
}
"""By names that contain the protocol if a client has both."""
