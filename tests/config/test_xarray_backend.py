"""A local file is opened as the server would serve it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from shotdap.catalog import Missing
from shotdap.server.demo import SHOTS, make_image, write_image


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shot = next(shot for shot in SHOTS if any(stored.diagnostic == "ASBO1" for stored in shot.files))
    path = tmp_path_factory.mktemp("local") / "asbo1_s62328.hdf"
    write_image(path, make_image("ASBO1", shot), "HDF4")
    return path


def test_labelled(file: Path) -> None:
    """The engine returns the labelled dataset, and computes its difference for the slice."""
    with xr.open_dataset(file, engine="shotdap") as dataset:
        part = dataset.isel(y=slice(100, 200, 3), x=slice(7, 900))
        difference = part["image"].values.astype("f4") - part["background"].values.astype("f4")

        assert np.array_equal(part["background_subtracted"].values, difference)
        assert dataset.attrs["title"].startswith("ASBO")


def test_chunks(file: Path) -> None:
    """With chunks, it returns dask arrays."""
    with xr.open_dataset(file, engine="shotdap", chunks={}) as dataset:
        assert dataset["image"].chunks is not None


def test_raw(file: Path) -> None:
    """For the raw file, it returns the original names."""
    with xr.open_dataset(file, engine="shotdap", raw=True) as dataset:
        assert set(dataset.variables) == {"Streak_array", "Reference"}


def test_stored_numbers(tmp_path: Path) -> None:
    """Stored numbers are decoded, except for a raw file without ``mask_and_scale``."""
    path = tmp_path / "packed.h5"
    with h5py.File(path, "w") as image:
        image["v"] = np.array([0, 100, 65535], "u2")
        image["v"].attrs.update({"scale_factor": 0.5, "_FillValue": np.uint16(65535)})

    for raw in (False, True):
        with xr.open_dataset(path, engine="shotdap", raw=raw) as dataset:
            np.testing.assert_array_equal(dataset["v"].values, [0, 50, np.nan])
    with xr.open_dataset(path, engine="shotdap", raw=True, mask_and_scale=False) as dataset:
        assert dataset["v"].values.tolist() == [0, 100, 65535]


def test_missing(tmp_path: Path) -> None:
    """A missing file is an error of the file system."""
    with pytest.raises(Missing, match="missing"):
        xr.open_dataset(tmp_path / "none.hdf", engine="shotdap")
