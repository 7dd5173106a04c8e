"""HDF5 laid out as NeXus: a file that opens on its image in H5Web, and in whatever else follows NeXus.

``/`` (NXroot) has an ``entry`` (NXentry) with one NXdata for each variable, which holds the variable and the
coordinates of its dimensions: ``/entry/image/image``, ``/entry/image/y``, ``/entry/image/x``. The attribute ``default``
leads from the root to the variable that `first_image` names. A coordinate of several variables is in the file once, and
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
from shotdap.server.encoders import Encoded
from shotdap.server.encoders.blocks import of_file
from shotdap.server.encoders.hdf5_groups import by_group, local, parent, stored, type_of, values
from shotdap.server.encoders.netcdf.rules import Attribute, attributes, carried, is_text, left_out, text
from shotdap.server.encoders.one_variable import Axes
from shotdap.server.pictures.levels import first_image
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed

__all__ = ["encode"]

_ENTRY: Final = "entry"
_VALUES: Final = "values"
_INSTRUMENT: Final = "instrument"
_FIELDS: Final = {"title": "title", "time_coverage_start": "start_time"}
"""Attributes of the dataset that NeXus has as fields of an entry."""
_TAKEN: Final = frozenset({_VALUES, _INSTRUMENT, *_FIELDS.values()})  # names in an entry that are no variable's
_OWN: Final = frozenset({"NX_class", "NeXus_version", "axes", "creator", "default", "group", "signal"})  # attributes


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as an HDF5 file; see `Encode`."""
    file = io.BytesIO()
    with h5py.File(file, "w", track_order=True) as root:
        _Scribe(root, dataset, dict(carried(dataset)), Axes.of(dataset)).write()
    return of_file(file)


@dataclass
class _Scribe:
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
    names: dict[str, UniqueNames] = field(default_factory=dict)
    """The names in each entry, by the group that it holds the variables of."""

    def write(self) -> None:
        """The whole file."""
        entries = self._entries()
        for name in (*self._whole, *self.variables):  # coordinates that belong to none of the others come last
            if name not in self.fields:
                self._place(entries[parent(name)], name)
        _describe(self.root, attributes(left_out(self.dataset, self.variables)))
        _class(self.root, "NXroot", creator=f"shotdap {__version__}", NeXus_version="v2024.02")
        self._point_at_plots(entries)

    @property
    def _whole(self) -> list[str]:
        """The variables that are no coordinates of others."""
        return [name for name in self.variables if name not in self.dataset.coords]

    def _entries(self) -> dict[str, Any]:
        """The entries, by the groups that they hold the variables of."""
        entries: dict[str, Any] = {}
        unique = UniqueNames()
        for group in dict.fromkeys(map(parent, self.variables)) or [""]:
            name = unique.claim(group.replace("/", "_") or _ENTRY)
            entries[group] = self.root.create_group(name, track_order=True)
            self.names[group] = UniqueNames(_TAKEN)
        for group, attrs in by_group(self.dataset.attrs, entries).items():
            owner = entries.get(group, self.root)
            _describe(owner, _renamed(attributes(attrs)))
            if group in entries:
                _class(owner, "NXentry", **({"group": group} if group else {}))
                _as_nexus_has_it(owner, attrs)
        return entries

    def _place(self, entry: Any, name: str) -> None:  # noqa: ANN401 — h5py has no types
        """Put a variable into an entry: as a plot, or among its values."""
        variable = self.variables[name]
        if not variable.ndim or is_text(variable.dtype):
            self._write(_group(entry, _VALUES, "NXcollection"), local(name), name)
            return
        plot = entry.create_group(self.names[parent(name)].claim(local(name)), track_order=True)
        self.plots[name] = plot
        self._write(plot, local(name), name)
        axes: dict[str, str] = {}
        unique = UniqueNames([local(name)])
        for axis, coordinate in self.axes.along(variable.dims):
            dimension = str(coordinate.dims[0])
            if axis != name:
                written = self._write(plot, unique.claim(local(axis)), axis)
                axes.setdefault(dimension, written)
                plot.attrs[f"{written}_indices"] = np.int32(variable.dims.index(dimension))
        _class(plot, "NXdata", signal=local(name), axes=[axes.get(str(dimension), ".") for dimension in variable.dims])

    def _write(self, group: Any, place: str, name: str) -> str:  # noqa: ANN401
        """Write a variable under a name in a group, or link to it where it is already; that name."""
        if name in self.fields:
            group[place] = self.fields[name]
            return place
        variable = self.variables[name]
        found = values(variable)
        made = group.create_dataset(place, data=found, dtype=type_of(found), track_order=True)
        self.fields[name] = made
        _describe(made, _renamed(attributes(_labelled(name, variable), None if found.dtype == object else found.dtype)))
        return place

    def _point_at_plots(self, entries: Mapping[str, Any]) -> None:
        """The attributes ``default``, from the root and from each entry on."""
        by_entry: dict[str, list[str]] = {}
        for name in self.plots:
            by_entry.setdefault(parent(name), []).append(name)
        for group, names in by_entry.items():
            entries[group].attrs["default"] = local(self.plots[_principal(self.dataset, names)].name)
        if self.plots:
            principal = _principal(self.dataset, list(self.plots))
            self.root.attrs["default"] = local(entries[parent(principal)].name)


def _principal(dataset: xr.Dataset, names: list[str]) -> str:
    """The variable that is shown of some: an image, where there is one."""
    try:
        return first_image({name: dataset.variables[name] for name in names})
    except BadSelection:
        return names[0]


def _labelled(name: str, variable: xr.Variable) -> dict[Any, Any]:
    """The attributes of a variable, which is called something in any case."""
    return {"long_name": local(name), **variable.attrs}


def _renamed(attrs: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Attributes without those whose names say something to NeXus: these get an underscore behind them."""
    own = {f"{name}_" if name in _OWN else name: name for name in attrs}
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, own)
    return {**{name: attrs[given] for name, given in own.items()}, **renamed}


def _as_nexus_has_it(entry: Any, attrs: Mapping[str, Any]) -> None:  # noqa: ANN401
    for attribute, place in _FIELDS.items():
        if attribute in attrs:
            entry[place] = text(attrs[attribute])
    if "instrument" in attrs:
        _group(entry, _INSTRUMENT, "NXinstrument")["name"] = text(attrs["instrument"])


def _group(above: Any, name: str, class_: str) -> Any:  # noqa: ANN401
    if name not in above:
        _class(above.create_group(name, track_order=True), class_)
    return above[name]


def _class(group: Any, class_: str, /, **attrs: Attribute) -> None:  # noqa: ANN401
    _describe(group, {"NX_class": class_, **attrs})


def _describe(owner: Any, attrs: Mapping[str, Attribute]) -> None:  # noqa: ANN401
    for name, value in attrs.items():
        owner.attrs[name] = stored(value)
