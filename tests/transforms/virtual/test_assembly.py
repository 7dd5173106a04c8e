"""A dataset that is assembled is the one that xarray's own constructor makes."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from tests.strategies import QUICK, datasets

from shotdap.transforms.virtual.assembly import assemble_dataset


def construct_dataset(
    variables: Mapping[str, xr.Variable], coordinates: Container[str], attributes: Mapping[Any, Any]
) -> xr.Dataset:
    """Make the same dataset by the public constructor."""
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        coords=xr.Coordinates({name: variables[name] for name in variables if name in coordinates}, indexes={}),
        attrs=dict(attributes),
    )


def check_equal(assembled: xr.Dataset, constructed: xr.Dataset) -> None:
    assert list(assembled.variables) == list(constructed.variables)
    assert list(assembled.coords) == list(constructed.coords)
    assert assembled.sizes == constructed.sizes
    assert assembled.attrs == constructed.attrs
    assert assembled.encoding == constructed.encoding
    assert not assembled.xindexes
    assert not constructed.xindexes
    for name, variable in assembled.variables.items():
        other = constructed.variables[name]
        assert type(variable) is type(other)
        assert variable.encoding == other.encoding
        assert type(variable._data) is type(other._data)  # noqa: SLF001 — xarray has no public way to a lazy array
    xr.testing.assert_identical(assembled, constructed)


@QUICK
@given(datasets())
def test_assembled_dataset_is_that_of_the_public_constructor(dataset: xr.Dataset) -> None:
    variables = {str(name): variable for name, variable in dataset.variables.items()}
    copies = {name: variable.copy(deep=False) for name, variable in variables.items()}
    coordinates = set(map(str, dataset.coords))
    assembled = assemble_dataset(copies, coordinates, dataset.attrs)
    check_equal(assembled, construct_dataset(variables, coordinates, dataset.attrs))


def test_all_that_xarray_can_do_with_a_dataset_works() -> None:
    variables = {
        "y": xr.Variable(("y",), np.arange(4)),
        "image": xr.Variable(("y", "x"), np.arange(12).reshape(4, 3), {"units": "count"}),
        "time": xr.Variable((), 3.0),
    }
    copies = {name: variable.copy(deep=False) for name, variable in variables.items()}
    assembled, constructed = assemble_dataset(copies, {"time"}, {}), construct_dataset(variables, {"time", "y"}, {})
    check_equal(assembled, constructed)
    check_equal(assembled.copy(deep=True), constructed.copy(deep=True))
    check_equal(assembled.isel(y=slice(1, 3)), constructed.isel(y=slice(1, 3)))
    check_equal(assembled.assign(more=assembled["image"] + 1), constructed.assign(more=constructed["image"] + 1))
    check_equal(assembled.drop_vars("y").load(), constructed.drop_vars("y").load())
    assert assembled.set_xindex("y").sel(y=2).identical(constructed.set_xindex("y").sel(y=2))


def test_attributes_are_the_datasets_own() -> None:
    attributes = {"shot": 1}
    assemble_dataset({}, (), attributes).attrs["shot"] = 2
    assert attributes == {"shot": 1}


def test_dimension_with_two_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="conflicting sizes for dimension 'x'"):
        assemble_dataset({"a": xr.Variable(("x",), [1, 2]), "b": xr.Variable(("x",), [1])}, (), {})
