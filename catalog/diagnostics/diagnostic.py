"""The description of a diagnostic: which files it applies to, and what their arrays, frames and axes mean.

Descriptions are configuration (``config/diagnostics/*.toml``), loaded into these classes; `label` applies one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from math import isfinite, prod
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from shotdap.catalog.entry import Fact, TimeDirection
from shotdap.transforms import Recipe


@dataclass(frozen=True)
class Match:
    """The condition that files of a kind fulfil: all of the arrays exist, and at least one of the clues holds."""

    arrays: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Arrays of the file with their shapes; 0 stands for any length."""
    clues: tuple[Mapping[str, str], ...] = ()
    """Shell patterns for values of the archive's row or the file's attributes, case ignored."""

    def find_mismatches(self, raw: xr.Dataset, facts: Mapping[str, Fact]) -> Iterator[str]:
        """Find the reasons why a file does not match; none if it does."""
        for name, lengths in self.arrays.items():
            if name not in raw.variables:
                yield f"it has no array {name}"
                continue
            shape = raw.variables[name].shape
            if len(shape) != len(lengths) or any(
                length not in {0, size} for size, length in zip(shape, lengths, strict=True)
            ):
                yield f"its {name} is {_format_shape(shape)}, not {_format_shape(lengths)}"
        arrays = (variable.attrs for variable in raw.variables.values())
        metadata = {  # the row's values replace the file's attributes, and these its arrays'
            str(name): value.lower() if isinstance(value, str) else str(value)
            for attributes in (*arrays, raw.attrs, facts)
            for name, value in attributes.items()
        }
        if self.clues and not any(
            all(name in metadata and fnmatchcase(metadata[name], pattern.lower()) for name, pattern in clue.items())
            for clue in self.clues
        ):
            clues = (" and ".join(f"{name} like {pattern!r}" for name, pattern in clue.items()) for clue in self.clues)
            yield "none of these holds: " + "; ".join(clues)


def _format_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) if size else "any" for size in shape) or "a single value"


@dataclass(frozen=True)
class Rule:
    """The array of a file that becomes one variable."""

    array: str
    frame: int | None = None
    """The index along the array's first dimension; `None` for the whole array."""
    optional: bool = False
    coordinate: bool = False
    """Whether it is a coordinate of the variables that have its dimensions."""
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Units, long_name, valid_range, saturation, …"""


@dataclass(frozen=True)
class Quantity:
    """A number, multiplied by values of the file's attributes."""

    value: float = 1.0
    times: tuple[tuple[str, int], ...] = ()
    """Names of attributes, each with the index of the number if it has several."""

    def evaluate(self, attributes: Mapping[Any, Any]) -> float | None:
        """Compute the number for a file with these attributes; return `None` if one is missing."""
        try:
            factors = [float(np.atleast_1d(attributes[name])[index]) for name, index in self.times]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
        product = self.value * prod(factors)
        return product if isfinite(product) else None


@dataclass(frozen=True)
class Axis:
    """An evenly spaced coordinate of one dimension: ``start + step * index``, in float64."""

    name: str
    dimension: str
    start: Quantity
    step: Quantity
    attributes: Mapping[str, str]

    def create_variable(self, size: int, attributes: Mapping[Any, Any]) -> xr.Variable | None:
        """Create the coordinate for a file with these attributes; return `None` if they do not define it."""
        start, step = self.start.evaluate(attributes), self.step.evaluate(attributes)
        if start is None or not step:
            return None
        return xr.Variable((self.dimension,), start + step * np.arange(size), dict(self.attributes))


@dataclass(frozen=True)
class TimeStamp:
    """The attribute that contains the time of the shot, and its format."""

    attribute: str
    format: str
    """In the notation of `datetime.strptime`."""


@dataclass(frozen=True)
class Related:
    """Another image that recipes take inputs from, such as the last flat field before the shot."""

    match: Mapping[str, str]
    """Shell patterns for values of the other image's row; ``{diagnostic}`` stands for this image's own diagnostic."""
    when: TimeDirection = "earlier"
    within_days: float | None = None
    """The maximum distance in time; `None` for no limit."""

    def format_patterns(self, facts: Mapping[str, Fact]) -> dict[str, str]:
        """Format the patterns for an image whose row has these values."""
        values = _PatternValues({name: escape(str(value)) for name, value in facts.items()})
        return {name: pattern.format_map(values) for name, pattern in self.match.items()}


class _PatternValues(dict[str, str]):
    """Values of a row; a missing one becomes ``no <column>``, which no real value equals."""

    def __missing__(self, name: str) -> str:
        return f"no {name}"


@dataclass(frozen=True)
class Diagnostic:
    """The description of the files of one kind of camera."""

    name: str
    title: str
    match: Match = field(default_factory=Match)
    instrument: str = ""
    variables: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    """The variables to make, by the names that clients see."""
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Names of dimensions, slowest first, by the name of a variable or a pattern of names."""
    axes: tuple[Axis, ...] = ()
    time: TimeStamp | None = None
    active_area: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    """For each dimension the first and the last pixel that are exposed to light; the rest is overscan."""
    recipes: tuple[Recipe, ...] = ()
    """The virtual variables of every file of this kind that has their inputs."""
    related: Mapping[str, Related] = field(default_factory=lambda: MappingProxyType({}))
    """Other images that recipes take inputs from: ``flat.image`` is the ``image`` of the one called ``flat`` here."""

    def explain_mismatch(self, raw: xr.Dataset, facts: Mapping[str, Fact]) -> str:
        """Return the reason why a file, as its reader returns it, is not of this kind; empty if it is."""
        for name, rule in self.variables.items():
            if rule.array not in raw.variables:
                if not rule.optional:
                    return f"it has no array {rule.array}"
                continue
            shape, dimensions = raw.variables[rule.array].shape, self.dimensions.get(name)
            if dimensions is not None and len(shape) - (rule.frame is not None) != len(dimensions):
                return f"its {rule.array} is {_format_shape(shape)}, not {len(dimensions)}-dimensional by the frame"
            if rule.frame is not None and not (shape and rule.frame < shape[0]):
                return f"its {rule.array} has no frame {rule.frame}"
        return next(self.match.find_mismatches(raw, facts), "")

    @property
    def assigned_names(self) -> frozenset[str]:
        """The names that the description assigns: of variables, dimensions, axes and virtual variables."""
        dimensions = (name for names in self.dimensions.values() for name in names)
        recipes = (recipe.name for recipe in self.recipes)
        return frozenset((*self.variables, *dimensions, *(axis.name for axis in self.axes), *recipes))
