"""Each family of the archive's files is labelled by its description: names, axes and units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cf_xarray as _registered  # noqa: F401 — it adds the accessor cf
import h5py
import numpy as np
import pint
import pytest
import xarray as xr
from pyhdf.SD import SD, SDC

from shotdap.catalog import Catalog, DirectoryArchive, Entry, Fact
from shotdap.config.descriptions import load_diagnostics

STACK = np.arange(2 * 6 * 8, dtype="u2").reshape(2, 6, 8)[:, ::-1]
FRAME = STACK[0]


def open_file(
    folder: Path,
    arrays: Mapping[str, Any],
    facts: Mapping[str, Fact],
    attributes: Mapping[str, Any] | None = None,
    *,
    raw: bool = False,
) -> xr.Dataset:
    """Open a file with these arrays and attributes through the catalog."""
    with h5py.File(folder / "image", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file.attrs.update(attributes or {})
    catalog = Catalog(DirectoryArchive(folder), folder, load_diagnostics())
    return catalog.image_from_entry(Entry("image", "image", facts), is_raw=raw).open()


TWO = {"image": FRAME, "background": STACK[1]}


@pytest.mark.parametrize(
    ("family", "arrays", "facts", "attributes", "expected"),
    [
        ("asbo", {"Streak_array": STACK, "Reference": FRAME}, {"diagnostic": "ASBO1"}, {}, {**TWO, "reference": FRAME}),
        ("asbo", {"Streak_array": STACK}, {}, {"Unit": "ASBO1 42/277/13"}, TWO),
        ("asbo", {"Streak_array": STACK}, {"name": "asbo1_s62328.hdf"}, {}, TWO),
        ("sop", {"Streak_array": STACK}, {}, {"Unit": "epSOP/589/203s04"}, TWO),
        ("p510", {"Streak_array": STACK}, {"name": "P510_2-s103741.h5"}, {}, TWO),
        ("p510_summary", {"SUMMARY_DATA_UV": FRAME}, {"diagnostic": "P510"}, {}, {"SUMMARY_DATA_UV": FRAME}),
        ("thomson", {"Streak_array": STACK}, {"diagnostic": "EPW_CCD"}, {}, TWO),
        ("thomson", {"Streak_array": STACK}, {"name": "IAW-s101675.hdf"}, {}, TWO),
        ("thomson", {"Streak_array": STACK}, {"diagnostic": "ATS_CCD"}, {}, TWO),
        ("ptd", {"Streak_array": STACK}, {"diagnostic": "PTD"}, {}, TWO),
        ("xrfc", {"Streak_array": STACK}, {"diagnostic": "XRFC3"}, {}, TWO),
        ("xrfc_film", {"pds_image": FRAME}, {}, {}, {"image": FRAME}),
        ("xrphc_cid", {"cid_foreground": FRAME, "cid_background": FRAME.astype("i4")}, {}, {}, {"image": FRAME}),
        ("image_plate", {"PSL_per_px": FRAME.astype("f4")}, {}, {}, {"image": FRAME}),
        ("sop_processed", {"Streak_array": FRAME.astype("f8")}, {"diagnostic": "SOP"}, {}, {"image": FRAME}),
        ("nif", {"DATA/SHOT/DATA": FRAME, "DATA/PRESHOT_01/DATA": STACK[1]}, {}, {}, TWO),
        ("calibration", {"fore": FRAME, "back": STACK[1]}, {}, {}, TWO),
        ("two_frames", {"Streak_array": STACK}, {"diagnostic": "TPDI"}, {}, TWO),
    ],
)
def test_family(
    tmp_path: Path,
    family: str,
    arrays: Mapping[str, Any],
    facts: Mapping[str, Fact],
    attributes: Mapping[str, Any],
    expected: Mapping[str, Any],
) -> None:
    """A file of each family is recognised by its row or by its content."""
    dataset = open_file(tmp_path, arrays, facts, attributes)

    assert dataset.attrs["history"].endswith(f"labelled as {family}")
    for name, values in expected.items():
        assert np.array_equal(dataset[name].values, values)
    if "background" in dataset:
        difference = dataset["image"].values.astype("f4") - dataset["background"].values.astype("f4")
        assert np.array_equal(dataset["background_subtracted"].values, difference)


@pytest.mark.parametrize(
    ("arrays", "facts", "attributes", "axis", "values", "units"),
    [
        (
            {"Streak_array": FRAME.astype("f8")},
            {"diagnostic": "SOP"},
            {"t0_of_first_px_in_ns": -2.0, "deltat_per_px_in_ns": 0.5},
            "time",
            -2 + 0.5 * np.arange(8),
            "ns",
        ),
        ({"PSL_per_px": FRAME}, {}, {"pixelSizeX": 25.0, "pixelSizeY": 50.0}, "distance_y", 50.0 * np.arange(6), "um"),
        (
            {"Streak_array": STACK},
            {"diagnostic": "XRFC1"},
            {"CCD_Binning": [2, 4]},
            "distance_x",
            18.0 * np.arange(8),
            "um",
        ),
        (
            {"Streak_array": STACK},
            {"diagnostic": "IAW"},
            {"CCD_PixelSize": [13.5, 13.5], "CCD_Binning": [2, 2]},
            "distance_x",
            27.0 * np.arange(8),
            "um",
        ),
    ],
)
def test_axis(
    tmp_path: Path,
    arrays: Mapping[str, Any],
    facts: Mapping[str, Fact],
    attributes: Mapping[str, Any],
    axis: str,
    values: Any,  # noqa: ANN401 — an array
    units: str,
) -> None:
    """An axis is computed from the file's attributes, and listed among the image's coordinates."""
    dataset = open_file(tmp_path, arrays, facts, attributes)

    assert np.array_equal(dataset[axis].values, values)
    assert dataset[axis].attrs["units"] == units
    assert axis in dataset["image"].attrs["coordinates"].split()


@pytest.mark.parametrize("attributes", [{}, {"pixelSizeX": "wide"}, {"pixelSizeX": np.nan}, {"pixelSizeX": 0.0}])
def test_axis_without_attributes(tmp_path: Path, attributes: Mapping[str, Any]) -> None:
    """An axis without attributes in the file is omitted, never guessed."""
    dataset = open_file(tmp_path, {"PSL_per_px": FRAME}, {}, attributes)

    assert "distance_x" not in dataset.variables


def test_conventions(tmp_path: Path) -> None:
    """The dataset has the attributes that CF and ACDD require, and the file's own."""
    facts: dict[str, Fact] = {"facility": "OMEGA", "shot": 62328, "diagnostic": "ASBO1", "name": "asbo1_s62328.hdf"}
    attributes_in_file = {
        "TimeStamp": "2011-May-19 16:35:01.9",
        "ImageDisplay": "Rotate180FlipX",
        "title": "mine",
        "SweepSpeed": 2,
    }
    attributes = open_file(tmp_path, {"Streak_array": STACK}, facts, attributes_in_file).attrs

    assert attributes["Conventions"] == "CF-1.11, ACDD-1.3"
    assert attributes["title"] == "ASBO, velocity interferometer (VISAR), streaked, OMEGA shot 62328"
    assert attributes["shot"] == 62328
    assert attributes["time_coverage_start"] == "2011-05-19T16:35:01.900"
    assert (attributes["display_rotation"], attributes["display_flip"]) == (180, "X")
    assert list(attributes["active_area_x"]) == [0, 1048]
    assert (attributes["file_title"], attributes["SweepSpeed"]) == ("mine", 2)
    assert attributes["TimeStamp"] == attributes_in_file["TimeStamp"]


def test_saturation(tmp_path: Path) -> None:
    """The 12-bit camera's image states the end of its range."""
    image = open_file(tmp_path, {"Streak_array": STACK}, {"diagnostic": "PTD"})["image"]

    assert image.attrs["saturation"] == 4095
    assert list(image.attrs["valid_range"]) == [0, 4095]


PACKED: dict[str, Any] = {
    "scale_factor": np.float64(0.5),
    "add_offset": np.float64(-10),
    "_FillValue": np.uint16(3),
    "units": "eV",
}


def open_packed(folder: Path, attributes: Mapping[str, Any], *, raw: bool = False) -> xr.Dataset:
    """Open a 12-bit camera's file whose two frames are in one array with these attributes."""
    with h5py.File(folder / "image", "w") as file:
        file["Streak_array"] = STACK
        file["Streak_array"].attrs.update(attributes)
    catalog = Catalog(DirectoryArchive(folder), folder, load_diagnostics())
    return catalog.image_from_entry(Entry("image", "image", {"diagnostic": "PTD"}), is_raw=raw).open()


def test_frames_of_a_packed_array(tmp_path: Path) -> None:
    """Each frame of a packed array has physical values in the array's units, and so do derived variables."""
    dataset = open_packed(tmp_path, PACKED)
    meant = np.where(STACK == 3, np.nan, STACK * 0.5 - 10)

    np.testing.assert_array_equal(dataset["image"].values, meant[0])
    np.testing.assert_array_equal(dataset["background"].values, meant[1])
    np.testing.assert_array_equal(dataset["background_subtracted"].values, (meant[0] - meant[1]).astype("f4"))
    assert dataset["image"].attrs["units"] == dataset["background_subtracted"].attrs["units"] == "eV"
    assert not PACKED.keys() & dataset.attrs.keys()
    assert not (PACKED.keys() - {"units"}) & dataset["image"].attrs.keys()


def test_counts_of_a_packed_array(tmp_path: Path) -> None:
    """Counts of a description, such as the saturation, are converted like the numbers of a packed array."""
    image = open_packed(tmp_path, {"scale_factor": 0.5, "add_offset": -10.0})["image"]

    assert image.attrs["saturation"] == 4095 * 0.5 - 10
    assert list(image.attrs["valid_range"]) == [-10, 4095 * 0.5 - 10]
    assert "units" not in image.attrs  # scaled values are no counts, and the file states no other unit


def test_unsigned_frames(tmp_path: Path) -> None:
    """Frames that netCDF-3 stores as signed numbers become the unsigned integers that the camera wrote."""
    with h5py.File(tmp_path / "image", "w") as file:
        file["Streak_array"] = np.full((2, 2, 2), 40000, "u2").view("i2")
        file["Streak_array"].attrs["_Unsigned"] = "true"
    dataset = Catalog(DirectoryArchive(tmp_path), tmp_path, load_diagnostics()).open("image")

    assert dataset["image"].dtype == np.uint16
    assert dataset["image"].values.max() == 40000
    assert dataset["image"].attrs["units"] == "count"


def test_raw_is_as_stored(tmp_path: Path) -> None:
    """The unmodified file has stored numbers, with all attributes that define their meaning."""
    raw = open_packed(tmp_path, PACKED, raw=True)["Streak_array"]

    assert np.array_equal(raw.values, STACK)
    assert raw.attrs == PACKED


def test_summary_dimensions(tmp_path: Path) -> None:
    """The summary's arrays share dimensions of the same meaning."""
    arrays = {
        "SUMMARY_DATA_UV": FRAME,
        "SUMMARY_DATA_TIME": np.arange(6.0),
        "DATA_CL1": FRAME,
        "SUMMARY_DATA_STDEV": FRAME,
    }
    dataset = open_file(tmp_path, arrays, {})

    assert dataset["SUMMARY_DATA_UV"].dims == dataset["SUMMARY_DATA_STDEV"].dims == ("time", "beam")
    assert dataset["SUMMARY_DATA_TIME"].dims == ("time",)
    assert dataset["DATA_CL1"].dims == ("pixel", "beam_of_cluster")


def test_scales(tmp_path: Path) -> None:
    """The scales of a film's dimensions become distances along it."""
    file = SD(str(tmp_path / "film.hdf"), SDC.WRITE | SDC.CREATE)
    array = file.create("pds_image", SDC.UINT16, FRAME.shape)
    array[:] = FRAME
    for axis, scale in enumerate((np.arange(6) * 25.0, np.arange(8) * 20.0)):
        array.dim(axis).setscale(SDC.FLOAT32, scale.tolist())
    array.endaccess()
    file.end()
    catalog = Catalog(DirectoryArchive(tmp_path), tmp_path, load_diagnostics())
    image = catalog.open("film.hdf")["image"]

    assert image.dims == ("y", "x")
    assert np.array_equal(image["distance_x"].values, np.arange(8) * 20.0)
    assert image.attrs["coordinates"] == "distance_y distance_x"


def test_raw(tmp_path: Path) -> None:
    """The unmodified file has its own names and shapes."""
    raw = open_file(tmp_path, {"Streak_array": STACK}, {"diagnostic": "ASBO1"}, {"Unit": "ASBO1"}, raw=True)

    assert np.array_equal(raw["Streak_array"].values, STACK)
    assert raw.attrs == {"Unit": "ASBO1"}


def test_raw_path(tmp_path: Path) -> None:
    """The labelled dataset names the path of the unmodified file."""
    open_file(tmp_path, {"Streak_array": STACK}, {})
    catalog = Catalog(DirectoryArchive(tmp_path), tmp_path, load_diagnostics())
    path = catalog.open("image").attrs["file_as_it_is"]

    assert path == "image/raw"
    assert list(catalog.open(path).variables) == ["Streak_array"]


def test_explanation(tmp_path: Path) -> None:
    """Each mismatch is explained, description by description."""
    open_file(tmp_path, {"Streak_array": STACK}, {})
    catalog = Catalog(DirectoryArchive(tmp_path), tmp_path, load_diagnostics())
    lines = list(catalog.explain_labelling(Entry("image", "image", {"diagnostic": "XRFC3"})))

    assert any(line.startswith("asbo: no, none of these holds: diagnostic like 'ASBO*'") for line in lines)
    assert any(line.startswith("image_plate: no, it has no array PSL_per_px") for line in lines)
    assert any(line.startswith("xrfc: this is it.") for line in lines)
    assert any("Left out" in line and "distance_x" in line for line in lines)


def test_units(tmp_path: Path) -> None:
    """Every unit of a description is known to pint."""
    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    rules = [rule.attributes for each in load_diagnostics() for rule in each.variables.values()]
    axes = [axis.attributes for each in load_diagnostics() for axis in each.axes]
    pixels = [open_file(tmp_path, {"Streak_array": STACK}, {})[name].attrs for name in ("y", "x")]
    units = {attributes["units"] for attributes in (*rules, *axes, *pixels) if "units" in attributes}

    assert units >= {"count", "pixel", "um", "ns", "ps", "TW"}
    assert all(registry.parse_units(unit) is not None for unit in units)


def test_cf_coordinates(tmp_path: Path) -> None:
    """A reader of CF finds an image's axes by the image's attributes."""
    attributes = {"CCD_PixelSize": [13.5, 13.5], "CCD_Binning": [2, 2]}
    dataset = open_file(tmp_path, {"Streak_array": STACK}, {"diagnostic": "IAW"}, attributes)
    image = xr.decode_cf(dataset.compute()).cf["image"]

    assert {"distance_y", "distance_x"} <= set(image.coords)
