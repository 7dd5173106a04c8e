"""siphon, Unidata's client of THREDDS catalogs, walks the archive and opens its datasets."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np
import pytest
from tests import direct
from tests.serving import Server, serving

from shotdap.server import demo

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the modules that siphon imports
    from siphon.catalog import TDSCatalog

IMAGE: Final = "asbo1_s62328"
ACCESS: Final = {"opendap", "dap4", "httpserver"}


def walk_datasets(url: str) -> Iterator[Any]:
    """Yield every dataset with access, from a catalog on, following every reference."""
    catalog = TDSCatalog(url)
    yield from catalog.datasets.values()
    for reference in catalog.catalog_refs.values():
        yield from walk_datasets(reference.href)


@pytest.fixture(scope="module")
def datasets(demo: Server) -> list[Any]:
    return list(walk_datasets(f"{demo.url}/thredds/catalog.xml"))


def test_walk(datasets: list[Any]) -> None:
    """A walk finds every image that can be opened, with its three access methods, and no other."""
    names = [dataset.name for dataset in datasets]

    assert len(names) == sum(file.fault is None for shot in demo.SHOTS for file in shot.files)
    assert {"IAW_CCD-s112059", "ATS_CCD-s112059"}.isdisjoint(names)
    assert all({str(kind).lower() for kind in dataset.access_urls} == ACCESS for dataset in datasets)


def test_every_dataset_opens(datasets: list[Any]) -> None:
    """Every dataset that siphon found opens in xarray, by siphon's URL."""
    for dataset in datasets:
        with dataset.remote_access(use_xarray=True) as opened:
            assert opened.sizes, dataset.name


def test_right_numbers(datasets: list[Any], archive: Path) -> None:
    """A dataset that siphon opens has the numbers of the file."""
    (dataset,) = (dataset for dataset in datasets if dataset.name == IMAGE)
    expected = direct.read_frames(direct.find_stored(archive, "OMEGA", f"{IMAGE}.hdf"))["background_subtracted"][
        100:200:3, 7:9
    ]
    with dataset.remote_access(use_xarray=True) as opened:
        np.testing.assert_array_equal(opened["background_subtracted"][100:200:3, 7:9], expected)
    with dataset.remote_access() as opened:
        assert isinstance(opened, netCDF4.Dataset)
        np.testing.assert_array_equal(opened["background_subtracted"][100:200:3, 7:9], expected)


def test_download(datasets: list[Any], archive: Path, tmp_path: Path) -> None:
    """A file that siphon downloads equals the archived one."""
    (dataset,) = (dataset for dataset in datasets if dataset.name == IMAGE)
    dataset.download(tmp_path / "downloaded")

    stored = direct.find_stored(archive, "OMEGA", f"{IMAGE}.hdf")
    assert (tmp_path / "downloaded").read_bytes() == stored.read_bytes()


def test_long_level(tmp_path: Path) -> None:
    """A level of several catalogs is followed by siphon, which finds each image once."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(450):
        (folder / f"shot-{number}.h5").touch()
    with serving(tmp_path / "server.log", "--folder", folder) as server:
        names = [dataset.name for dataset in walk_datasets(f"{server.url}/thredds/catalog.xml")]

    assert sorted(names) == sorted(f"shot-{number}.h5" for number in range(450))
