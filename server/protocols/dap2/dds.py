"""The DDS: the types and shapes of variables.

Every variable is a plain Array with named dimensions, or a scalar. A coordinate is an Array with the name of its
dimension: a Grid contains no more information and costs clients extra requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shotdap.server.protocols.dap2.promotion import get_dap2_type
from shotdap.server.protocols.dap2.text import make_dataset_name

if TYPE_CHECKING:
    import xarray as xr


def render_dds(dataset: xr.Dataset, name: str) -> str:
    """Render the DDS of an adapted dataset, narrowed or not, under the name of its file."""
    declarations: list[str] = []
    for key, variable in dataset.variables.items():
        shape = "".join(f"[{dimension} = {size}]" for dimension, size in variable.sizes.items())
        declarations.append(f"    {get_dap2_type(variable)} {key}{shape};\n")
    return f"Dataset {{\n{''.join(declarations)}}} {make_dataset_name(name)};\n"
