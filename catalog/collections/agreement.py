"""Compare the images of a stack: attributes, the meaning of their values, and coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr

from shotdap.transforms.virtual.read_cost import bytes_read

_ComparableValue: TypeAlias = "str | tuple[object, ...] | None"
"""An attribute's value, normalised so that equal meanings are equal."""

_DIFFERING_ATTRIBUTE: Final = "differing_attributes"
"""The attribute that lists the names of those that differ between images."""

_SEMANTIC_ATTRIBUTES: Final = (
    "units",
    "calendar",
    "standard_name",
    "positive",
    "scale_factor",
    "add_offset",
    "_FillValue",
    "missing_value",
    "_Unsigned",
    "flag_values",
    "flag_masks",
    "flag_meanings",
)
"""Attributes that define the meaning of a number. Others, such as ``long_name``, only describe it."""

_MAX_COMPARED_VALUES: Final = 1 << 16  # of a coordinate; twice the edge of the largest images, and half a megabyte
_MAX_GROUPS_NAMED: Final = 4  # different values in one sentence
_MAX_VALUE_CHARACTERS: Final = 60  # of each value

_KIND_NAMES: Final = {"b": "numbers", "i": "numbers", "u": "numbers", "f": "numbers", "c": "numbers"} | {
    "U": "text",
    "O": "text",
    "S": "bytes",
    "M": "times",
    "m": "durations",
}
"""By NumPy's kinds of types; values of one name can be in one array without a change of meaning."""


def merge_attributes(attributes: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    """Return the attributes that are equal in all images, and the names of the others as ``differing_attributes``.

    Numbers of different types can be equal; NaN is equal to NaN.
    """
    first, *others = attributes
    merged: dict[str, Any] = {}
    differing: list[str] = []
    for name in dict.fromkeys(str(name) for each in attributes for name in each):
        value = first.get(name)
        if all(name in each for each in attributes) and all(
            each[name] is value or _normalize_value(each[name]) == _normalize_value(value) for each in others
        ):
            merged[name] = value
        else:
            differing.append(name)
    return merged | ({_DIFFERING_ATTRIBUTE: ", ".join(differing)} if differing else {})


def describe_difference(variables: Sequence[xr.Variable], paths: Sequence[str]) -> str:
    """Describe why variables of one name cannot be stacked, as part of a sentence; empty if they can.

    Args:
        variables: one of each image.
        paths: of the images.
    """
    aspects: dict[str, Sequence[_ComparableValue]] = {
        "dimensions": [tuple(map(str, each.dims)) for each in variables],
        "kind of values": [_KIND_NAMES.get(each.dtype.kind, each.dtype.name) for each in variables],
    }
    aspects |= {name: [_normalize_value(each.attrs.get(name)) for each in variables] for name in _SEMANTIC_ATTRIBUTES}
    differences = []
    for aspect, values in aspects.items():
        groups: dict[_ComparableValue, list[str]] = {}
        for value, path in zip(values, paths, strict=True):
            groups.setdefault(value, []).append(path)
        if len(groups) == 1:
            continue
        descriptions = []  # which images have which value: ``um in omega/1/a and 3 others``, ``mm in omega/5/a``
        for value, members in groups.items():
            text = value if isinstance(value, str) else " ".join(map(str, value or ()))
            text = f"{text[:_MAX_VALUE_CHARACTERS]}…" if len(text) > _MAX_VALUE_CHARACTERS else text or "none"
            descriptions.append(f"{text} in {describe_paths(members)}")
        others = len(descriptions) - _MAX_GROUPS_NAMED
        more = f", and {others} more" if others > 0 else ""
        differences.append(f"{aspect}: {', '.join(descriptions[:_MAX_GROUPS_NAMED])}{more}")
    return "; ".join(differences)


def find_shared_coordinate(variables: Sequence[xr.Variable]) -> xr.Variable | None:
    """Return the coordinate that is valid for every image: the longest, if the others are its first values.

    Values are read to compare them, unless they are the same objects. A coordinate that is long, or computed from whole
    images, is not read; it counts as different.

    Args:
        variables: one of each image, of one dimension each.
    """
    longest = max(variables, key=lambda each: each.size)
    others = [each for each in variables if each._data is not longest._data]  # noqa: SLF001 — `.data` would read it
    if not others:
        return longest
    kind = longest.dtype.kind
    if longest.size > _MAX_COMPARED_VALUES or any(each.dtype.kind != kind or bytes_read(each) for each in variables):
        return None
    whole = np.asarray(longest.values)
    for each in others:
        values = np.asarray(each.values)
        if not np.array_equal(values, whole[: values.size], equal_nan=kind in "fcMm"):
            return None
    return longest


def describe_paths(paths: Sequence[str]) -> str:
    """Name the first of some images, and the number of others."""
    others = len(paths) - 1
    return f"{paths[0]} and {others} other{'s' if others > 1 else ''}" if others else paths[0]


def _normalize_value(value: object) -> _ComparableValue:
    """Return a value as a text or as numbers that are equal if their meaning is."""
    if value is None or isinstance(value, str):
        return value
    # Most values are single numbers, for which `item` is much faster.
    items = [value.item()] if isinstance(value, np.generic) else np.ravel(np.asarray(value)).tolist()
    if len(items) == 1 and isinstance(items[0], str):
        return items[0]
    return tuple(math.nan if item != item else item for item in items)  # noqa: PLR0124 — only NaN differs from itself
