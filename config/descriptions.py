"""Descriptions of diagnostics: one TOML file each, the site's before those that come with shotdap."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shotdap.catalog import Axis, Diagnostic, Match, Quantity, Related, Rule, TimeDirection, TimeStamp
from shotdap.config.recipe_checks import check_graph
from shotdap.transforms import BadRecipe, FromAttribute, Recipe, create_recipe


class BadDiagnostic(ValueError):
    """A description is not valid; the message names the file, and what would be right."""


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Match(_StrictModel):
    arrays: Mapping[str, tuple[int, ...]] = Field(default_factory=dict)
    clues: tuple[Mapping[str, str], ...] = ()


class _Rule(_StrictModel):
    array: str
    frame: int | None = Field(default=None, ge=0)
    optional: bool = False
    coordinate: bool = False
    attributes: Mapping[str, Any] = Field(default_factory=dict)

    def build_rule(self) -> Rule:
        # Protocols carry a list of numbers as an array.
        attributes = {
            name: np.asarray(value) if isinstance(value, list) else value for name, value in self.attributes.items()
        }
        return Rule(self.array, self.frame, self.optional, self.coordinate, attributes)


class _Quantity(_StrictModel):
    value: float = 1.0
    times: tuple[str, ...] = ()

    def build_quantity(self) -> Quantity:
        return Quantity(self.value, tuple(map(_parse_attribute, self.times)))


def _parse_attribute(text: str) -> tuple[str, int]:
    """Parse ``CCD_Binning[1]`` into a name and an index; the default is the first."""
    match = re.fullmatch(r"([^\[\]]+)(?:\[(\d+)\])?", text)
    if not match:
        raise ValueError(f"{text!r} is no attribute; write NAME or NAME[1]")
    return match[1], int(match[2] or 0)


class _Axis(_StrictModel):
    name: str
    dimension: str
    start: _Quantity = _Quantity(value=0.0)
    step: _Quantity
    attributes: Mapping[str, str] = Field(default_factory=dict)

    def build_axis(self) -> Axis:
        return Axis(self.name, self.dimension, self.start.build_quantity(), self.step.build_quantity(), self.attributes)


class _TimeStamp(_StrictModel):
    attribute: str
    format: str


class _FromAttribute(_StrictModel):
    attribute: str

    def build_reference(self) -> FromAttribute:
        name, index = _parse_attribute(self.attribute)
        return FromAttribute(name, index if "[" in self.attribute else None)


class _Recipe(_StrictModel):
    name: str = Field(pattern="^[A-Za-z][A-Za-z0-9_]*$")
    transform: str
    inputs: tuple[str, ...] = ()
    options: Mapping[str, _FromAttribute | Any] = Field(default_factory=dict)
    coordinate: bool = False

    def build_recipe(self) -> Recipe:
        options = {
            name: value.build_reference() if isinstance(value, _FromAttribute) else value
            for name, value in self.options.items()
        }
        return create_recipe(self.name, self.transform, self.inputs, options, coordinate=self.coordinate)


class _Related(_StrictModel):
    match: Mapping[str, str] = Field(min_length=1)
    when: TimeDirection = "earlier"
    within_days: float | None = Field(default=None, gt=0)


class _Description(_StrictModel):
    name: str
    title: str
    instrument: str = ""
    order: int = 0
    match: _Match = _Match()
    variables: Mapping[str, _Rule] = Field(default_factory=dict)
    dimensions: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    axes: tuple[_Axis, ...] = ()
    time: _TimeStamp | None = None
    active_area: Mapping[str, tuple[int, int]] = Field(default_factory=dict)
    recipes: tuple[_Recipe, ...] = ()
    related: Mapping[Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]*$")], _Related] = Field(default_factory=dict)

    def build_diagnostic(self) -> Diagnostic:
        return Diagnostic(
            name=self.name,
            title=self.title,
            instrument=self.instrument,
            match=Match(self.match.arrays, self.match.clues),
            variables={name: rule.build_rule() for name, rule in self.variables.items()},
            dimensions=self.dimensions,
            axes=tuple(axis.build_axis() for axis in self.axes),
            time=TimeStamp(self.time.attribute, self.time.format) if self.time else None,
            active_area=self.active_area,
            recipes=tuple(recipe.build_recipe() for recipe in self.recipes),
            related={name: Related(rule.match, rule.when, rule.within_days) for name, rule in self.related.items()},
        )


def load_diagnostics(site: Path | None = None) -> tuple[Diagnostic, ...]:
    """Load the descriptions, in the order in which they are tried: by ``order``, the site's before the shipped ones.

    A description with ``extends`` inherits the named one's content, and overrides parts of it. A description of the
    site replaces a shipped one of the same name.

    Args:
        site: a folder with this site's own descriptions.

    Raises:
        BadDiagnostic: a file is not TOML, or does not describe a diagnostic.
    """
    if site is not None and not site.is_dir():
        raise BadDiagnostic(f"catalog.diagnostics: there is no folder {site}.")
    shipped = files("shotdap.config").joinpath("diagnostics")
    tables: dict[str, tuple[str, dict[str, Any]]] = {}
    for folder in (site, shipped):
        for file in sorted(folder.iterdir(), key=lambda file: file.name) if folder is not None else ():
            if file.name.endswith(".toml"):
                try:
                    table = tomllib.loads(file.read_text("utf-8"))
                except ValueError as error:  # not TOML, or not UTF-8
                    raise BadDiagnostic(f"{file.name} is not TOML: {error}.") from error
                tables.setdefault(str(table.get("name", file.name)), (file.name, table))
    by_name = {name: table for name, (_, table) in tables.items()}
    descriptions = [_validate_description(file_name, table, by_name) for file_name, table in tables.values()]
    return tuple(description.build_diagnostic() for description in sorted(descriptions, key=lambda each: each.order))


def _validate_description(
    file_name: str, table: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]]
) -> _Description:
    try:
        description = _Description.model_validate(_resolve_extends(table, by_name, frozenset()))
        check_graph(description.build_diagnostic())
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise BadDiagnostic(f"{file_name}: {problems}.") from error
    except (BadRecipe, ValueError) as error:
        raise BadDiagnostic(f"{file_name}: {error}") from error
    return description


def _resolve_extends(
    table: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]], ancestors: frozenset[str]
) -> dict[str, Any]:
    """Merge a description into the one that it extends."""
    own = {key: value for key, value in table.items() if key != "extends"}
    name = table.get("extends")
    if name is None:
        return own
    if name in ancestors or name not in by_name:
        problem = "itself an extension of it" if name in ancestors else "not there"
        raise ValueError(f"extends {name!r}, which is {problem}")
    return _merge_tables({**_resolve_extends(by_name[name], by_name, ancestors | {name}), "order": 0}, own)


def _merge_tables(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge tables, and recipes by their names; replace all other values."""
    merged = {**base, **over}
    for key in base.keys() & over.keys():
        match base[key], over[key]:
            case dict() as inner, dict() as own:
                merged[key] = _merge_tables(inner, own)
            case list() as inner, list() as own if key == "recipes":
                # A recipe of the same name keeps its position; others are added at the end.
                merged[key] = list({each.get("name", n): each for n, each in enumerate([*inner, *own])}.values())
    return merged
