"""HDF5 in the layout of NeXus: H5Web and other NeXus programs open the file on its image.

``/`` (NXroot) has an ``entry`` (NXentry) with one NXdata for each variable, which contains the variable and the
coordinates of its dimensions: ``/entry/image/image``, ``/entry/image/y``, ``/entry/image/x``. The attribute ``default``
leads from the root to the variable that `find_image_variable` selects. A coordinate of several variables is in the
file once, and linked into each group.

Rules (NeXus Definitions, "Associating plottable data using attributes applied to the NXdata group"):

1. ``signal`` is the name of the variable, ``axes`` a coordinate for each of its dimensions: the one with the name of
   the dimension, else the first along it, else ``.``; ``<coordinate>_indices`` is the dimension of each coordinate,
   also of those that are no axes.
2. Everything has a ``long_name``, by default its name: programs write it beside the axes.
3. A dataset with groups, such as a shot, has an entry for each group with variables; its attribute ``group`` is the
   path of the group.
4. A variable without dimensions, or of text, cannot be plotted: it is a field of the NXcollection ``values``.
5. Attributes of the dataset become those of the entry; title, time and instrument become NeXus fields, too. Attributes
   with names that NeXus reserves get an underscore at the end.
6. Nothing is compressed: images are noise, and a download should start at once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from shotdap import __version__
from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.encoders.hdf5_groups import (
    encode_values,
    resolve_file_dtype,
    split_attributes_by_group,
    write_attributes,
)
from shotdap.server.encoders.netcdf.rules import (
    Attribute,
    is_text,
    iter_supported_variables,
    list_omitted_variables,
    normalize_attributes,
    normalize_text,
)
from shotdap.server.encoders.one_variable import Axes
from shotdap.server.pictures.levels import find_image_variable
from shotdap.server.protocols.variable_names import get_local_name, get_parent_path
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed

_DEFAULT_ENTRY: Final = "entry"
_VALUES_GROUP: Final = "values"
_INSTRUMENT_GROUP: Final = "instrument"
_ENTRY_FIELDS: Final = {"title": "title", "time_coverage_start": "start_time"}
"""Attributes of the dataset that are also fields of an entry in NeXus."""
_RESERVED_NAMES: Final = frozenset({_VALUES_GROUP, _INSTRUMENT_GROUP, *_ENTRY_FIELDS.values()})  # within an entry
_RESERVED_ATTRIBUTES: Final = frozenset({"NX_class", "NeXus_version", "axes", "creator", "default", "group", "signal"})


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode a dataset as an HDF5 file; see `Encoder`."""
    file = io.BytesIO()
    with h5py.File(file, "w", track_order=True) as root:
        _FileWriter(root, dataset, dict(iter_supported_variables(dataset)), Axes.from_dataset(dataset)).write_file()
    return wrap_file(file)


@dataclass
class _FileWriter:
    """Writer of one file; it writes each variable once."""

    root: Any
    dataset: xr.Dataset
    variables: Mapping[str, xr.Variable]
    """The variables that HDF5 can hold."""
    axes: Axes
    """The coordinates for the axes of plots."""
    fields: dict[str, Any] = field(default_factory=dict)
    """The fields written so far, by the names of the variables."""
    plots: dict[str, Any] = field(default_factory=dict)
    """The NXdata groups, by the names of the variables."""
    names_by_group: dict[str, UniqueNames] = field(default_factory=dict)
    """The names in each entry, by the group of its variables."""

    def write_file(self) -> None:
        """Write the whole file."""
        entries = self._create_entries()
        data_variables = [name for name in self.variables if name not in self.dataset.coords]
        for name in (*data_variables, *self.variables):  # coordinates that no variable uses come last
            if name not in self.fields:
                self._add_variable(entries[get_parent_path(name)], name)
        write_attributes(self.root, normalize_attributes(list_omitted_variables(self.dataset, self.variables)))
        _set_class(self.root, "NXroot", creator=f"shotdap {__version__}", NeXus_version="v2024.02")
        by_group: dict[str, list[str]] = {}
        for name in self.plots:
            by_group.setdefault(get_parent_path(name), []).append(name)
        for group, names in by_group.items():
            principal = _find_principal_variable(self.dataset, names)
            entries[group].attrs["default"] = get_local_name(self.plots[principal].name)
        if self.plots:
            principal = _find_principal_variable(self.dataset, list(self.plots))
            self.root.attrs["default"] = get_local_name(entries[get_parent_path(principal)].name)

    def _create_entries(self) -> dict[str, Any]:
        """Create the entries, and return them by the groups of their variables."""
        entries: dict[str, Any] = {}
        unique = UniqueNames()
        for group in dict.fromkeys(map(get_parent_path, self.variables)) or [""]:
            name = unique.claim(group.replace("/", "_") or _DEFAULT_ENTRY)
            entries[group] = self.root.create_group(name, track_order=True)
            self.names_by_group[group] = UniqueNames(_RESERVED_NAMES)
        for group, attrs in split_attributes_by_group(self.dataset.attrs, entries).items():
            owner = entries.get(group, self.root)
            write_attributes(owner, _rename_reserved_attributes(normalize_attributes(attrs)))
            if group in entries:
                _set_class(owner, "NXentry", **({"group": group} if group else {}))
                for attribute, field_name in _ENTRY_FIELDS.items():
                    if attribute in attrs:
                        owner[field_name] = normalize_text(attrs[attribute])
                if "instrument" in attrs:
                    _ensure_group(owner, _INSTRUMENT_GROUP, "NXinstrument")["name"] = normalize_text(
                        attrs["instrument"]
                    )
        return entries

    def _add_variable(self, entry: Any, name: str) -> None:  # noqa: ANN401 — h5py has no types
        """Add a variable to an entry: as a plot, or to its values."""
        variable, local = self.variables[name], get_local_name(name)
        if not variable.ndim or is_text(variable.dtype):
            self._write_field(_ensure_group(entry, _VALUES_GROUP, "NXcollection"), local, name)
            return
        plot = entry.create_group(self.names_by_group[get_parent_path(name)].claim(local), track_order=True)
        self.plots[name] = plot
        self._write_field(plot, local, name)
        axes: dict[str, str] = {}
        unique = UniqueNames([local])
        for axis, coordinate in self.axes.iter_axes(variable.dims):
            dimension = str(coordinate.dims[0])
            if axis != name:
                field_name = unique.claim(get_local_name(axis))
                self._write_field(plot, field_name, axis)
                axes.setdefault(dimension, field_name)
                plot.attrs[f"{field_name}_indices"] = np.int32(variable.dims.index(dimension))
        _set_class(plot, "NXdata", signal=local, axes=[axes.get(str(dimension), ".") for dimension in variable.dims])

    def _write_field(self, group: Any, field_name: str, name: str) -> None:  # noqa: ANN401 — h5py has no types
        """Write a variable into a group, or link to it if it is in the file already."""
        if name in self.fields:
            group[field_name] = self.fields[name]
            return
        variable = self.variables[name]
        values = encode_values(variable)
        self.fields[name] = group.create_dataset(
            field_name, data=values, dtype=resolve_file_dtype(values), track_order=True
        )
        attrs = normalize_attributes(
            {"long_name": get_local_name(name), **variable.attrs}, None if values.dtype == object else values.dtype
        )
        write_attributes(self.fields[name], _rename_reserved_attributes(attrs))


def _find_principal_variable(dataset: xr.Dataset, names: list[str]) -> str:
    """Return the variable to show: an image if there is one."""
    try:
        return find_image_variable({name: dataset.variables[name] for name in names})
    except BadSelection:
        return names[0]


def _rename_reserved_attributes(attrs: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Add an underscore to the names of attributes that NeXus reserves."""
    own = {f"{name}_" if name in _RESERVED_ATTRIBUTES else name: name for name in attrs}
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, own)
    return {**{name: attrs[original] for name, original in own.items()}, **renamed}


def _ensure_group(above: Any, name: str, class_: str) -> Any:  # noqa: ANN401 — h5py has no types
    if name not in above:
        _set_class(above.create_group(name, track_order=True), class_)
    return above[name]


def _set_class(group: Any, class_: str, /, **attrs: Attribute) -> None:  # noqa: ANN401 — h5py has no types
    write_attributes(group, {"NX_class": class_, **attrs})
