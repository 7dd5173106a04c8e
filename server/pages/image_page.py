"""Pages about one image: the dataset as they show it, and the query that their form sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final
from urllib.parse import parse_qsl

import numpy as np
import xarray as xr

from shotdap.server.protocols import dap2
from shotdap.server.protocols.dap2.promotion import WIRE_DTYPES, get_dap2_type

_MAX_VALUES: Final = 16  # of an attribute
_PREVIEW_SIZE: Final = 24  # pixels along the longer side of a preview


@dataclass(frozen=True)
class DimensionView:
    """One dimension of a variable."""

    name: str
    size: int
    index: str
    """The selected part; empty for all."""

    @property
    def full_range(self) -> str:
        """Index that selects the whole dimension."""
        return f"0:1:{self.size - 1}"


@dataclass(frozen=True)
class VariableView:
    """One variable."""

    name: str
    kind: str
    """Its DAP2 type."""
    width: int
    """Bytes of one value on the wire; 0 if it depends on the value."""
    dimensions: tuple[DimensionView, ...]
    attributes: tuple[tuple[str, str], ...]
    is_selected: bool

    @property
    def declaration(self) -> str:
        """Declaration in the DDS."""
        return f"{self.kind} {self.name}{''.join(f'[{each.name} = {each.size}]' for each in self.dimensions)}"

    @property
    def preview(self) -> str:
        """Constraint that selects a coarse version of the values."""
        longest = max((dimension.size for dimension in self.dimensions), default=0)
        factor = -(-longest // _PREVIEW_SIZE)
        return f"bin({self.name},{factor})" if factor > 1 and self.kind != "String" else self.name

    def __getitem__(self, name: str) -> str:
        """Return the value of an attribute; empty if there is none."""
        return dict(self.attributes).get(name, "")


@dataclass(frozen=True)
class DatasetView:
    """One image, and what the constraint selects of it."""

    variables: tuple[VariableView, ...]
    attributes: tuple[tuple[str, str], ...]
    calls: str
    filters: str


def build_dataset_view(adapted: xr.Dataset, constraint: dap2.Constraint) -> DatasetView:
    """Describe an adapted dataset, and a constraint that fits it; no pixel is read."""
    projections = {name: dap2.Projection(name, slab) for name, slab in constraint.selection.hyperslabs.items()}
    return DatasetView(
        tuple(
            _build_variable_view(str(name), variable, projections.get(str(name)))
            for name, variable in adapted.variables.items()
        ),
        format_attributes(adapted.attrs),
        ",".join(map(str, constraint.calls)),
        "&".join(map(str, constraint.filters)),
    )


def _build_variable_view(name: str, variable: xr.Variable, projection: dap2.Projection | None) -> VariableView:
    indices: Sequence[str] = (projection.index_texts if projection else ()) or [""] * variable.ndim
    kind = get_dap2_type(variable)
    return VariableView(
        name,
        kind,
        WIRE_DTYPES[kind].itemsize if kind in WIRE_DTYPES else 0,
        tuple(
            DimensionView(str(dimension), size, index)
            for (dimension, size), index in zip(variable.sizes.items(), indices, strict=True)
        ),
        format_attributes(variable.attrs),
        projection is not None,
    )


def format_attributes(attrs: Mapping[object, object] | Mapping[Any, object]) -> tuple[tuple[str, str], ...]:
    """Format attributes as texts with their names; long arrays are cut."""
    return tuple((str(name), _format_value(value)) for name, value in attrs.items())


def _format_value(value: object) -> str:
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
    flat = np.ravel(np.asarray(value, dtype=object if isinstance(value, list) else None))
    rest = f", … {flat.size} in all" if flat.size > _MAX_VALUES else ""
    return ", ".join(str(each) for each in flat[:_MAX_VALUES]) + rest


def is_form_query(query: str) -> bool:
    """Check whether a query was sent by the form; it is a constraint to show in the form otherwise."""
    return "answer=." in query


def parse_form_query(query: str, adapted: xr.Dataset) -> tuple[str, str]:
    """Parse the query of a form that was sent without a script into a suffix and a constraint.

    The fields of the form are ``v`` for each variable, ``i.<variable>`` for each of its dimensions, ``calls``,
    ``filters`` and, from the button, ``answer``. An invalid constraint is reported by the answer.
    """
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, encoding="latin-1"):
        fields.setdefault(name, []).append(value.strip())
    projections = []
    for name in fields.get("v", ()):
        shape = adapted.variables[name].shape if name in adapted.variables else ()
        texts = fields.get(f"i.{name}", [])
        indices = zip_longest(texts, shape[: len(texts)])
        # Nothing if no field is filled: netCDF-C does not understand ``[]``.
        brackets = [f"[{text.strip('[]') or f'0:1:{size - 1}'}]" for text, size in indices] if any(texts) else []
        projections.append("".join([name, *brackets]))
    calls = [call for call in fields.get("calls", ()) if call]
    filters = "".join(f"&{each.removeprefix('&')}" for each in fields.get("filters", ()) if each)
    return fields["answer"][-1], ",".join(projections + calls) + filters
