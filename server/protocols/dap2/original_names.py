"""The inverse of `adaptation`: the result of a constraint under the original names of the dataset.

For responses that are files: a constraint selects ``DATA_SHOT_image``, but a netCDF-4 file contains it as ``image`` in
its group, with its own type and attributes.
"""

from __future__ import annotations

import xarray as xr

from shotdap.server.protocols.dap2.text import make_safe_names
from shotdap.transforms.virtual.assembly import assemble_dataset


def restore_dataset(narrowed: xr.Dataset, dataset: xr.Dataset) -> xr.Dataset:
    """Undo `adapt_dataset` in a narrowed dataset; no value is read.

    Args:
        narrowed: the result of a constraint on ``adapt_dataset(dataset)``. Results of functions stay as they are.
        dataset: the dataset itself.
    """
    adapted = make_safe_names(str(name) for name in (*dataset.variables, *dataset.dims))
    own = {safe: name for name, safe in adapted.items()}
    variables: dict[str, xr.Variable] = {}
    for safe, variable in narrowed.variables.items():
        restored = variable.to_base_variable()  # a new object around the same lazy array
        restored.dims = tuple(own.get(str(dimension), str(dimension)) for dimension in variable.dims)
        restored.encoding = {}
        name = own.get(str(safe), str(safe))
        if name in dataset.variables:
            restored.attrs = dict(dataset.variables[name].attrs)
        variables[name] = restored
    coords = {own.get(str(name), str(name)) for name in narrowed.coords}
    return assemble_dataset(variables, coords, dataset.attrs)
