"""What the pages about one image show of it, and what the form on them asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final
from urllib.parse import parse_qsl

import numpy as np
import xarray as xr

from shotdap.server.protocols import dap2
from shotdap.server.protocols.dap2.promotion import WIRE_DTYPES, get_dap2_type

__all__ = ["DatasetView", "build_dataset_view", "is_form_query", "parse_form_query"]

_MAX_VALUES: Final = 16  # values of an attribute
_PREVIEW_SIZE: Final = 24  # pixels along the longer side of a preview


@dataclass(frozen=True)
class DimensionView:
    """One dimension of a variable."""

    name: str
    size: int
    index: str
    """What is asked of it; empty for all of it."""

    @property
    def full_range(self) -> str:
        """All of it, as an index."""
        return f"0:1:{self.size - 1}"


@dataclass(frozen=True)
class VariableView:
    """One variable."""

    name: str
    kind: str
    """Its DAP2 type."""
    width: int
    """Bytes of one value, as it is sent; 0 where that depends on the value."""
    dimensions: tuple[DimensionView, ...]
    attributes: tuple[tuple[str, str], ...]
    is_selected: bool

    @property
    def declaration(self) -> str:
        """As the DDS has it."""
        return f"{self.kind} {self.name}{''.join(f'[{each.name} = {each.size}]' for each in self.dimensions)}"

    @property
    def preview(self) -> str:
        """A constraint that gives a coarse picture in numbers."""
        longest = max((dimension.size for dimension in self.dimensions), default=0)
        n = -(-longest // _PREVIEW_SIZE)
        return f"bin({self.name},{n})" if n > 1 and self.kind != "String" else self.name

    def __getitem__(self, name: str) -> str:
        """An attribute's value; empty where there is none."""
        return dict(self.attributes).get(name, "")


@dataclass(frozen=True)
class DatasetView:
    """One image, and what is asked of it."""

    variables: tuple[VariableView, ...]
    attributes: tuple[tuple[str, str], ...]
    calls: str
    filters: str


def build_dataset_view(adapted: xr.Dataset, constraint: dap2.Constraint) -> DatasetView:
    """An adapted dataset, and a constraint that fits it, for people; no pixel is read."""
    pieces = {name: dap2.Projection(name, slab) for name, slab in constraint.selection.hyperslabs.items()}
    return DatasetView(
        tuple(_build_variable_view(str(name), each, pieces.get(str(name))) for name, each in adapted.variables.items()),
        _format_attributes(adapted.attrs),
        ",".join(map(str, constraint.calls)),
        "&".join(map(str, constraint.filters)),
    )


def _build_variable_view(name: str, variable: xr.Variable, piece: dap2.Projection | None) -> VariableView:
    indices: Sequence[str] = (piece.index_texts if piece else ()) or [""] * variable.ndim
    kind = get_dap2_type(variable)
    return VariableView(
        name,
        kind,
        WIRE_DTYPES[kind].itemsize if kind in WIRE_DTYPES else 0,
        tuple(
            DimensionView(str(dimension), size, index)
            for (dimension, size), index in zip(variable.sizes.items(), indices, strict=True)
        ),
        _format_attributes(variable.attrs),
        piece is not None,
    )


def _format_attributes(attrs: Mapping[object, object]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), _format_value(value)) for name, value in attrs.items())


def _format_value(value: object) -> str:
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
    flat = np.ravel(np.asarray(value, dtype=object if isinstance(value, list) else None))
    rest = f", … {flat.size} in all" if flat.size > _MAX_VALUES else ""
    return ", ".join(str(each) for each in flat[:_MAX_VALUES]) + rest


def is_form_query(query: str) -> bool:
    """Whether a query was sent by the form, rather than a constraint to show in it."""
    return "answer=." in query


def parse_form_query(query: str, adapted: xr.Dataset) -> tuple[str, str]:
    """The answer and the constraint that the form asks for where no script does.

    The form's fields are ``v`` for each variable, ``i.<variable>`` for each of its dimensions, ``calls``, ``filters``
    and, of the button, ``answer``. What they make may be no constraint: then the answer says so.
    """
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, encoding="latin-1"):
        fields.setdefault(name, []).append(value.strip())
    chosen = [
        name
        + _format_indices(
            fields.get(f"i.{name}", []), adapted.variables[name].shape if name in adapted.variables else ()
        )
        for name in fields.get("v", ())
    ]
    calls = [call for call in fields.get("calls", ()) if call]
    filters = "".join(f"&{each.removeprefix('&')}" for each in fields.get("filters", ()) if each)
    return fields["answer"][-1], ",".join(chosen + calls) + filters


def _format_indices(fields: Sequence[str], shape: tuple[int, ...]) -> str:
    """What was filled in, in brackets; nothing where nothing was. netCDF-C does not understand ``[]``."""
    filled = zip_longest(fields, shape[: len(fields)])
    return "".join(f"[{field.strip('[]') or f'0:1:{size - 1}'}]" for field, size in filled) if any(fields) else ""
