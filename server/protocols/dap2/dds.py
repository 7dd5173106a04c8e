"""The DDS: which variables there are, of which types and shapes.

Every variable is a plain Array with named dimensions, or a scalar. A coordinate is an Array of its own that bears its
dimension's name: a Grid would say no more and costs clients extra requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shotdap.server.protocols.dap2.promotion import get_dap2_type
from shotdap.server.protocols.dap2.text import make_dataset_name

if TYPE_CHECKING:
    import xarray as xr


def render_dds(dataset: xr.Dataset, name: str) -> str:
    """The DDS of an adapted dataset, narrowed or not, under the name of its file."""
    declarations = "".join(
        f"    {_render_declaration(str(key), dataset.variables[key])}\n" for key in dataset.variables
    )
    return f"Dataset {{\n{declarations}}} {make_dataset_name(name)};\n"


def _render_declaration(name: str, variable: xr.Variable) -> str:
    shape = "".join(f"[{dimension} = {size}]" for dimension, size in variable.sizes.items())
    return f"{get_dap2_type(variable)} {name}{shape};"
