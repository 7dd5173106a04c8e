"""What the images of a stack agree on: attributes, the meaning of their values, and coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr

from shotdap.transforms.virtual.read_cost import bytes_read

__all__ = ["DIFFERING_ATTRIBUTE", "describe_difference", "describe_paths", "find_shared_coordinate", "merge_attributes"]

_ComparableValue: TypeAlias = "str | tuple[object, ...] | None"
"""Of an attribute, so that two are equal where they say the same."""

DIFFERING_ATTRIBUTE: Final = "differing_attributes"
"""The attribute that names the attributes that are not the same in all images."""

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
"""Attributes without which a number says something else. Others, such as ``long_name``, only describe it."""

_MAX_COMPARED_VALUES: Final = (
    1 << 16
)  # values of a coordinate; twice the edge of the largest images, and half a megabyte
_MAX_GROUPS_NAMED: Final = 4  # different values that a sentence names
_MAX_VALUE_CHARACTERS: Final = 60  # characters of each

_KIND_NAMES: Final = {"b": "numbers", "i": "numbers", "u": "numbers", "f": "numbers", "c": "numbers"} | {
    "U": "text",
    "O": "text",
    "S": "bytes",
    "M": "times",
    "m": "durations",
}
"""By kinds of NumPy's types, what values are; those of one word can lie in one array without a change of meaning."""


def merge_attributes(attributes: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    """Return the attributes that all images have with the same value, and under `DIFFERING_ATTRIBUTE` the names of the others.

    Numbers are the same if they are equal, whatever their types; NaN is the same as NaN.
    """
    first, *others = attributes
    merged: dict[str, Any] = {}
    differing: list[str] = []
    for name in dict.fromkeys(str(name) for each in attributes for name in each):
        value = first.get(name)
        if all(name in each for each in attributes) and all(_is_same(each[name], value) for each in others):
            merged[name] = value
        else:
            differing.append(name)
    return merged | ({DIFFERING_ATTRIBUTE: ", ".join(differing)} if differing else {})


def describe_difference(variables: Sequence[xr.Variable], paths: Sequence[str]) -> str:
    """Return why variables of one name cannot lie on one another, as part of a sentence; empty if they can.

    Args:
        variables: one of each image.
        paths: of the images.
    """
    aspects: dict[str, Sequence[_ComparableValue]] = {
        "dimensions": [tuple(map(str, each.dims)) for each in variables],
        "kind of values": [_KIND_NAMES.get(each.dtype.kind, each.dtype.name) for each in variables],
    }
    aspects |= {name: [_normalize_value(each.attrs.get(name)) for each in variables] for name in _SEMANTIC_ATTRIBUTES}
    differences = [
        f"{aspect}: {_describe_groups(values, paths)}" for aspect, values in aspects.items() if len(set(values)) > 1
    ]
    return "; ".join(differences)


def find_shared_coordinate(variables: Sequence[xr.Variable]) -> xr.Variable | None:
    """Return the coordinate that is true of every image: the longest, if the others are its first values.

    The values are read, unless they are the same objects. A coordinate that is long, or computed from whole images, is
    not read, and counts as different.

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
    """Name the first of some images, and say how many there are besides."""
    others = len(paths) - 1
    return f"{paths[0]} and {others} other{'s' if others > 1 else ''}" if others else paths[0]


def _describe_groups(values: Sequence[_ComparableValue], paths: Sequence[str]) -> str:
    """Say in which images something is what: ``um in omega/1/a and 3 others, mm in omega/5/a``."""
    groups: dict[_ComparableValue, list[str]] = {}
    for value, path in zip(values, paths, strict=True):
        groups.setdefault(value, []).append(path)
    named = [f"{_format_value(value)} in {describe_paths(members)}" for value, members in groups.items()]
    return ", ".join(named[:_MAX_GROUPS_NAMED]) + (
        f", and {len(named) - _MAX_GROUPS_NAMED} more" if len(named) > _MAX_GROUPS_NAMED else ""
    )


def _format_value(value: _ComparableValue) -> str:
    words = value if isinstance(value, str) else " ".join(map(str, value or ()))
    return (words if len(words) <= _MAX_VALUE_CHARACTERS else f"{words[:_MAX_VALUE_CHARACTERS]}…") or "none"


def _is_same(value: object, other: object) -> bool:
    return value is other or _normalize_value(value) == _normalize_value(other)


def _normalize_value(value: object) -> _ComparableValue:
    """An attribute's value as something that is equal where the value is the same: a text, or numbers."""
    if value is None or isinstance(value, str):
        return value
    # By far the most values are single numbers, which are much faster so.
    items = [value.item()] if isinstance(value, np.generic) else np.ravel(np.asarray(value)).tolist()
    if len(items) == 1 and isinstance(items[0], str):
        return items[0]
    return tuple(math.nan if item != item else item for item in items)  # noqa: PLR0124 — only NaN differs from itself
