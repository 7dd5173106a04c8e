"""The DDS: which variables there are, of which types and shapes.

Every variable is a plain Array with named dimensions, or a scalar. A coordinate is an Array of its own that bears its
dimension's name: a Grid would say no more and costs clients extra requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shotdap.server.protocols.dap2.promotion import type_of
from shotdap.server.protocols.dap2.text import dataset_name

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["dds"]


def dds(dataset: xr.Dataset, name: str) -> str:
    """The DDS of an adapted dataset, narrowed or not, under the name of its file."""
    declarations = "".join(f"    {_declaration(str(key), dataset.variables[key])}\n" for key in dataset.variables)
    return f"Dataset {{\n{declarations}}} {dataset_name(name)};\n"


def _declaration(name: str, variable: xr.Variable) -> str:
    shape = "".join(f"[{dimension} = {size}]" for dimension, size in variable.sizes.items())
    return f"{type_of(variable)} {name}{shape};"
