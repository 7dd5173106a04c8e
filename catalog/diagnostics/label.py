"""Turn a file's arrays into named variables with dimensions, coordinates and units, by the description of a diagnostic.

A file contains ``Streak_array[2, 1100, 1100]`` and 130 attributes; a physicist needs ``image(y, x)``,
``background(y, x)``, a time axis, and the origin of each.

Rule 1: nothing is lost. Arrays that the description does not mention keep their names. Attributes are kept; those of an
array that became several variables are attributes of the dataset.
Rule 2: nothing is guessed. An axis whose attributes are missing is left out.
Rule 3: the result is as lazy as the file: no value is read.
Rule 4: numbers are physical values. Packing, missing values and calibrations that an array's attributes define are
applied (see `transforms.decoding`) after the description's own ``valid_range`` and ``saturation``, which are counts of
the camera, were added. Until then each frame keeps the attributes of the array that define them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import xarray as xr

from shotdap.catalog.diagnostics.conventions import add_convention_attributes
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.entry import Fact
from shotdap.transforms.decoding import PACKING_ATTRIBUTES, STORED_TYPE_ATTRIBUTES, Packing, decode_dataset
from shotdap.transforms.virtual.assembly import assemble_dataset

_COUNT_UNIT = "count"  # of stored numbers; the array's own unit, or any scale, replaces it
_DECODING_ATTRIBUTES = (*PACKING_ATTRIBUTES, *STORED_TYPE_ATTRIBUTES, "units")  # they define what numbers mean

_PIXEL_ATTRIBUTES = {
    "y": {"long_name": "row of pixels", "units": "pixel"},
    "x": {"long_name": "column of pixels", "units": "pixel"},
}


def find_diagnostic(raw: xr.Dataset, facts: Mapping[str, Fact], diagnostics: Iterable[Diagnostic]) -> Diagnostic | None:
    """Return the first description that a file matches, or `None`."""
    return next((diagnostic for diagnostic in diagnostics if not diagnostic.explain_mismatch(raw, facts)), None)


def label_dataset(raw: xr.Dataset, facts: Mapping[str, Fact], diagnostic: Diagnostic | None) -> xr.Dataset:
    """Label a file by a description; without one, it keeps its own names.

    Args:
        raw: the file as its reader returns it.
        facts: the values of the archive's row.
        diagnostic: the description that it matches, if any.

    Returns:
        The labelled dataset with CF and ACDD attributes, decoded, as lazy as the raw one. It has no virtual variables
        yet; see `derive`.
    """
    labelled = decode_dataset(_apply_diagnostic(raw, diagnostic) if diagnostic else raw)
    return add_convention_attributes(labelled, facts, diagnostic)


def _apply_diagnostic(raw: xr.Dataset, diagnostic: Diagnostic) -> xr.Dataset:
    rules = {name: rule for name, rule in diagnostic.variables.items() if rule.array in raw.variables}
    sources = {rule.array for rule in rules.values()}
    variables: dict[str, xr.Variable] = {}
    for name, rule in rules.items():
        source = raw.variables[rule.array]
        own = dict(rule.attributes)
        if own.get("units") == _COUNT_UNIT and ("units" in source.attrs or Packing.from_variable(source).is_scaled):
            del own["units"]
        if rule.frame is None:
            own = {**source.attrs, "source_array": rule.array, **own}
        else:
            own |= {each: source.attrs[each] for each in _DECODING_ATTRIBUTES if each in source.attrs}
            own = {"source_array": f"{rule.array}[{rule.frame}]", **own}
            source = source.isel({source.dims[0]: rule.frame})
        variables[name] = _build_variable(source, name, diagnostic, own)
    variables |= {
        _resolve_name_conflict(str(name), diagnostic): _build_variable(variable, str(name), diagnostic, variable.attrs)
        for name, variable in raw.variables.items()
        if name not in sources
    }
    attributes = dict(raw.attrs)  # and those of arrays that became several variables
    for array in dict.fromkeys(rule.array for rule in rules.values() if rule.frame is not None):
        for name, value in raw.variables[array].attrs.items():
            if name not in _DECODING_ATTRIBUTES:
                attributes[f"{array}_{name}" if name in attributes else str(name)] = value
    coordinates = {name: variables.pop(name) for name, rule in rules.items() if rule.coordinate}
    dimension_coordinates = {name: variable for name, variable in variables.items() if variable.dims == (name,)}
    sizes = {str(name): size for variable in variables.values() for name, size in variable.sizes.items()}
    axes = {
        axis.name: axis.create_variable(sizes[axis.dimension], attributes)
        for axis in diagnostic.axes
        if axis.dimension in sizes and axis.name not in variables
    }
    pixels: dict[str, xr.Variable] = {}  # numbers from 0 for each dimension of images without a coordinate in the file
    images = [variables[name] for name in rules.keys() & variables.keys()]
    for name, size in {str(name): size for image in images for name, size in image.sizes.items()}.items():
        if name not in variables:
            numbers = np.arange(size, dtype=np.int32)
            numbers.flags.writeable = False  # every opening of the file shares them
            pixels[name] = xr.Variable((name,), numbers, _PIXEL_ATTRIBUTES.get(name, {"units": "pixel"}))
    coordinates = {
        **pixels,
        **{name: variable for name, variable in axes.items() if variable is not None},
        **coordinates,
        **dimension_coordinates,
    }
    data = {name: variable for name, variable in variables.items() if name not in dimension_coordinates}
    return assemble_dataset({**data, **coordinates}, coordinates, attributes)


def _resolve_name_conflict(name: str, diagnostic: Diagnostic) -> str:
    """Return the name of something that no rule mentions: its own, unless the description assigns that to another."""
    return f"file_{name}" if name in diagnostic.assigned_names else name


def _build_variable(
    variable: xr.Variable, name: str, diagnostic: Diagnostic, attributes: Mapping[Any, Any]
) -> xr.Variable:
    """Build a variable of the same lazy values with the description's dimensions and other attributes."""
    copy = variable.to_base_variable().copy(deep=False)
    copy.dims = next(
        (
            dimensions
            for pattern, dimensions in diagnostic.dimensions.items()
            if fnmatchcase(name, pattern) and len(dimensions) == variable.ndim
        ),
        tuple(_resolve_name_conflict(str(dimension), diagnostic) for dimension in variable.dims),
    )
    copy.attrs = dict(attributes)
    return copy
