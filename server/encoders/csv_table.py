"""CSV: lineouts, each a column beside its coordinates, under lines that say what they are.

Lines that begin with ``#`` are comments: first the attributes of the dataset, then those of each column, as
``# column.attribute: value``, every value in JSON. The first line without ``#`` has the columns' names. Numbers are
written in the fewest digits that give them back as float64, NaN and infinities as ``NaN``, ``Infinity`` and
``-Infinity``; text stands in quotes (RFC 4180), and true is 1. Lines end with a line feed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.blocks import wrap_bytes
from shotdap.server.encoders.json_values import convert_to_json, dump_json
from shotdap.server.encoders.netcdf.rules import is_text, normalize_text
from shotdap.server.protocols.float_text import format_float
from shotdap.transforms import BadSelection

_MAX_ROWS: Final = 1 << 20  # rows: as many as a spreadsheet opens


def encode(dataset: xr.Dataset) -> EncodedFile:
    """The dataset's lineouts as a CSV file; see `Encoder`."""
    columns = _select_columns(dataset)
    rows = [map(_quote_cell, columns), *zip(*map(_format_cells, columns.items()), strict=True)]
    table = "".join(f"{','.join(row)}\n" for row in rows)
    return wrap_bytes("".join(f"# {line}\n" for line in _format_comments(dataset, columns)).encode(), table.encode())


def _select_columns(dataset: xr.Dataset) -> dict[str, xr.Variable]:
    """The variables along the one dimension, coordinates first; those without any are said above the table."""
    wanted = {str(name): dataset.variables[name] for name in (*dataset.coords, *dataset.data_vars)}
    columns = {name: variable for name, variable in wanted.items() if variable.ndim}
    dimensions = {variable.dims for variable in columns.values()}
    if len(dimensions) != 1 or any(variable.ndim != 1 for variable in columns.values()):
        said = "; ".join(f"{name}: {', '.join(map(str, each.dims))}" for name, each in columns.items())
        raise BadSelection(
            "CSV holds variables along one and the same dimension, such as lineouts. Here"
            f" {f'are {said}' if said else 'is none'}. Ask for one row or column of an image, or for its row_mean, or"
            " for json or npz."
        )
    if (rows := next(iter(columns.values())).size) > _MAX_ROWS:
        raise BadSelection(
            f"These are {rows:,} rows, and a CSV file here has {_MAX_ROWS:,} at most. Ask for npz or nc4."
        )
    return columns


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


def _format_comments(dataset: xr.Dataset, columns: Mapping[str, xr.Variable]) -> Iterator[str]:
    for name, value in dataset.attrs.items():
        yield f"{name}: {_format_json(value)}"
    for name, variable in dataset.variables.items():
        if str(name) not in columns:
            yield f"{name}: {_format_json(np.asarray(variable.values))}"
        for attribute, value in variable.attrs.items():
            yield f"{name}.{attribute}: {_format_json(value)}"


def _format_json(value: object) -> str:
    return dump_json(convert_to_json(value)).decode()
