"""HDF5 laid out as NeXus: a file that opens on its image in H5Web, and in whatever else follows NeXus.

``/`` (NXroot) has an ``entry`` (NXentry) with one NXdata for each variable, which holds the variable and the
coordinates of its dimensions: ``/entry/image/image``, ``/entry/image/y``, ``/entry/image/x``. The attribute ``default``
leads from the root to the variable that `find_image_variable` names. A coordinate of several variables is in the file once, and
linked into each group.

Rules (NeXus Definitions, "Associating plottable data using attributes applied to the NXdata group"):

1. ``signal`` names the variable, ``axes`` a coordinate for each of its dimensions: the one called as the dimension,
   else the first that runs along it, else ``.``; ``<coordinate>_indices`` says where each runs, those not among the
   axes too.
2. Everything has a ``long_name``, its name where it says nothing else: plots have it on their axes.
3. A dataset with groups, as of a shot, has an entry for each group that holds variables; its attribute ``group`` says
   which.
4. What has no dimension, or text, is no plot: it is a field of the NXcollection ``values``.
5. Attributes of the dataset are the entry's; title, time and instrument are there as NeXus has them too. Those with a
   name that says something to NeXus get an underscore behind it.
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
from shotdap.server.encoders.blocks import wrap_file
from shotdap.server.encoders.hdf5_groups import (
    encode_attribute_value,
    encode_values,
    get_local_name,
    get_parent_path,
    resolve_file_dtype,
    split_attributes_by_group,
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
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed

_DEFAULT_ENTRY: Final = "entry"
_VALUES_GROUP: Final = "values"
_INSTRUMENT_GROUP: Final = "instrument"
_ENTRY_FIELDS: Final = {"title": "title", "time_coverage_start": "start_time"}
"""Attributes of the dataset that NeXus has as fields of an entry."""
_RESERVED_NAMES: Final = frozenset(
    {_VALUES_GROUP, _INSTRUMENT_GROUP, *_ENTRY_FIELDS.values()}
)  # names in an entry that are no variable's
_RESERVED_ATTRIBUTES: Final = frozenset(
    {"NX_class", "NeXus_version", "axes", "creator", "default", "group", "signal"}
)  # attributes


def encode(dataset: xr.Dataset) -> EncodedFile:
    """The dataset as an HDF5 file; see `Encoder`."""
    file = io.BytesIO()
    with h5py.File(file, "w", track_order=True) as root:
        _FileWriter(root, dataset, dict(iter_supported_variables(dataset)), Axes.from_dataset(dataset)).write_file()
    return wrap_file(file)


@dataclass
class _FileWriter:
    """Writes each variable once."""

    root: Any
    dataset: xr.Dataset
    variables: Mapping[str, xr.Variable]
    """Those that HDF5 can hold."""
    axes: Axes
    """The coordinates that plots may have."""
    fields: dict[str, Any] = field(default_factory=dict)
    """What is in the file already, by the names of the variables."""
    plots: dict[str, Any] = field(default_factory=dict)
    """The groups that are NXdata, likewise."""
    names_by_group: dict[str, UniqueNames] = field(default_factory=dict)
    """The names in each entry, by the group that it holds the variables of."""

    def write_file(self) -> None:
        """The whole file."""
        entries = self._create_entries()
        for name in (*self._whole, *self.variables):  # coordinates that belong to none of the others come last
            if name not in self.fields:
                self._add_variable(entries[get_parent_path(name)], name)
        _write_attributes(self.root, normalize_attributes(list_omitted_variables(self.dataset, self.variables)))
        _set_class(self.root, "NXroot", creator=f"shotdap {__version__}", NeXus_version="v2024.02")
        self._set_default_plots(entries)

    @property
    def _whole(self) -> list[str]:
        """The variables that are no coordinates of others."""
        return [name for name in self.variables if name not in self.dataset.coords]

    def _create_entries(self) -> dict[str, Any]:
        """The entries, by the groups that they hold the variables of."""
        entries: dict[str, Any] = {}
        unique = UniqueNames()
        for group in dict.fromkeys(map(get_parent_path, self.variables)) or [""]:
            name = unique.claim(group.replace("/", "_") or _DEFAULT_ENTRY)
            entries[group] = self.root.create_group(name, track_order=True)
            self.names_by_group[group] = UniqueNames(_RESERVED_NAMES)
        for group, attrs in split_attributes_by_group(self.dataset.attrs, entries).items():
            owner = entries.get(group, self.root)
            _write_attributes(owner, _rename_reserved_attributes(normalize_attributes(attrs)))
            if group in entries:
                _set_class(owner, "NXentry", **({"group": group} if group else {}))
                _write_entry_fields(owner, attrs)
        return entries

    def _add_variable(self, entry: Any, name: str) -> None:  # noqa: ANN401 — h5py has no types
        """Put a variable into an entry: as a plot, or among its values."""
        variable = self.variables[name]
        if not variable.ndim or is_text(variable.dtype):
            self._write_field(_ensure_group(entry, _VALUES_GROUP, "NXcollection"), get_local_name(name), name)
            return
        plot = entry.create_group(
            self.names_by_group[get_parent_path(name)].claim(get_local_name(name)), track_order=True
        )
        self.plots[name] = plot
        self._write_field(plot, get_local_name(name), name)
        axes: dict[str, str] = {}
        unique = UniqueNames([get_local_name(name)])
        for axis, coordinate in self.axes.iter_axes(variable.dims):
            dimension = str(coordinate.dims[0])
            if axis != name:
                written = self._write_field(plot, unique.claim(get_local_name(axis)), axis)
                axes.setdefault(dimension, written)
                plot.attrs[f"{written}_indices"] = np.int32(variable.dims.index(dimension))
        _set_class(
            plot,
            "NXdata",
            signal=get_local_name(name),
            axes=[axes.get(str(dimension), ".") for dimension in variable.dims],
        )

    def _write_field(self, group: Any, place: str, name: str) -> str:  # noqa: ANN401
        """Write a variable under a name in a group, or link to it where it is already; that name."""
        if name in self.fields:
            group[place] = self.fields[name]
            return place
        variable = self.variables[name]
        found = encode_values(variable)
        made = group.create_dataset(place, data=found, dtype=resolve_file_dtype(found), track_order=True)
        self.fields[name] = made
        _write_attributes(
            made,
            _rename_reserved_attributes(
                normalize_attributes(_labelled(name, variable), None if found.dtype == object else found.dtype)
            ),
        )
        return place

    def _set_default_plots(self, entries: Mapping[str, Any]) -> None:
        """The attributes ``default``, from the root and from each entry on."""
        by_entry: dict[str, list[str]] = {}
        for name in self.plots:
            by_entry.setdefault(get_parent_path(name), []).append(name)
        for group, names in by_entry.items():
            entries[group].attrs["default"] = get_local_name(
                self.plots[_find_principal_variable(self.dataset, names)].name
            )
        if self.plots:
            principal = _find_principal_variable(self.dataset, list(self.plots))
            self.root.attrs["default"] = get_local_name(entries[get_parent_path(principal)].name)


def _find_principal_variable(dataset: xr.Dataset, names: list[str]) -> str:
    """The variable that is shown of some: an image, where there is one."""
    try:
        return find_image_variable({name: dataset.variables[name] for name in names})
    except BadSelection:
        return names[0]


def _labelled(name: str, variable: xr.Variable) -> dict[Any, Any]:
    """The attributes of a variable, which is called something in any case."""
    return {"long_name": get_local_name(name), **variable.attrs}


def _rename_reserved_attributes(attrs: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Attributes without those whose names say something to NeXus: these get an underscore behind them."""
    own = {f"{name}_" if name in _RESERVED_ATTRIBUTES else name: name for name in attrs}
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, own)
    return {**{name: attrs[given] for name, given in own.items()}, **renamed}


def _write_entry_fields(entry: Any, attrs: Mapping[str, Any]) -> None:  # noqa: ANN401
    for attribute, place in _ENTRY_FIELDS.items():
        if attribute in attrs:
            entry[place] = normalize_text(attrs[attribute])
    if "instrument" in attrs:
        _ensure_group(entry, _INSTRUMENT_GROUP, "NXinstrument")["name"] = normalize_text(attrs["instrument"])


def _ensure_group(above: Any, name: str, class_: str) -> Any:  # noqa: ANN401
    if name not in above:
        _set_class(above.create_group(name, track_order=True), class_)
    return above[name]


def _set_class(group: Any, class_: str, /, **attrs: Attribute) -> None:  # noqa: ANN401
    _write_attributes(group, {"NX_class": class_, **attrs})


def _write_attributes(owner: Any, attrs: Mapping[str, Attribute]) -> None:  # noqa: ANN401
    for name, value in attrs.items():
        owner.attrs[name] = encode_attribute_value(value)
