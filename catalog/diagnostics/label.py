"""From a file's arrays to named variables with dimensions, coordinates and units, as a diagnostic's description says.

A file says ``Streak_array[2, 1100, 1100]`` and 130 attributes; a physicist wants ``image(y, x)``, ``background(y, x)``,
a time axis, and where it all came from.

Rule 1: nothing is lost. Arrays that the description does not mention stay, under their own names; so do the attributes,
those of an array that became several variables among the dataset's own.
Rule 2: nothing is guessed. An axis whose attributes are missing is left out.
Rule 3: it is as lazy as the file: no value is read.
Rule 4: numbers are what they mean: packing, missing values and calibrations that the array's attributes state are
applied (see `transforms.decoding`), after a description's own ``valid_range`` and ``saturation``, which count as the
camera does, were added. The array's attributes that state them stay with each of its frames until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import xarray as xr

from shotdap.catalog.diagnostics.conventions import add_convention_attributes
from shotdap.catalog.diagnostics.diagnostic import Diagnostic, Rule
from shotdap.catalog.entry import Fact
from shotdap.transforms.decoding import PACKING_ATTRIBUTES, STORED_TYPE_ATTRIBUTES, Packing, decode_dataset

__all__ = ["find_diagnostic", "label_dataset"]


def find_diagnostic(raw: xr.Dataset, facts: Mapping[str, Fact], diagnostics: Iterable[Diagnostic]) -> Diagnostic | None:
    """The first description that a file matches; `None` where none does."""
    return next((diagnostic for diagnostic in diagnostics if not diagnostic.explain_mismatch(raw, facts)), None)


def label_dataset(raw: xr.Dataset, facts: Mapping[str, Fact], diagnostic: Diagnostic | None) -> xr.Dataset:
    """Label a file by the description that it matches; a file that none matches keeps its own names.

    Args:
        raw: the file as its reader gives it.
        facts: what the archive's row says of it.
        diagnostic: the description, if there is one.

    Returns:
        The labelled dataset with CF and ACDD attributes, decoded, as lazy as the raw one. What its description derives
        is not in it; see `derivation`.
    """
    labelled = decode_dataset(_apply_diagnostic(raw, diagnostic) if diagnostic else raw)
    return add_convention_attributes(labelled, facts, diagnostic)


def _apply_diagnostic(raw: xr.Dataset, diagnostic: Diagnostic) -> xr.Dataset:
    rules = {name: rule for name, rule in diagnostic.variables.items() if rule.array in raw.variables}
    used = {rule.array for rule in rules.values()}
    variables = {name: _apply_rule(raw, name, rule, diagnostic) for name, rule in rules.items()} | {
        _resolve_name_conflict(str(name), diagnostic): _build_variable(variable, str(name), diagnostic, variable.attrs)
        for name, variable in raw.variables.items()
        if name not in used
    }
    attributes = _join_attributes(raw, rules)
    stated = {name: variables.pop(name) for name, rule in rules.items() if rule.coordinate}
    axes = _build_axes(variables, diagnostic, attributes) | stated
    own = {name: variable for name, variable in variables.items() if variable.dims == (name,)}
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in own},
        coords=xr.Coordinates(
            _build_pixel_coordinates(variables, rules.keys() & variables.keys()) | axes | own, indexes={}
        ),
        attrs=attributes,
    )


def _apply_rule(raw: xr.Dataset, name: str, rule: Rule, diagnostic: Diagnostic) -> xr.Variable:
    source = raw.variables[rule.array]
    ours = dict(rule.attributes)
    if ours.get("units") == _COUNT_UNIT and ("units" in source.attrs or Packing.from_variable(source).is_scaled):
        del ours["units"]
    if rule.frame is None:
        return _build_variable(source, name, diagnostic, {**source.attrs, "source_array": rule.array, **ours})
    frame = source.isel({source.dims[0]: rule.frame})
    meaning = {each: source.attrs[each] for each in _DECODING_ATTRIBUTES if each in source.attrs}
    return _build_variable(frame, name, diagnostic, {"source_array": f"{rule.array}[{rule.frame}]", **ours, **meaning})


def _resolve_name_conflict(name: str, diagnostic: Diagnostic) -> str:
    """The name of something that no rule mentions: its own, where the description has not given that to another."""
    return f"file_{name}" if name in diagnostic.assigned_names else name


def _build_variable(
    variable: xr.Variable, name: str, diagnostic: Diagnostic, attributes: Mapping[Any, Any]
) -> xr.Variable:
    """The same lazy values under the description's dimensions, in a variable of our own."""
    ours = variable.to_base_variable().copy(deep=False)
    ours.dims = _find_dimension_names(name, variable, diagnostic)
    ours.attrs = dict(attributes)
    return ours


def _find_dimension_names(name: str, variable: xr.Variable, diagnostic: Diagnostic) -> tuple[str, ...]:
    for pattern, dimensions in diagnostic.dimensions.items():
        if fnmatchcase(name, pattern) and len(dimensions) == variable.ndim:
            return dimensions
    return tuple(_resolve_name_conflict(str(dimension), diagnostic) for dimension in variable.dims)


def _join_attributes(raw: xr.Dataset, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The file's attributes and those of arrays that were taken apart; where both have a name, the array's gets its."""
    joined = dict(raw.attrs)
    for array in dict.fromkeys(rule.array for rule in rules.values() if rule.frame is not None):
        for name, value in raw.variables[array].attrs.items():
            if name not in _DECODING_ATTRIBUTES:
                joined[f"{array}_{name}" if name in joined else str(name)] = value
    return joined


def _build_axes(
    variables: Mapping[str, xr.Variable], diagnostic: Diagnostic, attributes: Mapping[str, Any]
) -> dict[str, xr.Variable]:
    sizes = {str(name): size for variable in variables.values() for name, size in variable.sizes.items()}
    there = (axis for axis in diagnostic.axes if axis.dimension in sizes and axis.name not in variables)
    made = {axis.name: axis.create_variable(sizes[axis.dimension], attributes) for axis in there}
    return {name: variable for name, variable in made.items() if variable is not None}


def _build_pixel_coordinates(variables: Mapping[str, xr.Variable], rules: Iterable[str]) -> dict[str, xr.Variable]:
    """For each dimension of an image the number of the pixel, from 0, where the file has no coordinate of its own."""
    sizes = {str(name): size for image in rules for name, size in variables[image].sizes.items()}
    return {
        name: xr.Variable((name,), _create_pixel_numbers(size), _PIXEL_ATTRIBUTES.get(name, {"units": "pixel"}))
        for name, size in sizes.items()
        if name not in variables
    }


def _create_pixel_numbers(size: int) -> np.ndarray[Any, Any]:
    numbers = np.arange(size, dtype=np.int32)
    numbers.flags.writeable = False  # every opening of the file shares them
    return numbers


_COUNT_UNIT = "count"  # the unit of stored numbers, which gives way to the array's own, and to any scale
_DECODING_ATTRIBUTES = (
    *PACKING_ATTRIBUTES,
    *STORED_TYPE_ATTRIBUTES,
    "units",
)  # the attributes that say what an array's numbers mean

_PIXEL_ATTRIBUTES = {
    "y": {"long_name": "row of pixels", "units": "pixel"},
    "x": {"long_name": "column of pixels", "units": "pixel"},
}
