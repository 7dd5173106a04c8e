"""What the conventions CF and ACDD ask a dataset to say of itself.

The file's own attributes are all kept, in one namespace: the dataset's own. One whose name the conventions or the
archive's row need is called ``file_<name>``.

CF: https://cfconventions.org, 1.11. ACDD: Attribute Convention for Data Discovery, 1.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import xarray as xr

from shotdap import __version__
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.entry import Fact

__all__ = ["add_convention_attributes", "add_coordinate_references"]

_CONVENTIONS = "CF-1.11, ACDD-1.3"
_FACT_ATTRIBUTES = {
    "name": "source_file",
    "date": "shot_date",
}  # a column's name, where it says too little as an attribute
_ROTATE_FLIP = re.compile(r"Rotate(None|90|180|270)Flip(None|X|Y|XY)")  # .NET's System.Drawing.RotateFlipType


def add_convention_attributes(
    dataset: xr.Dataset, facts: Mapping[str, Fact], diagnostic: Diagnostic | None
) -> xr.Dataset:
    """The dataset with the attributes of the conventions before its own.

    Args:
        dataset: labelled, its attributes the file's.
        facts: what the archive's row says.
        diagnostic: the description that it was labelled by.
    """
    original = dataset.attrs
    ours: dict[str, Any] = {"Conventions": _CONVENTIONS}
    if diagnostic is not None:
        ours["title"] = _format_title(diagnostic, facts)
    ours |= {_FACT_ATTRIBUTES.get(name, name): value for name, value in facts.items()}
    if diagnostic is not None:
        ours |= _build_description(diagnostic, original)
    ours["history"] = _format_history(diagnostic)
    labelled = dataset.copy(deep=False)
    labelled.attrs = ours | {f"file_{name}" if name in ours else str(name): value for name, value in original.items()}
    return labelled


def add_coordinate_references(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset, each variable naming its auxiliary coordinates in ``coordinates``: CF conventions, chapter 5."""
    auxiliary = {name: variable for name, variable in dataset.coords.variables.items() if variable.dims != (name,)}
    referring = {}
    for name, variable in dataset.data_vars.variables.items():
        names = [str(axis) for axis, values in auxiliary.items() if set(values.dims) <= set(variable.dims)]
        if names and "coordinates" not in variable.attrs:
            referring[name] = variable.copy(deep=False)
            referring[name].attrs["coordinates"] = " ".join(names)
    return dataset.assign(referring) if referring else dataset


def _format_title(diagnostic: Diagnostic, facts: Mapping[str, Fact]) -> str:
    facility = str(facts.get("facility", ""))
    shot = f"shot {facts['shot']}" if "shot" in facts else ""
    return ", ".join(part for part in (diagnostic.title, f"{facility} {shot}".strip()) if part)


def _build_description(diagnostic: Diagnostic, original: Mapping[Any, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"instrument": diagnostic.instrument} if diagnostic.instrument else {}
    said |= _build_time_attributes(diagnostic, original)
    said |= _build_orientation_attributes(original)
    return said | {f"active_area_{name}": np.array(bounds, np.int32) for name, bounds in diagnostic.active_area.items()}


def _build_time_attributes(diagnostic: Diagnostic, original: Mapping[Any, Any]) -> dict[str, str]:
    """When the shot was, in ISO 8601. The file's clock is the laboratory's; it states no zone, and neither do we."""
    if diagnostic.time is None:
        return {}
    written = str(original.get(diagnostic.time.attribute, ""))
    try:
        stamp = datetime.strptime(written, diagnostic.time.format)  # noqa: DTZ007 — the file states no zone
    except ValueError:
        return {}
    return {"time_coverage_start": stamp.isoformat(timespec="milliseconds")}


def _build_orientation_attributes(original: Mapping[Any, Any]) -> dict[str, Any]:
    """How to turn the image for the eye, as the camera's ``ImageDisplay`` says; the values are not turned."""
    found = _ROTATE_FLIP.fullmatch(str(original.get("ImageDisplay", "")))
    if not found:
        return {}
    turned, flipped = found.groups()
    return {"display_rotation": 0 if turned == "None" else int(turned), "display_flip": flipped.replace("None", "none")}


def _format_history(diagnostic: Diagnostic | None) -> str:
    done = "served as it is" if diagnostic is None else f"labelled as {diagnostic.name}"
    return f"shotdap {__version__}: {done}"
