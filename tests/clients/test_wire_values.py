"""Fill values, texts and numbers of attributes, read by real clients, have the same meaning as in the file."""

from __future__ import annotations

import shutil
import threading
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.clients.programs import OPENERS, open_url, run
from tests.conftest import skip_absent
from tests.serving import Server, serving
from tests.strategies import QUICK

from shotdap.server.protocols import dap2, dap4

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap uses, imports cgi
    from pydap.parsers.dmr import dmr_to_dataset

pytestmark = pytest.mark.filterwarnings(
    "ignore::xarray.SerializationWarning",  # several fill values, which are the subject of the test
    "ignore:PyDAP was unable to determine the DAP protocol:UserWarning",
)

STORED: Final[Mapping[str, tuple[list[float], str, dict[str, Any]]]] = {
    "single": ([1.5, -9999.9, 3], "f4", {"_FillValue": np.float32(-9999.9)}),
    "single_missing": ([0.1, 0.2], "f4", {"missing_value": np.float32(0.1)}),
    "wide": ([1, np.inf, 3], "f4", {"_FillValue": np.float64(1e300)}),
    "wide_missing": ([1, np.inf, 3], "f4", {"missing_value": np.array([1e300, 3.0])}),
    "infinite": ([1, np.inf, -np.inf], "f4", {"_FillValue": np.float32(np.inf)}),
    "infinite_missing": ([1, np.inf, 3], "f8", {"_FillValue": 3.0, "missing_value": np.inf}),
    "nan_missing": ([1, np.nan, 3], "f4", {"_FillValue": np.float32(np.nan), "missing_value": np.float32(np.nan)}),
    "half": ([1, 0.1, 3], "f2", {"_FillValue": np.float16(0.1)}),
    "negative": ([1, 65535, 3], "u2", {"_FillValue": np.int16(-1)}),
    "greater": ([0, 44, 3], "u1", {"_FillValue": np.int32(300)}),
    "unsigned": ([1, -1, 3], "i1", {"_Unsigned": "true", "_FillValue": np.int8(-1)}),
    "fraction": ([1, 2, 3], "i2", {"_FillValue": 2.5, "missing_value": 3.0}),
    "several": ([1, 2, 3], "i4", {"_FillValue": np.array([1, 3])}),
    "longest": ([1, 2**62, 3], "i8", {"_FillValue": np.int64(2**62)}),
    "text": ([1, 2, 3], "f4", {"_FillValue": "none"}),
}
"""Values, their type, and attributes that define missing values."""

TEXTS: Final[Mapping[str, str | list[str]]] = {
    "micro": "5 µm",
    "han": "中 😀",
    "quotes": 'say "so", it\'s',
    "markup": "a & b < c > d &amp; &#65;",
    "backslash": "C:\\new\\table\\302",
    "at_the_end": "C:\\",
    "blanks": "  padded  ",
    "only_blanks": "   ",
    "lines": "one\ntwo\tthree\rfour",
    "empty": "",
    "several": ["one", "two words", "µ"],
    "delicate": ["one", 'th"ree', "a&b<c", "C:\\"],
}
NUMBERS: Final[Mapping[str, Any]] = {
    "range": np.array([-np.inf, np.inf]),
    "nothing": np.nan,
    "single": np.float32(0.1),
    "singles": np.array([np.inf, -9999.9, np.nan], "f4"),
    "great": np.int64(2**53 + 1),
}
ATTRIBUTES: Final[Mapping[str, Any]] = {**TEXTS, **NUMBERS}


def make_stored(name: str) -> xr.Variable:
    """Return one of the variables as it is in the file."""
    values, kind, attrs = STORED[name]
    return xr.Variable(("n",), np.array(values, kind), attrs)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one file."""
    folder = tmp_path_factory.mktemp("wire")
    with h5py.File(folder / "wire.h5", "w") as file:
        for name in STORED:
            variable = make_stored(name)
            file[name] = variable.values
            file[name].attrs.update(variable.attrs)
        file["attributed"] = np.arange(3, dtype="i4")
        for owner in (file, file["attributed"], file.create_group("group")):
            owner.attrs.update(ATTRIBUTES)
        file["group/words"] = ["5 µm", "中 😀", 'say "so"', ""]
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", folder) as server:
        yield server


class Handler(BaseHTTPRequestHandler):
    """Sends the metadata of a dataset, in DAP2 and in DAP4."""

    dataset: ClassVar = xr.Dataset()

    def do_GET(self) -> None:
        """Answer."""
        adapted = dap2.adapt_dataset(self.dataset)
        answers = {
            "dds": lambda: dap2.render_dds(adapted, "d"),
            "das": lambda: dap2.render_das(adapted),
            "dmr": lambda: dap4.render_dmr(self.dataset, "d"),
        }
        content = answers[self.path.split("?")[0].split(".")[1]]().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — its name in the library
        """Say nothing."""


@pytest.fixture(scope="module")
def wire() -> Iterator[str]:
    """The URL of `Handler.dataset`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/d"
        server.shutdown()
        thread.join()


def download(url: str, path: Path) -> xr.Dataset:
    """Download a file that the server makes, decoded by xarray."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310 — a loopback server of ours
        path.write_bytes(answer.read())
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        return dataset.load()


def open_by_dap(name: str) -> Callable[[Server, Path], xr.Dataset]:
    """Open the file with one of xarray's engines."""
    return lambda server, _: OPENERS[name](server.dap("wire.h5/raw"))


def open_by_zarr(version: Literal[2, 3]) -> Callable[[Server, Path], xr.Dataset]:
    """Open the file as Zarr."""
    return lambda server, _: xr.open_zarr(f"{server.url}/zarr/wire.h5/raw", zarr_format=version, chunks=None)


def open_download(suffix: str) -> Callable[[Server, Path], xr.Dataset]:
    """Download the file in another format."""
    return lambda server, folder: download(f"{server.dap('wire.h5/raw')}{suffix}", folder / "file.nc")


WAYS: Final[Mapping[str, Callable[[Server, Path], xr.Dataset]]] = {
    **{name: open_by_dap(name) for name in OPENERS},
    "zarr2": open_by_zarr(2),
    "zarr3": open_by_zarr(3),
    "nc": open_download(".nc"),
    "nc4": open_download(".nc4"),
}


@pytest.mark.parametrize("way", WAYS)
def test_missing_values(way: str, server: Server, tmp_path: Path) -> None:
    """Over each protocol, and in each file, xarray masks exactly what it masks in the file itself."""
    found = WAYS[way](server, tmp_path)

    for name in STORED:
        expected = xr.decode_cf(xr.Dataset({name: make_stored(name)}))[name].values.astype("f8")
        np.testing.assert_array_equal(found[name].values.astype("f8"), expected, err_msg=name)


@pytest.mark.parametrize("way", ["zarr2", "zarr3"])
def test_writing_again(way: str, server: Server, tmp_path: Path) -> None:
    """A dataset that xarray opened by Zarr can be written to netCDF and to Zarr, and read again unchanged."""
    found = WAYS[way](server, tmp_path)[["nan_missing", "infinite", "single"]].load()
    found.to_netcdf(tmp_path / "again.nc")
    found.to_zarr(tmp_path / "again.zarr", consolidated=False)
    with xr.open_dataset(tmp_path / "again.nc") as file:
        xr.testing.assert_equal(file, found)

    xr.testing.assert_equal(xr.open_zarr(tmp_path / "again.zarr", chunks=None, consolidated=False), found)


def join_texts(value: object) -> object:
    """Join several texts as netCDF-C does over DAP2."""
    return "\n".join(value) if isinstance(value, list) else value


def is_same(found: object, expected: object) -> bool:
    """Check whether an attribute is the text, or equals the numbers."""
    if isinstance(expected, str | list):
        return found == expected
    return bool(np.array_equal(np.ravel(np.asarray(found, "f8")), np.ravel(np.asarray(expected, "f8")), equal_nan=True))


def read_all_attributes(ending: str, server: Server) -> Iterator[Mapping[str, Any]]:
    """Return the attributes of the dataset, a variable and a group, by netCDF4-python."""
    with netCDF4.Dataset(f"{server.dap('wire.h5/raw')}{ending}") as dataset:
        for owner in (dataset, dataset["attributed"], dataset.groups.get("group")):
            if owner is not None:
                yield {name: owner.getncattr(name) for name in owner.ncattrs()}


@pytest.mark.parametrize("ending", ["", "#dap4"])
def test_netcdf_reads_the_same_attributes(ending: str, server: Server) -> None:
    """netCDF-C reads each text and number as in the file; several texts are lines of one if necessary."""
    lines = {"delicate"} if ending else {"delicate", "several"}
    for attrs in read_all_attributes(ending, server):
        for name, value in ATTRIBUTES.items():
            exact = str(value) if name == "great" and not ending else value
            expected = join_texts(exact) if name in lines else exact
            blank = not ending and name in {"at_the_end", "delicate"}  # after a backslash that is the last character
            assert is_same(attrs[name], f"{expected} " if blank else expected), name


def test_pydap_reads_the_same_attributes(server: Server) -> None:
    """Pydap reads over DAP4 each text and number as it is; over DAP2 with backslashes before quotes and backslashes."""
    for protocol in ("dap4", "dap2"):
        attrs = open_url(server.dap("wire.h5/raw"), protocol=protocol)["attributed"].attributes
        for name, value in ATTRIBUTES.items():
            if protocol == "dap4":
                assert is_same(attrs[name], join_texts(value) if name == "delicate" else value), name
            elif name not in {"quotes", "backslash", "at_the_end", "delicate", "great"}:
                assert is_same(attrs[name], value), name


@pytest.mark.parametrize("opener", ["netcdf4-dap2", "netcdf4-dap4"])
def test_words_beyond_ascii(opener: str, server: Server) -> None:
    """In xarray, text beyond ASCII is text, and unchanged."""
    group, name = (None, "group_words") if opener.endswith("dap2") else ("group", "words")
    with OPENERS[opener](server.dap("wire.h5/raw"), group) as dataset:
        assert dataset[name].values.tolist() == ["5 µm", "中 😀", 'say "so"', ""]


@pytest.mark.parametrize(("protocol", "name"), [("dap2", "group_words"), ("dap4", "group/words")])
def test_words_that_pydap_cannot_read(protocol: str, name: str, server: Server) -> None:
    """pydap, which supports only ASCII in string data, fails for text beyond it, and returns no escapes as text."""
    with pytest.raises(UnicodeError, match="'ascii' codec can't"):
        open_url(server.dap("wire.h5/raw"), protocol=protocol)[name][:]


def test_getdap4_reads_delicate_texts(server: Server) -> None:
    """Libdap reads the texts that are in `value="…"` for netCDF-C, each once."""
    if shutil.which("getdap4") is None:
        skip_absent("getdap4 is not installed")
    dmr = run("getdap4", "-d", server.dap("wire.h5/raw"))

    for text in ("say &quot;so&quot;, it's", r"C:\new\table\302", "a&amp;b&lt;c"):
        assert dmr.count(f"<Value>{text}</Value>") == 3  # of the dataset, the variable and the group


XML_TEXT: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@settings(deadline=None)
@given(XML_TEXT, st.lists(XML_TEXT, min_size=2))
def test_pydap_reads_any_text_over_dap4(text: str, several: list[str]) -> None:
    """Pydap reads any text unchanged, and any texts as several or as lines."""
    read = dmr_to_dataset(dap4.render_dmr(xr.Dataset(attrs={"text": text, "several": several}), "d")).attributes

    assert read["text"] == text
    assert read["several"] in (several, "\n".join(several))


@pytest.mark.parametrize("ending", ["", "#dap4"])
@settings(QUICK, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(XML_TEXT), numbers=st.lists(st.floats(), min_size=2))
def test_netcdf_reads_any_attributes(texts: list[str], numbers: list[float], ending: str, wire: str) -> None:
    """netCDF-C reads any text and any numbers unchanged, except a blank after a backslash that is the last."""
    named = {f"text{number}": text for number, text in enumerate(texts)}
    Handler.dataset = xr.Dataset({"v": ((), np.int32(1))}, attrs={**named, "numbers": numbers})
    with netCDF4.Dataset(f"{wire}{ending}") as dataset:
        for name, text in named.items():
            blank = " " if text.endswith("\\") and not ending else ""
            assert dataset.getncattr(name) == text + blank
        np.testing.assert_array_equal(dataset.getncattr("numbers"), numbers)
