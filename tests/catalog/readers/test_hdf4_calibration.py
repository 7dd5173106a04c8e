"""HDF4's own calibration of an array, which has CF's names and another formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyhdf.SD import SD, SDC

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.catalog.readers import read

STORED = np.array([[0, 100], [11225, -9999]], "i2")


def write_calibrated(path: Path, scale: float, offset: float, *, by_library: bool) -> None:
    """Write an array with a calibration by ``SDsetcal``, or with the writer's own attributes."""
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    array = file.create("temperature", SDC.INT16, STORED.shape)
    array[:] = STORED
    array.setfillvalue(-9999)
    if by_library:
        array.setcal(scale, 0.0, offset, 0.0, SDC.FLOAT32)
    else:
        array.attr("scale_factor").set(SDC.FLOAT64, scale)
        array.attr("add_offset").set(SDC.FLOAT64, offset)
    array.endaccess()
    file.end()


def test_calibration_of_the_library(tmp_path: Path) -> None:
    """A raw file states the calibration as every client understands it, and keeps what the library wrote."""
    write_calibrated(tmp_path / "image.hdf", 0.01, -15000.0, by_library=True)
    attributes = read(tmp_path / "image.hdf")["temperature"].attrs

    assert (attributes["scale_factor"], attributes["add_offset"]) == (0.01, 150)
    assert attributes["hdf4_add_offset"] == -15000
    assert attributes["_FillValue"] == -9999


def test_calibrated_image(tmp_path: Path) -> None:
    """An image has the numbers of the User's Guide's formula, and NaN where nothing was written."""
    write_calibrated(tmp_path / "image.hdf", 0.01, -15000.0, by_library=True)
    image = Catalog(DirectoryArchive(tmp_path), tmp_path).open("image.hdf")["temperature"]

    np.testing.assert_allclose(image.values, [[150.0, 151.0], [262.25, float("nan")]], rtol=1e-15)
    assert "scale_factor" not in image.attrs


def test_attributes_of_the_writer(tmp_path: Path) -> None:
    """Without the library's other three attributes, scale and offset are CF's."""
    write_calibrated(tmp_path / "image.hdf", 0.01, 150.0, by_library=False)
    image = Catalog(DirectoryArchive(tmp_path), tmp_path).open("image.hdf")["temperature"]

    np.testing.assert_allclose(image.values, [[150.0, 151.0], [262.25, float("nan")]], rtol=1e-15)
    assert "hdf4_add_offset" not in image.attrs
