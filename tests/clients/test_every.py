"""Clients read one of everything: all types of numbers, texts, odd names and attributes, packed and empty arrays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import xarray as xr
from tests import samples
from tests.clients.programs import CLIENTS, OPENERS, VariablePart, run
from tests.serving import Server

DAP2: Final = ("netcdf4-dap2", "pydap-dap2")
DAP4: Final = ("netcdf4-dap4", "pydap-dap4")
PART: Final = (slice(0, 3, 2), slice(1, 5, 1))

# pydap shows DAP2's escapes of quotes, backslashes and non-ASCII unchanged.
ESCAPED_BY_PYDAP: Final = {"quotes", "backslash"}


@pytest.fixture(params=DAP2)
def dap2(request: pytest.FixtureRequest, every: Server) -> Any:  # noqa: ANN401 — a generator that mypy need not follow
    with OPENERS[request.param](every.dap("every.h5")) as dataset:
        yield dataset


@pytest.fixture(params=DAP4)
def dap4(request: pytest.FixtureRequest, every: Server) -> Any:  # noqa: ANN401
    """A function that opens a group, or the root if it has no name."""
    with ExitStack() as opened:
        yield lambda group=None: opened.enter_context(OPENERS[request.param](every.dap("every.h5"), group=group))


@pytest.mark.parametrize("kind", samples.HDF5_TYPES)
def test_numbers_over_dap2(kind: str, dap2: xr.Dataset) -> None:
    """DAP2 carries every type of number by value, whole and strided; those of 64 bits as the nearest Float64."""
    expected = samples.make_extremes(kind)
    found = dap2[f"numbers_{samples.name_array(kind)}"]

    assert np.can_cast(expected.dtype, found.dtype, "same_kind")
    np.testing.assert_array_equal(found, expected.astype(found.dtype))
    np.testing.assert_array_equal(found[PART], expected[PART].astype(found.dtype))
    assert expected.dtype.itemsize == 8 or np.array_equal(found.values, expected, equal_nan=True)


def test_numbers_over_dap4(dap4: Callable[[str], xr.Dataset]) -> None:
    """DAP4 carries every type of number unchanged, including its type, whole and strided."""
    dataset = dap4("numbers")

    for kind in samples.HDF5_TYPES:
        found, expected = dataset[samples.name_array(kind)], samples.make_extremes(kind)
        assert found.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[PART], expected[PART])
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("opener", OPENERS)
def test_numbers_of_hdf4(opener: str, every: Server) -> None:
    """Every type of number of an HDF4 file arrives by value, whole and strided."""
    with OPENERS[opener](every.dap("every.hdf")) as dataset:
        for kind in samples.HDF4_TYPES:
            np.testing.assert_array_equal(dataset[kind][PART], samples.make_extremes(kind)[PART])
            np.testing.assert_array_equal(dataset[kind], samples.make_extremes(kind))


def test_scalars_over_dap2(dap2: xr.Dataset) -> None:
    """A scalar number arrives as one, also a byte."""
    assert (int(dap2["number_alone"]), int(dap2["byte_alone"])) == (-7, 200)


def test_scalars_over_dap4(dap4: Callable[..., xr.Dataset]) -> None:
    """A scalar number arrives as one, in its type."""
    assert (int(dap4()["number_alone"]), int(dap4()["byte_alone"])) == (-7, 200)
    assert dap4()["byte_alone"].dtype == np.uint8


def test_texts_over_dap2(dap2: xr.Dataset) -> None:
    """Texts arrive entire, also those of more than the 64 characters that netCDF-C assumes by default."""
    assert convert_to_texts(dap2["text_fixed"]) == ["one", "three", ""]
    assert convert_to_texts(dap2["text_varying"]) == ["short", "x" * 100, 'quoted "so"']
    assert convert_to_texts(dap2["text_alone"]) == ["a scalar"]


def test_texts_over_dap4(dap4: Callable[[str], xr.Dataset]) -> None:
    """Texts of a group arrive entire."""
    assert convert_to_texts(dap4("text")["fixed"]) == ["one", "three", ""]
    assert convert_to_texts(dap4("text")["varying"]) == ["short", "x" * 100, 'quoted "so"']
    assert convert_to_texts(dap4("text")["alone"]) == ["a scalar"]


def convert_to_texts(found: xr.DataArray) -> list[str]:
    """Return texts, in any form that a client gives them."""
    return [item.decode() if isinstance(item, bytes) else str(item) for item in np.asarray(found.values).flat]


def test_names_over_dap2(dap2: xr.Dataset) -> None:
    """Arrays whose names are no identifiers stay separate, even two whose safe names would be equal."""
    named = [dap2[name] for name in dap2.variables if str(name).startswith("names_")]

    assert sorted(int(array) for array in named) == list(range(len(samples.ODD_NAMES)))


def test_names_over_dap4(dap4: Callable[[str], xr.Dataset]) -> None:
    """The original of a changed name is kept in an attribute."""
    dataset = dap4("names")
    found = {
        str(array.attrs.get("original_name", f"names/{name}")): int(array) for name, array in dataset.variables.items()
    }

    assert found == {f"names/{name}": number for number, name in enumerate(samples.ODD_NAMES)}


def test_attributes_over_dap2(dap2: xr.Dataset, request: pytest.FixtureRequest) -> None:
    """Attributes arrive with their values, including infinite ones, flags, quotes and backslashes."""
    by_pydap = "pydap" in request.node.name
    for name, value in samples.ATTRIBUTES.items():
        if not (by_pydap and name in ESCAPED_BY_PYDAP):
            assert is_same(dap2["attributed"].attrs[name], value), name


def test_attributes_over_dap4(dap4: Callable[..., xr.Dataset], request: pytest.FixtureRequest) -> None:
    """Attributes arrive with their values, including infinite ones, flags, quotes and backslashes."""
    by_netcdf_c = "netcdf4" in request.node.name  # it reads a Float32 0.1 as 0.09999998, and infinity as nan
    for name, value in samples.ATTRIBUTES.items():
        if not (by_netcdf_c and getattr(value, "dtype", None) == np.float32):
            assert is_same(dap4()["attributed"].attrs[name], value), name


def is_same(found: object, expected: object) -> bool:
    """Check whether an attribute is the expected one; netCDF-C joins several texts of DAP2 by line feeds."""
    if isinstance(expected, str):
        return found == expected
    if isinstance(expected, list):
        return found in (expected, "\n".join(expected))
    return np.array_equal(np.float32(found), np.float32(expected), equal_nan=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("name", ["every.h5", "every.hdf"])
def test_packed(name: str, opener: str, every: Server) -> None:
    """Packed values are decoded by their scale, offset and fill value, although DAP2 changes their type."""
    with OPENERS[opener](every.dap(name)) as dataset:
        # netCDF-C reads attributes of DAP4 with only six digits
        np.testing.assert_allclose(dataset["packed"], samples.UNPACKED, rtol=3e-7)


def test_packed_in_octave(every: Server, require: Callable[[str], None], tmp_path: Path) -> None:
    """Octave, and so MATLAB, decodes unsigned numbers correctly."""
    require("octave-cli")
    (found,) = CLIENTS["octave"].fetch(every.dap("every.h5"), [VariablePart("packed")], tmp_path)

    np.testing.assert_array_equal(found, samples.UNPACKED)


def test_empty_arrays(dap4: Callable[[str], xr.Dataset]) -> None:
    """An array without elements has none over DAP4."""
    assert dap4("nothing")["empty"].values.shape == (0, 4)


def test_omitted(dap2: xr.Dataset) -> None:
    """Objects that no client could read are omitted and listed, and the others are there."""
    assert "nothing_empty" not in dap2.variables
    assert "nothing/empty" in dap2.attrs["dap2_left_out"]
    assert "nothing/null" in dap2.attrs["omitted"]


@pytest.mark.parametrize("ending", ["", "#dap4"])
@pytest.mark.parametrize("name", ["every.h5", "every.hdf"])
def test_ncdump_dumps_all(name: str, ending: str, every: Server, require: Callable[[str], None]) -> None:
    """Ncdump prints a whole file with one of everything, over either protocol, decoded or as stored."""
    require("ncdump")
    for path, packed in ((name, "20010, 32777, NaNf ;"), (f"{name}/raw", "40000, 65534, _ ;")):
        printed = run("ncdump", f"{every.dap(path)}{ending}")

        assert printed.rstrip().endswith("}")
        assert packed in printed


def test_getdap_dumps_all(every: Server, require: Callable[[str], None]) -> None:
    """Getdap prints a whole file with one of everything; it exits with 0 on errors, so look for the last value."""
    require("getdap")

    assert '"quoted \\"so\\""' in run("getdap", "-D", "-c", "", every.dap("every.h5"))


def test_octave_lists_all(every: Server, require: Callable[[str], None], tmp_path: Path) -> None:
    """Octave's ncinfo lists the content of a file with one of everything."""
    require("octave-cli")
    script = tmp_path / "script.m"
    script.write_text(f"pkg load netcdf\ni = ncinfo('{every.dap('every.h5')}'); disp({{i.Variables.Name}})\n")

    assert "numbers_big_u4" in run("octave-cli", "-qf", str(script))
