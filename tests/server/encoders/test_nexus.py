"""HDF5 files with the layout of NeXus: numbers as h5py reads them, plots as NeXus's own library finds them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import nexusformat.nexus as nx
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from tests.contracts.encoder import ExactContract, make_dataset

from shotdap.catalog.collections.shot_tree import combine_as_groups
from shotdap.server.encoders import nexus

Array = NDArray[Any]


def convert_attributes(attributes: Any) -> dict[str, Any]:  # noqa: ANN401 — h5py has no types
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in ((name, attributes[name]) for name in attributes)
    }


def load_tree(path: Path) -> Any:  # noqa: ANN401 — nexusformat has no types either
    """Load the tree with NeXus's own library."""
    return nx.nxload(path)


def open_hdf5(whole: bytes) -> Any:  # noqa: ANN401 — h5py has no types
    """Open the file with h5py; the caller closes it."""
    return h5py.File(io.BytesIO(whole))


def encode(dataset: xr.Dataset) -> bytes:
    return b"".join(map(bytes, nexus.encode(dataset).blocks))


class TestNexus(ExactContract):
    name = "h5"

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        def read(whole: bytes) -> Array:
            with open_hdf5(whole) as file:
                entry = file["entry"]
                return np.asarray((entry["result"] if "result" in entry else entry["values"])["result"][()])

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            with open_hdf5(whole) as file:
                return convert_attributes(file["entry"].attrs) | convert_attributes(file["entry/result/result"].attrs)

        return read


def make_shot() -> xr.Dataset:
    """Return two images as the groups of a shot."""
    first, second = (make_dataset(np.arange(12.0).reshape(3, 4) + n).rename(result="image") for n in (0, 100))
    second.attrs["title"] = "P510"
    return combine_as_groups({"asbo1/asbo1_s1": first, "p510_2/p510_s1": second}, {"shot": 1})


def test_default_plot(tmp_path: Path) -> None:
    """NeXus's own library finds the image, its axes and their units by the attributes alone."""
    path = tmp_path / "image.h5"
    dataset = make_dataset(np.arange(12, dtype="u2").reshape(3, 4))
    path.write_bytes(encode(dataset.assign(lineout=("x", np.arange(4.0)), background=dataset["result"] * 0)))
    plot = load_tree(path).get_default()

    assert plot.nxpath == "/entry/result"
    assert plot.nxsignal.nxdata.tolist() == dataset["result"].values.tolist()
    assert [axis.nxname for axis in plot.nxaxes] == ["y", "x"]
    assert [axis.attrs["units"] for axis in plot.nxaxes] == ["mm", "mm"]
    assert plot.nxaxes[1].nxdata.tolist() == [3, 3.5, 4, 4.5]


def test_entries_of_a_shot(tmp_path: Path) -> None:
    """Each group of a shot is an entry that names the image, with its own attributes and its own default plot."""
    path = tmp_path / "shot.h5"
    path.write_bytes(encode(make_shot()))
    root = load_tree(path)
    entries = {entry.attrs["group"]: entry for entry in root.NXentry}

    assert list(entries) == ["asbo1/asbo1_s1", "p510_2/p510_s1"]
    assert root.get_default().nxpath == "/asbo1_asbo1_s1/image"
    assert root["p510_2_p510_s1"].get_default().nxsignal.nxdata[0, 0] == 100
    assert (root.attrs["shot"], entries["p510_2/p510_s1"].attrs["title"]) == (1, "P510")


def test_structure() -> None:
    """The file has NeXus's classes; a coordinate is stored once, for any number of plots."""
    dataset = make_dataset(np.ones((3, 4))).assign(
        other=(("y", "x"), np.zeros((3, 4))), gain=((), 2.5), word=((), "µm")
    )
    dataset = dataset.assign_coords(time=("x", np.arange(4.0) ** 2, {"units": "ns"}))
    dataset.attrs |= {"time_coverage_start": "2011-05-19T10:41:07", "instrument": "ROSS"}
    with open_hdf5(encode(dataset)) as file:
        entry = file["entry"]
        classes = {name: group.attrs["NX_class"].decode() for name, group in entry.items() if "NX_class" in group.attrs}

        assert (file.attrs["NX_class"], entry.attrs["NX_class"]) == (b"NXroot", b"NXentry")
        assert classes == {
            "result": "NXdata", "other": "NXdata", "values": "NXcollection", "instrument": "NXinstrument",
        }  # fmt: skip
        assert (entry["values/gain"][()], entry["values/word"].asstr()[()]) == (2.5, "µm")
        assert entry["start_time"].asstr()[()] == "2011-05-19T10:41:07"
        assert entry["instrument/name"].asstr()[()] == "ROSS"
        assert entry["result/x"] == entry["other/x"]
        assert entry["result"].attrs["time_indices"] == 1
        assert list(entry["result"].attrs["axes"]) == ["y", "x"]


def test_no_image() -> None:
    """Without an image, a lineout is the default; without anything to plot, the file has no default."""
    with open_hdf5(encode(xr.Dataset({"lineout": ("x", np.arange(3.0))}))) as file:
        assert (file.attrs["default"], file["entry"].attrs["default"]) == ("entry", "lineout")
        assert list(file["entry/lineout"].attrs["axes"]) == ["."]
    with open_hdf5(encode(xr.Dataset(attrs={"shot": 1}))) as file:
        assert "default" not in file.attrs
        assert file["entry"].attrs["shot"] == 1


def test_omitted_and_empty_variables() -> None:
    """A variable of complex numbers is omitted and listed in the file; an empty one keeps its shape."""
    dataset = xr.Dataset({"z": ("n", np.zeros(2, "c8")), "v": (("n0", "m"), np.empty((0, 4), "f4"))})
    with open_hdf5(encode(dataset)) as file:
        assert file.attrs["left_out"] == b"z"
        assert file["entry/v/v"].shape == (0, 4)


def test_names_in_conflict() -> None:
    """A variable with the name of a NeXus field is renamed; attributes of another NeXus file get other names."""
    dataset = make_dataset(np.ones((3, 4))).rename(result="title")
    dataset.attrs |= {"default": "old", "title": "ASBO"}
    with open_hdf5(encode(dataset)) as file:
        entry = file["entry"]

        assert (entry.attrs["default"], entry.attrs["default_"]) == ("title_2", b"old")
        assert entry["title_2/title"].shape == (3, 4)
        assert entry["title"].asstr()[()] == "ASBO"
