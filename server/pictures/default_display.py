"""How a variable is shown unless the reader chooses otherwise: the only place of these rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.pictures.curves import are_curves
from shotdap.server.pictures.levels import Display, find_default_image
from shotdap.transforms import BadSelection

COLOUR_MAPS: Final = ("inferno", "viridis", "cividis", "magma", "gray", "twilight", "RdBu_r")
"""Colour maps that pages offer."""

_PHASE_UNITS: Final = frozenset({"radian", "radians", "rad"})
_FLAG_ATTRIBUTES: Final = ("flag_values", "flag_masks", "flag_meanings")


def find_shown_variable(dataset: xr.Dataset) -> str:
    """Return the name of the variable that stands for an image: the one with rows and columns, else a curve.

    Raises:
        BadSelection: there is neither.
    """
    try:
        return find_default_image(dataset)
    except BadSelection:
        for name, variable in dataset.data_vars.items():
            if are_curves(variable.variable):
                return str(name)
        raise


def choose_thumbnail_display(variable: xr.Variable) -> Display:
    """Choose the display of a small picture in a list: what is no signal is black."""
    display = choose_display(variable)
    is_signal = variable.dtype.kind != "b" and display.scaling != "linear"
    return replace(display, autoscale="noise") if is_signal else display


def choose_display(variable: xr.Variable) -> Display:
    """Choose the colour map and the scaling of a variable by what it is.

    inferno is dark where there is no light, as on the camera, so that small bright features win; a phase has a cyclic
    map; flags are grey. All are turned as the facility displays them.
    """
    attributes = variable.attrs
    if variable.dtype.kind == "b" or any(name in attributes for name in _FLAG_ATTRIBUTES):
        return Display("gray", orientation="displayed")
    if str(attributes.get("units", "")) in _PHASE_UNITS:
        return Display("twilight", low=-np.pi, high=np.pi, orientation="displayed")
    return Display("inferno", "sqrt", orientation="displayed")
