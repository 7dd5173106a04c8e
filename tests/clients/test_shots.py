"""Real clients open a whole shot, and stacks of shots."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pytest
import xarray as xr
from tests import direct
from tests.clients.programs import OPENERS
from tests.serving import Server, serving

SHOT: Final = "omega/62328"
GROUP: Final = "asbo1/asbo1_s62328"
PART: Final = (slice(100, 200, 3), slice(7, 330))
STACK: Final = "~stack-diagnostic-SOP-name-sop_s25386.hdf~background_subtracted"
FILES: Final = (("OMEGA EP", "sop_s25386.hdf"), ("OMEGA", "sop_s25386.hdf"))


@pytest.mark.parametrize(("engine", "ending"), [("netcdf4", "#dap4"), ("pydap", "?dap4.ce=/")])
def test_datatree(engine: str, ending: str, demo: Server, archive: Path) -> None:
    """``xr.open_datatree`` opens a shot as a tree, lazily: each image is a group, with the numbers of its file."""
    expected = direct.read_frames(direct.find_stored(archive, "OMEGA", "asbo1_s62328.hdf"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = xr.open_datatree(f"{demo.dap(SHOT)}{ending}", engine=engine)
    image = tree[GROUP].to_dataset()

    assert {"/asbo1/asbo1_s62328", "/asbo2/asbo2_s62328"} <= set(tree.groups)
    assert not image["background_subtracted"].variable._in_memory  # noqa: SLF001 — no public way to ask
    np.testing.assert_array_equal(image["background_subtracted"][PART].values, expected["background_subtracted"][PART])
    tree.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_stack(opener: str, demo: Server, archive: Path) -> None:
    """Xarray opens a stack by each engine and protocol, with the numbers of the files, one after the other."""
    expected = np.stack(
        [direct.read_frames(direct.find_stored(archive, *file))["background_subtracted"][PART] for file in FILES]
    )
    with OPENERS[opener](demo.dap(STACK)) as stack:
        found = stack["background_subtracted"][(slice(None), *PART)].values

    np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two images of other pixel sizes, two in other units, and one with the name of a folder."""
    folder = tmp_path_factory.mktemp("campaign")
    for number in (1, 2):
        write(folder / "sizes" / f"{number}.h5", number, "count")
        write(folder / "units" / f"{number}.h5", number, ("J", "eV")[number - 1])
    write(folder / "names" / "a.b", 1, "count")
    write(folder / "names" / "a_b" / "c", 2, "count", scale=False)
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", folder) as server:
        yield server


def write(path: Path, step: float, units: str, *, scale: bool = True) -> None:
    """Write an image of 2 × 3 pixels, whose columns have a constant step, if it has a scale."""
    path.parent.mkdir(exist_ok=True, parents=True)
    with h5py.File(path, "w") as file:
        image = file.create_dataset("image", data=np.full((2, 3), step, "u2"))
        image.attrs["units"] = units
        image.dims[1].label = "x"
        if scale:
            x = file.create_dataset("x", data=np.arange(3) * step)
            x.make_scale("x")
            image.dims[1].attach_scale(x)


def open_zarr(url: str) -> xr.Dataset:
    return xr.open_dataset(url.replace("/dap/", "/zarr/"), engine="zarr", zarr_format=3, chunks=None)


@pytest.mark.parametrize("opener", [*OPENERS, "zarr"])
def test_coordinates_that_differ(opener: str, campaign: Server) -> None:
    """In a stack, each client gets each image's own coordinate, as a coordinate of that image's pixels."""
    opened = open_zarr if opener == "zarr" else OPENERS[opener]
    with opened(campaign.dap("sizes/~stack")) as stack:
        assert stack["image"].sizes == {"shot": 2, "image_0": 2, "x_index": 3}
        assert stack["image"].values[:, 1, 2].tolist() == [1, 2]
        second = stack["image"].isel(shot=1)
        assert second.coords["x"].dims == ("x_index",)
        assert second.coords["x"].values.tolist() == [0, 2, 4]


@pytest.mark.parametrize("opener", OPENERS)
def test_units_that_differ(opener: str, campaign: Server) -> None:
    """No client opens a stack of images in other units, unless it omits them."""
    with pytest.raises(OSError), OPENERS[opener](campaign.dap("units/~stack")):  # noqa: PT011 — each client's own words
        pass
    with OPENERS[opener](campaign.dap("units/~stack-differing-omit")) as stack:
        assert "image" not in stack.variables
        assert "units: J in units/1.h5, eV in units/2.h5" in stack.attrs["left_out"]


@pytest.mark.parametrize(
    ("engine", "base", "ending", "options"),
    [
        ("netcdf4", "dap", "#dap4", {}),
        ("pydap", "dap", "?dap4.ce=/", {}),
        ("zarr", "zarr", "", {"zarr_format": 3, "chunks": None}),
    ],
)
def test_no_inherited_coordinates(
    engine: str, base: str, ending: str, options: dict[str, Any], campaign: Server
) -> None:
    """In a tree of images, none has a coordinate of another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = xr.open_datatree(f"{campaign.url}/{base}/names{ending}", engine=engine, **options)

    assert tree["a_b_2"].to_dataset()["image"].coords["x"].values.tolist() == [0, 1, 2]
    assert not tree["a_b/c"].to_dataset()["image"].coords
    tree.close()
