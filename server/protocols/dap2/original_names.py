"""The way back from DAP2: what a constraint left of an adapted dataset, under the names that the dataset itself has.

For answers that are files: a constraint speaks of ``DATA_SHOT_image``, but a netCDF-4 file can hold it as ``image`` in
its group, with its own type and attributes.
"""

from __future__ import annotations

import xarray as xr

from shotdap.server.protocols.dap2.text import make_safe_names


def restore_dataset(narrowed: xr.Dataset, dataset: xr.Dataset) -> xr.Dataset:
    """Undo `adapt_dataset` in what was narrowed; no value is read.

    Args:
        narrowed: what a constraint left of ``adapt(dataset)``. What a function made is kept as it is.
        dataset: the dataset itself.
    """
    adapted = make_safe_names(str(name) for name in (*dataset.variables, *dataset.dims))
    own = {safe: name for name, safe in adapted.items()}
    variables = {
        own.get(str(name), str(name)): _restore_variable(variable, own) for name, variable in narrowed.variables.items()
    }
    for name in variables.keys() & dataset.variables.keys():
        variables[name].attrs = dict(dataset.variables[name].attrs)
    coords = {own.get(str(name), str(name)) for name in narrowed.coords}
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coords},
        coords=xr.Coordinates({name: variables[name] for name in variables if name in coords}, indexes={}),
        attrs=dataset.attrs,
    )


def _restore_variable(variable: xr.Variable, own: dict[str, str]) -> xr.Variable:
    restored = variable.to_base_variable()  # a new object around the same lazy array
    restored.dims = tuple(own.get(str(dimension), str(dimension)) for dimension in variable.dims)
    restored.encoding = {}
    return restored
