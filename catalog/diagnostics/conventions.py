"""Attributes that the conventions CF and ACDD require of a dataset.

All attributes of the file are kept, as attributes of the dataset. One whose name the conventions or the archive's row
need is called ``file_<name>``.

CF: https://cfconventions.org, 1.11. ACDD: Attribute Convention for Data Discovery, 1.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np
import xarray as xr

from shotdap import __version__
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.entry import Fact

_CONVENTIONS = "CF-1.11, ACDD-1.3"
_FACT_ATTRIBUTES = {"name": "source_file", "date": "shot_date"}  # for columns whose names alone would be unclear
_ROTATE_FLIP = re.compile(r"Rotate(None|90|180|270)Flip(None|X|Y|XY)")  # .NET's System.Drawing.RotateFlipType


def add_convention_attributes(
    dataset: xr.Dataset, facts: Mapping[str, Fact], diagnostic: Diagnostic | None
) -> xr.Dataset:
    """Return the dataset with the attributes of the conventions before its own.

    Args:
        dataset: labelled, its attributes the file's.
        facts: the values of the archive's row.
        diagnostic: the description that it was labelled by.
    """
    original = dataset.attrs
    ours: dict[str, Any] = {"Conventions": _CONVENTIONS}
    if diagnostic is not None:
        shot = f"shot {facts['shot']}" if "shot" in facts else ""
        origin = f"{facts.get('facility', '')} {shot}".strip()
        ours["title"] = ", ".join(part for part in (diagnostic.title, origin) if part)
    ours |= {_FACT_ATTRIBUTES.get(name, name): value for name, value in facts.items()}
    if diagnostic is not None:
        ours |= {"instrument": diagnostic.instrument} if diagnostic.instrument else {}
        if diagnostic.time is not None:
            # In ISO 8601. The file's clock is the laboratory's; the file states no zone, so none is added.
            text = str(original.get(diagnostic.time.attribute, ""))
            with suppress(ValueError):
                stamp = datetime.strptime(text, diagnostic.time.format)  # noqa: DTZ007 — the file states no zone
                ours["time_coverage_start"] = stamp.isoformat(timespec="milliseconds")
        # The values are not turned: the attributes tell a viewer how to turn the image for display.
        if orientation := _ROTATE_FLIP.fullmatch(str(original.get("ImageDisplay", ""))):
            rotation, flip = orientation.groups()
            ours["display_rotation"] = 0 if rotation == "None" else int(rotation)
            ours["display_flip"] = flip.replace("None", "none")
        ours |= {f"active_area_{name}": np.array(bounds, np.int32) for name, bounds in diagnostic.active_area.items()}
    history = "served as it is" if diagnostic is None else f"labelled as {diagnostic.name}"
    ours["history"] = f"shotdap {__version__}: {history}"
    labelled = dataset.copy(deep=False)
    labelled.attrs = ours | {f"file_{name}" if name in ours else str(name): value for name, value in original.items()}
    return labelled


def add_coordinate_references(dataset: xr.Dataset) -> xr.Dataset:
    """Name each variable's auxiliary coordinates in its attribute ``coordinates``: CF conventions, chapter 5."""
    auxiliary = {name: variable for name, variable in dataset.coords.variables.items() if variable.dims != (name,)}
    referring = {}
    for name, variable in dataset.data_vars.variables.items():
        names = [str(axis) for axis, values in auxiliary.items() if set(values.dims) <= set(variable.dims)]
        if names and "coordinates" not in variable.attrs:
            referring[name] = variable.copy(deep=False)
            referring[name].attrs["coordinates"] = " ".join(names)
    return dataset.assign(referring) if referring else dataset
