"""Coordinates of groups: xarray never takes a parent's for a group's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shotdap.server.protocols.zarr import ZarrOptions, iter_store_entries

OUTER = {"x": (("x",), [1.0, 2.0])}
Arrays = Mapping[str, tuple[tuple[str, ...], Any]]


def write_zarr(folder: Path, arrays: Arrays) -> Path:
    """Write a dataset as the server's Zarr, into a new folder."""
    path = Path(mkdtemp(dir=folder))
    variables = {name: xr.Variable(dimensions, np.asarray(values)) for name, (dimensions, values) in arrays.items()}
    coordinates = {name: variable for name, variable in variables.items() if variable.dims == (name,)}
    dataset = xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        coords=xr.Coordinates(coordinates, indexes={}),
    )
    for key, encode in iter_store_entries(dataset, ZarrOptions()):
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(encode())
    return path


def check(path: Path, arrays: Arrays) -> None:
    """Check that `DataTree` shows each array's own values, or refuses as for the file; a group alone always opens."""
    for name, (_, values) in arrays.items():
        group, _, local = name.rpartition("/")
        with xr.open_zarr(path, group=group or None, chunks=None) as alone:
            np.testing.assert_array_equal(alone[local].values, values)
    try:
        tree = xr.open_datatree(path, engine="zarr", chunks=None)
    except ValueError as error:
        assert "not aligned with its parents" in str(error)  # noqa: PT017 — it may raise, and then so
        return
    with tree:
        for name, (_, values) in arrays.items():
            np.testing.assert_array_equal(tree[name].values, values)


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param({"g/x": (("g/x",), [4.0, 5.0, 6.0]), "g/image": (("g/x",), [7, 8, 9])}, id="another size"),
        pytest.param({"g/x": (("g/x",), [4.0, 5.0]), "g/image": (("g/x",), [7, 8])}, id="other values"),
        pytest.param({"g/x": ((), 4.0), "g/image": (("g/z",), [7, 8])}, id="a scalar"),
        pytest.param({"g/x": (("g/y",), [4.0, 5.0]), "g/image": (("g/y",), [7, 8])}, id="along another dimension"),
        pytest.param({"g/x": (("g/y",), [4.0, 5.0]), "g/image": (("x",), [7, 8])}, id="beside the outer dimension"),
        pytest.param({"g/h/x": (("g/h/x",), [4.0, 5.0]), "g/image": (("x",), [7, 8])}, id="two levels down"),
        pytest.param({"g/x": (("g/x",), [4.0]), "g/h/x": (("g/h/y",), [5.0, 6.0])}, id="three in a row"),
        pytest.param({"g/x": (("g/x",), [4.0, 5.0]), "g/image": (("x",), [7, 8])}, id="both in one group"),
    ],
)
def test_own_values(tmp_path: Path, inner: Arrays) -> None:
    """A group's own array is read with its own values, whatever the name of a coordinate around it."""
    check(write_zarr(tmp_path, {**OUTER, **inner}), {**OUTER, **inner})


def test_own_name(tmp_path: Path) -> None:
    """A dimension with a coordinate of its own group keeps its name, and is an index there."""
    arrays = {**OUTER, "g/x": (("g/x",), [4.0, 5.0, 6.0]), "g/image": (("g/x",), [7, 8, 9])}
    with xr.open_zarr(write_zarr(tmp_path, arrays), group="g", chunks=None) as group:
        assert group["image"].dims == ("x",)
        assert group["image"].sel(x=5.0).item() == 8


def test_no_coordinate_of_its_own(tmp_path: Path) -> None:
    """A dimension without a coordinate gets none of a group around it, and its new name is listed."""
    path = write_zarr(tmp_path, {**OUTER, "g/image": (("g/x",), [7, 8])})
    with xr.open_datatree(path, engine="zarr", chunks=None) as tree:
        assert tree["g/image"].dims == ("g_x",)
        assert "x" not in tree["g/image"].coords
        assert tree.attrs["renamed_dimensions"] == "g_x: g/x"


GROUPS = ("", "g/", "g/h/")


@st.composite
def trees(draw: st.DrawFn) -> Arrays:
    """Draw arrays named x and y in groups, along dimensions that are visible to their groups, as in netCDF-4."""
    sizes = {f"{group}{name}": draw(st.integers(1, 3)) for group in GROUPS for name in "xy"}
    arrays: dict[str, tuple[tuple[str, ...], Any]] = {}
    for depth, group in enumerate(GROUPS):
        for name in draw(st.sets(st.sampled_from(("x", "y", "image")))):
            around = [f"{each}{local}" for each in GROUPS[: depth + 1] for local in "xy"]
            dimension = draw(st.none() | st.sampled_from(around))
            own = f"{group}{name}"
            if name != "image" and draw(st.booleans()):
                dimension = own
            shape = () if dimension is None else (sizes[dimension],)
            values = np.arange(np.prod(shape, dtype=int)).reshape(shape) + 10.0 * len(arrays)
            arrays[own] = (() if dimension is None else (dimension,), values)
    others = {name for name, (dimensions, _) in arrays.items() if dimensions != (name,)}
    used = {dimension for dimensions, _ in arrays.values() for dimension in dimensions}
    seen = {
        (_get_group(name), _get_local_name(each)) for name, (dimensions, _) in arrays.items() for each in dimensions
    }
    scalars = {(_get_group(name), _get_local_name(name)) for name, (dimensions, _) in arrays.items() if not dimensions}
    # Readers never return an array with the name of another's dimension; xarray opens no scalar with such a name.
    return {} if others & used or scalars & seen else arrays


def _get_group(name: str) -> str:
    return name.rpartition("/")[0]


def _get_local_name(name: str) -> str:
    return name.rpartition("/")[2]


@given(trees())
@example({})
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree(tmp_path: Path, arrays: Arrays) -> None:
    """Each array of any tree of groups is read with its own values."""
    check(write_zarr(tmp_path, arrays), arrays)
