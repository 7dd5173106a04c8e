"""Stored numbers in every protocol, format and client: the tables of docs/precision.md.

``make matrix`` renews the page, which takes all clients.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import h5py
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from pyhdf.SD import SD, SDC
from tests.clients.matrix.clients import CLIENTS, Client, ClientRequest
from tests.clients.matrix.features import RIGHT, Conditions, Feature, is_right
from tests.clients.matrix.notes import Note
from tests.clients.matrix.page import list_versions
from tests.clients.matrix.test_matrix import AT_ONCE, PAIRS, is_installed
from tests.clients.ways import WAYS, Place
from tests.conftest import skip_absent
from tests.samples import HDF4_TYPES, make_extremes
from tests.serving import Server, serving

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config.descriptions import load_diagnostics

Array: TypeAlias = NDArray[Any]

PAGE: Final = Path(__file__).parents[3] / "docs" / "precision.md"
BEGIN: Final = "<!-- The tables are written by tests/clients/matrix/test_precision.py; make matrix renews them. -->\n"
RENEW: Final = os.environ.get("SHOTDAP_RENEW") == "1"


@dataclass(frozen=True)
class Kind:
    """A kind of stored numbers."""

    words: str
    """Its name in the tables."""
    stored: Array
    attributes: Mapping[str, Any] = field(default_factory=dict)
    meant: Array | None = None
    """The decoded numbers, in their served type; by default the stored ones."""
    is_calibrated: bool = False
    """Whether scale and offset are HDF4's."""

    @property
    def served_values(self) -> Array:
        """The numbers of an image."""
        return self.stored if self.meant is None else self.meant


TYPES: Final = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
F32: Final = np.float32
NAN: Final = np.nan
SMALL: Final = np.array([0, 1, 200, 7], "u2")

KINDS: Final[Mapping[str, Kind]] = {
    **{name: Kind(np.dtype(name).name, make_extremes(name).ravel()[:6]) for name in TYPES},
    "scaled": Kind(
        "uint16, `scale_factor` and `add_offset` of float32",
        SMALL, {"scale_factor": F32(0.5), "add_offset": F32(10)}, np.array([10, 10.5, 110, 13.5], "f4"),
    ),
    "scaled_wide": Kind("uint16, `scale_factor` of float64", SMALL, {"scale_factor": 0.01}, SMALL * 0.01),
    "filled": Kind(
        "int16, `_FillValue`",
        np.array([1, -9, 3, 4], "i2"), {"_FillValue": np.int16(-9)}, np.array([1, NAN, 3, 4], "f4"),
    ),
    "filled_long": Kind(
        "int32, `_FillValue`",
        np.array([1, -9, 2**30 + 1], "i4"), {"_FillValue": np.int32(-9)}, np.array([1, NAN, 2**30 + 1], "f8"),
    ),
    "filled_float": Kind(
        "float32, `_FillValue` -9999.9",
        np.array([1.5, -9999.9, 0.1], "f4"), {"_FillValue": F32(-9999.9)}, np.array([1.5, NAN, 0.1], "f4"),
    ),
    "filled_nan": Kind(
        "float32, `_FillValue` NaN", np.array([1.5, NAN], "f4"), {"_FillValue": F32(NAN)}, np.array([1.5, NAN], "f4")
    ),
    "missing": Kind(
        "int16, two values in `missing_value`",
        np.array([1, 7, 8, 4], "i2"), {"missing_value": np.array([7, 8], "i2")}, np.array([1, NAN, NAN, 4], "f4"),
    ),
    "unsigned": Kind(
        "int16, `_Unsigned`",
        np.array([1, 40000, 65535], "u2").view("i2"), {"_Unsigned": "true"}, np.array([1, 40000, 65535], "u2"),
    ),
    "unsigned_filled": Kind(
        "int8, `_Unsigned`, `_FillValue` -1",
        np.array([1, 200, 255], "u1").view("i1"), {"_Unsigned": "true", "_FillValue": np.int8(-1)},
        np.array([1, 200, NAN], "f4"),
    ),
    "other_type": Kind(
        "uint16, `_FillValue` -1 of int16",
        np.array([1, 65535], "u2"), {"_FillValue": np.int16(-1)}, np.array([1, 65535], "f4"),
    ),
    "too_wide": Kind(
        "float32, `_FillValue` 1e300 of float64",
        np.array([1, np.inf], "f4"), {"_FillValue": np.float64(1e300)}, np.array([1, np.inf], "f4"),
    ),
    "calibrated": Kind(
        "int16 in HDF4, calibrated by `SDsetcal`",
        np.array([0, 100, 11225], "i2"), {"scale_factor": 0.01, "add_offset": -15000.0},
        0.01 * (np.array([0, 100, 11225]) + 15000.0), is_calibrated=True,
    ),
}  # fmt: skip

COLUMNS: Final = {
    "DAP2": "dap2, netCDF-C", "DAP4": "dap4, netCDF-C", "Zarr 2": "zarr 2", "Zarr 3": "zarr 3", "netCDF-3": "netCDF-3",
    "netCDF-4": "netCDF-4", "HDF5": "HDF5", "TIFF": "TIFF", "NPY": "NPY", "MAT": "MAT", "JSON": "JSON", "CSV": "CSV",
}  # fmt: skip
"""The columns of the first table, and their ways."""


def get_file(name: str) -> str:
    """Return the file that holds a kind."""
    return "precision.hdf" if KINDS[name].is_calibrated else "precision.h5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one array of every kind."""
    folder = tmp_path_factory.mktemp("precision")
    with h5py.File(folder / "precision.h5", "w") as file:
        for name, kind in KINDS.items():
            if not kind.is_calibrated:
                file[name] = kind.stored
                file[name].attrs.update(kind.attributes)
    calibrated = KINDS["calibrated"]
    hdf4 = SD(str(folder / "precision.hdf"), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    array = hdf4.create("calibrated", HDF4_TYPES["i2"], calibrated.stored.shape)
    array[:] = calibrated.stored
    array.setcal(calibrated.attributes["scale_factor"], 0.0, calibrated.attributes["add_offset"], 0.0, SDC.FLOAT64)
    array.endaccess()
    hdf4.end()
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the folder."""
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", folder) as server:
        yield server


@pytest.fixture(scope="module")
def arrivals(server: Server, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], str]:
    """The type in which each kind arrives, by column; its numbers are checked on the way."""
    catalog = Catalog(DirectoryArchive(folder), folder, load_diagnostics())
    scratch = tmp_path_factory.mktemp("scratch") / "file"
    found: dict[tuple[str, str], str] = {}
    with httpx.Client(trust_env=False, timeout=60) as client:
        for name, kind in KINDS.items():
            place = Place(server, catalog, client, get_file(name), name, 1, scratch)
            for column, label in COLUMNS.items():
                way = WAYS[label]
                values = way.fetch(place)
                expected = kind.served_values.astype(way.becomes(kind.served_values))

                assert values.dtype.newbyteorder("=") == expected.dtype, (name, column)
                np.testing.assert_array_equal(values, expected, err_msg=f"{name} {column}")
                found[name, column] = expected.dtype.name
    return found


Cells: TypeAlias = Mapping[tuple[str, str, str, str], str]
"""Client, protocol, path and kind → the client's result: `RIGHT`, "stored" or "wrong"."""


@pytest.fixture(scope="module")
def cells(server: Server, folder: Path) -> Cells:
    """The results of all installed clients for packed arrays, several of which run at once."""
    installed = [(client, protocol) for client, protocol in PAIRS if is_installed(client)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = pool.map(lambda pair: ask_client(pair[0], pair[1], server.url, folder), installed)
        return {
            (client.name, protocol, *cell): shown
            for (client, protocol), row in zip(installed, rows, strict=True)
            for cell, shown in row.items()
        }


def list_packed_kinds() -> list[str]:
    """Return the kinds whose stored numbers have to be decoded."""
    return [name for name, kind in KINDS.items() if kind.attributes]


def ask_client(client: Client, protocol: str, url: str, folder: Path) -> dict[tuple[str, str], str]:
    """Request every packed kind from a client, decoded and raw."""
    wanted = [(suffix, name) for suffix in ("", "/raw") for name in list_packed_kinds()]
    features = [Feature(name, (name,), file=f"{get_file(name)}{suffix}") for suffix, name in wanted]
    # The output of a client at its end follows its last answer, which is an additional one, and is ignored.
    answers, _ = client.run(
        [ClientRequest.from_feature(feature, url, protocol) for feature in (*features, features[0])]
    )
    shown = {}
    for (suffix, name), words in zip(wanted, answers[:-1], strict=True):
        kind = KINDS[name]
        fill = kind.attributes.get("_FillValue") if suffix or name == "filled_nan" else None
        conditions = Conditions(protocol, folder, client.unpacks, client.digits, client.fill, fill)
        shown[suffix, name] = judge(kind, words, conditions)
    return shown


def judge(kind: Kind, answer: str | None, conditions: Conditions) -> str:
    """Return a client's result for an array."""
    if answer is None or "!!" in answer:
        return "error"
    by_cf = (
        kind.stored * 0.01 + 150 if kind.is_calibrated else kind.served_values
    )  # for a raw file, rounded in another way
    if any(is_right([each], answer, conditions) for each in (kind.served_values, by_cf)):
        return RIGHT
    unsigned = kind.stored.view(f"u{kind.stored.itemsize}") if "_Unsigned" in kind.attributes else kind.stored
    return "stored" if any(is_right([each], answer, conditions) for each in (kind.stored, unsigned)) else "wrong"


def test_every_way(arrivals: Mapping[tuple[str, str], str]) -> None:
    """Over every protocol and in every format the decoded numbers arrive, in the type that the page states."""
    assert len(arrivals) == len(KINDS) * len(COLUMNS)


@pytest.mark.parametrize(("client", "protocol"), PAIRS, ids=[f"{client.name}-{protocol}" for client, protocol in PAIRS])
def test_every_client(cells: Cells, client: Client, protocol: str) -> None:
    """Every client shows the decoded numbers; for a raw file those, or the stored ones unchanged."""
    if not is_installed(client):
        skip_absent(f"{client.program} is not installed")
    mine = {cell[2:]: shown for cell, shown in cells.items() if cell[:2] == (client.name, protocol)}
    unlike = {
        cell: shown
        for cell, shown in mine.items()
        if shown not in ({RIGHT, "stored"} if cell[0] else {RIGHT}) and not find_note(client.name, protocol, *cell)
    }

    assert unlike == {}


def test_page(arrivals: Mapping[tuple[str, str], str], cells: Cells) -> None:
    """The tables of the documentation are up to date (`make matrix` renews them)."""
    if not all(map(is_installed, CLIENTS)):
        skip_absent("not every client is installed")
    before, _, documented = PAGE.read_text().partition(BEGIN)
    made = "\n".join(["", *format_arrivals(arrivals), *format_clients(cells), f"Versions: {list_versions()}.", ""])
    if RENEW:
        PAGE.write_text(before + BEGIN + made)
        documented = made
    if list_versions() not in documented:
        skip_absent("the page is about other versions of the clients; `make matrix` renews it")

    assert documented == made


def format_arrivals(arrivals: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Yield the table of types by protocol and format."""
    yield "## By protocol and format"
    yield ""
    yield from format_row("stored", "an image has", *COLUMNS)
    yield from format_row(*["---"] * (len(COLUMNS) + 2))
    for name, kind in KINDS.items():
        yield from format_row(
            kind.words, kind.served_values.dtype.name, *(arrivals[name, column] for column in COLUMNS)
        )
    yield ""


def format_clients(cells: Cells) -> Iterator[str]:
    """Yield the tables of each client's results, by protocol."""
    yield from ("## In each client", "", EXPLANATION, "")
    for protocol in ("DAP2", "DAP4"):
        clients = [client.name for client in CLIENTS if protocol in client.protocols]
        yield from (f"### {protocol}", "")
        yield from format_row("stored", *clients)
        yield from format_row("---", *[":-:"] * len(clients))
        for name in list_packed_kinds():
            yield from format_row(
                KINDS[name].words, *(format_cell(cells, client, protocol, name) for client in clients)
            )
        yield ""
    yield from ("### Notes", "")
    yield from (f"{number}. {note.sentence}" for number, note in enumerate(NOTES, 1))
    yield ""


def format_cell(cells: Cells, client: str, protocol: str, name: str) -> str:
    """Return a cell of the tables, with the number of its note if it is not right."""
    shown = {suffix: cells[client, protocol, suffix, name] for suffix in ("", "/raw")}
    notes = {suffix: find_note(client, protocol, suffix, name) for suffix in shown}
    return " / ".join(
        f"[{notes[suffix]}](#notes)" if notes[suffix] and found != RIGHT else found for suffix, found in shown.items()
    )


NOTES: Final = (
    Note("ncdf4 takes one number in `missing_value`, and fails for several.", ("R",), ("DAP2", "DAP4"), ("missing",)),
    Note(
        "The client knows `_FillValue`, but not `_Unsigned`, which DAP2 leaves to the server.",
        ("Octave", "R"), ("DAP4",), ("unsigned_filled",),
    ),
    Note(
        "GDL knows neither netCDF-4's unsigned nor its 64-bit types, and dies of an attribute that is a string. Use"
        " DAP2 with it.",
        ("GDL",), ("DAP4",),
    ),
)  # fmt: skip
"""Explanations of raw files that are not read correctly, and of empty cells for DAP4."""


def find_note(client: str, protocol: str, suffix: str, name: str) -> int:
    """Return the number of the note that explains a cell, from 1; 0 if none does. Decoded images have one for GDL."""
    if not suffix and client != "GDL":
        return 0
    return next((number for number, note in enumerate(NOTES, 1) if note.is_about(client, protocol, name)), 0)


EXPLANATION: Final = f"""\
Before the slash: the image, which is decoded on the server. Behind it: `<path>/raw`, with the attributes that say what
its numbers mean. {RIGHT} is the meant numbers, value by value; "stored" the stored numbers, which the client leaves to
its user to decode."""


def format_row(*words: str) -> Iterator[str]:
    """Yield a row of a table."""
    yield f"| {' | '.join(words)} |"
