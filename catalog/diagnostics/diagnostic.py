"""A diagnostic's description: which files are of its kind, and what their arrays, frames and axes are.

Descriptions are configuration (``config/diagnostics/*.toml``); this is what one is made into. What it does to a file is
in `labels`.
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

__all__ = ["Axis", "Diagnostic", "Match", "Quantity", "Related", "Rule", "TimeStamp"]


@dataclass(frozen=True)
class Match:
    """Which files are of a kind: all of the arrays must be there, and one of the clues must hold."""

    arrays: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Arrays of the file with their shapes; 0 stands for any length."""
    clues: tuple[Mapping[str, str], ...] = ()
    """Patterns as a shell has them, for what the archive's row or the file's attributes say, case ignored."""

    def find_mismatches(self, raw: xr.Dataset, facts: Mapping[str, Fact]) -> Iterator[str]:
        """Why a file does not match: nothing, where it does."""
        for name, shape in self.arrays.items():
            if name not in raw.variables:
                yield f"it has no array {name}"
            elif not _is_shape_match(raw.variables[name].shape, shape):
                yield f"its {name} is {_format_shape(raw.variables[name].shape)}, not {_format_shape(shape)}"
        said = _collect_metadata(raw, facts)
        if self.clues and not any(_is_clue_match(clue, said) for clue in self.clues):
            yield "none of these holds: " + "; ".join(map(_format_clue, self.clues))


def _is_shape_match(shape: tuple[int, ...], pattern: tuple[int, ...]) -> bool:
    return len(shape) == len(pattern) and all(wanted in {0, size} for size, wanted in zip(shape, pattern, strict=True))


def _format_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) if size else "any" for size in shape) or "a single value"


def _collect_metadata(raw: xr.Dataset, facts: Mapping[str, Fact]) -> dict[str, str]:
    """What is known of a file: its attributes and its arrays', and before these what the archive's row says."""
    arrays = (variable.attrs for variable in raw.variables.values())
    known = {str(name): value for attributes in (*arrays, raw.attrs, facts) for name, value in attributes.items()}
    return {name: value.lower() if isinstance(value, str) else str(value) for name, value in known.items()}


def _is_clue_match(clue: Mapping[str, str], said: Mapping[str, str]) -> bool:
    return all(name in said and fnmatchcase(said[name], pattern.lower()) for name, pattern in clue.items())


def _format_clue(clue: Mapping[str, str]) -> str:
    return " and ".join(f"{name} like {pattern!r}" for name, pattern in clue.items())


@dataclass(frozen=True)
class Rule:
    """How one variable is found in a file."""

    array: str
    frame: int | None = None
    """The index along the array's first dimension; `None` takes the array whole."""
    optional: bool = False
    coordinate: bool = False
    """Whether it is a coordinate of the variables that have its dimensions."""
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Units, long_name, valid_range, saturation, …"""


@dataclass(frozen=True)
class Quantity:
    """A number, times numbers that the file's attributes hold."""

    value: float = 1.0
    times: tuple[tuple[str, int], ...] = ()
    """Attributes, and which of its numbers where one has several."""

    def evaluate(self, attributes: Mapping[Any, Any]) -> float | None:
        """The number, for a file with these attributes; `None` where they do not say."""
        try:
            factors = [float(np.atleast_1d(attributes[name])[index]) for name, index in self.times]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
        product = self.value * prod(factors)
        return product if isfinite(product) else None


@dataclass(frozen=True)
class Axis:
    """A coordinate that is even along one dimension: ``start + step * index``, in float64."""

    name: str
    dimension: str
    start: Quantity
    step: Quantity
    attributes: Mapping[str, str]

    def create_variable(self, size: int, attributes: Mapping[Any, Any]) -> xr.Variable | None:
        """The coordinate of a file with these attributes; `None` where they do not say enough."""
        start, step = self.start.evaluate(attributes), self.step.evaluate(attributes)
        if start is None or not step:
            return None
        return xr.Variable((self.dimension,), start + step * np.arange(size), dict(self.attributes))


@dataclass(frozen=True)
class TimeStamp:
    """Where a file says when the shot was, and how it writes that."""

    attribute: str
    format: str
    """As `datetime.strptime` has it."""


@dataclass(frozen=True)
class Related:
    """Which other image recipes take inputs from: the flat field that was taken last before the shot, for one."""

    match: Mapping[str, str]
    """Patterns as a shell has them, for what the other's row says; ``{diagnostic}`` in one is this image's own."""
    when: TimeDirection = "earlier"
    within_days: float | None = None
    """How far the two may lie apart; `None` for any time."""

    def format_patterns(self, facts: Mapping[str, Fact]) -> dict[str, str]:
        """The patterns, for an image of which a row says this."""
        said = _FormatFacts({name: escape(str(value)) for name, value in facts.items()})
        return {name: pattern.format_map(said) for name, pattern in self.match.items()}


class _FormatFacts(dict[str, str]):
    """What a row says; what it does not say is a text that no pattern matches."""

    def __missing__(self, name: str) -> str:
        return f"no {name}"


@dataclass(frozen=True)
class Diagnostic:
    """How to read the files of one kind of camera."""

    name: str
    title: str
    match: Match = field(default_factory=Match)
    instrument: str = ""
    variables: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    """The variables to make, by the names that clients see."""
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Names of dimensions, slowest first: for a variable, or for a pattern of names."""
    axes: tuple[Axis, ...] = ()
    time: TimeStamp | None = None
    active_area: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    """For each dimension the first and the last pixel that see light; the rest is overscan."""
    recipes: tuple[Recipe, ...] = ()
    """The virtual variables that every file of this kind has, as far as their inputs are there."""
    related: Mapping[str, Related] = field(default_factory=lambda: MappingProxyType({}))
    """Other images that recipes take inputs from: ``flat.image`` is the ``image`` of the one called ``flat`` here."""

    def explain_mismatch(self, raw: xr.Dataset, facts: Mapping[str, Fact]) -> str:
        """Why a file, as its reader gives it, is not of this kind, in a sentence; empty where it is."""
        for name, rule in self.variables.items():
            if rule.array not in raw.variables:
                if not rule.optional:
                    return f"it has no array {rule.array}"
            elif objection := _find_rule_mismatch(raw.variables[rule.array], rule, self.dimensions.get(name)):
                return objection
        return next(self.match.find_mismatches(raw, facts), "")

    @property
    def assigned_names(self) -> frozenset[str]:
        """The names that are given here: of variables, dimensions, axes and virtual variables."""
        dimensions = (name for names in self.dimensions.values() for name in names)
        recipes = (recipe.name for recipe in self.recipes)
        return frozenset((*self.variables, *dimensions, *(axis.name for axis in self.axes), *recipes))


def _find_rule_mismatch(variable: xr.Variable, rule: Rule, dimensions: tuple[str, ...] | None) -> str:
    """Why a rule cannot be applied to an array; empty where it can."""
    ndim = variable.ndim - (rule.frame is not None)
    if dimensions is not None and ndim != len(dimensions):
        return f"its {rule.array} is {_format_shape(variable.shape)}, not {len(dimensions)}-dimensional by the frame"
    if rule.frame is not None and not (variable.ndim and rule.frame < variable.shape[0]):
        return f"its {rule.array} has no frame {rule.frame}"
    return ""
