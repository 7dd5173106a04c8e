"""CSV: lineouts and their coordinates as columns, below comments that describe them.

Lines that begin with ``#`` are comments: first the attributes of the dataset, then those of each column, as
``# column.attribute: value``, every value in JSON. The first line without ``#`` contains the names of the columns.
Numbers have the fewest digits that float64 needs; NaN and infinities are ``NaN``, ``Infinity`` and ``-Infinity``; text
is in quotes (RFC 4180), and true is 1. Lines end with a line feed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_bytes
from shotdap.server.encoders.json_values import convert_to_json, dump_json
from shotdap.server.encoders.netcdf.rules import is_text, normalize_text
from shotdap.server.protocols.float_text import format_float
from shotdap.transforms import BadSelection

_MAX_ROWS: Final = 1 << 20  # the limit of a spreadsheet


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode lineouts as a CSV file; see `Encoder`."""
    variables = {str(name): dataset.variables[name] for name in (*dataset.coords, *dataset.data_vars)}
    columns = {name: variable for name, variable in variables.items() if variable.ndim}  # scalars are comments
    dimensions = {variable.dims for variable in columns.values()}
    if len(dimensions) != 1 or any(variable.ndim != 1 for variable in columns.values()):
        shapes = "; ".join(f"{name}: {', '.join(map(str, each.dims))}" for name, each in columns.items())
        raise BadSelection(
            "CSV holds variables along one and the same dimension, such as lineouts. Here"
            f" {f'are {shapes}' if shapes else 'is none'}. Ask for one row or column of an image, or for its row_mean,"
            " or for json or npz."
        )
    if (count := next(iter(columns.values())).size) > _MAX_ROWS:
        raise BadSelection(
            f"These are {count:,} rows, and a CSV file here has {_MAX_ROWS:,} at most. Ask for npz or nc4."
        )
    comments = [f"# {name}: {_format_json(value)}\n" for name, value in dataset.attrs.items()]
    for name, variable in dataset.variables.items():
        if str(name) not in columns:
            comments.append(f"# {name}: {_format_json(np.asarray(variable.values))}\n")
        for attribute, value in variable.attrs.items():
            comments.append(f"# {name}.{attribute}: {_format_json(value)}\n")
    rows = [map(_quote_cell, columns), *zip(*map(_format_cells, columns.items()), strict=True)]
    return wrap_bytes("".join(comments).encode(), "".join(f"{','.join(row)}\n" for row in rows).encode())


def _format_cells(column: tuple[str, xr.Variable]) -> Iterable[str]:
    name, variable = column
    values = np.asarray(variable.values)
    if is_text(values.dtype):
        return map(_quote_cell, map(normalize_text, values.tolist()))
    if values.dtype.kind in "mM":
        return map(_quote_cell, map(str, np.where(np.isnat(values), "", values.astype(str))))
    if values.dtype.kind not in "biuf":
        raise BadSelection(f"{name} is of the type {values.dtype}, which CSV cannot hold; ask for npz or json.")
    if values.dtype.kind == "f":
        return map(format_float, values.tolist())
    return map(str, map(int, values.tolist()))


def _quote_cell(cell: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


def _format_json(value: object) -> str:
    return dump_json(convert_to_json(value)).decode()
