"""Descriptions of diagnostics: one TOML file each, those of the site before those that come with shotdap."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shotdap.catalog import Axis, Diagnostic, Match, Quantity, Related, Rule, TimeDirection, TimeStamp
from shotdap.config.recipe_checks import check_graph
from shotdap.transforms import BadRecipe, FromAttribute, Recipe, create_recipe


class BadDiagnostic(ValueError):
    """A description does not hold together; the message names the file, and what would be right."""


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


class _Quantity(_StrictModel):
    value: float = 1.0
    times: tuple[str, ...] = ()

    def build_quantity(self) -> Quantity:
        return Quantity(self.value, tuple(map(_parse_attribute, self.times)))


def _parse_attribute(text: str) -> tuple[str, int]:
    """``CCD_Binning[1]`` as a name and an index; without an index, the first."""
    found = re.fullmatch(r"([^\[\]]+)(?:\[(\d+)\])?", text)
    if not found:
        raise ValueError(f"{text!r} is no attribute; write NAME or NAME[1]")
    return found[1], int(found[2] or 0)


def _convert_lists_to_arrays(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as protocols carry them: a list of numbers is an array."""
    return {name: np.asarray(value) if isinstance(value, list) else value for name, value in attributes.items()}


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
            variables={
                name: Rule(
                    rule.array, rule.frame, rule.optional, rule.coordinate, _convert_lists_to_arrays(rule.attributes)
                )
                for name, rule in self.variables.items()
            },
            dimensions=self.dimensions,
            axes=tuple(axis.build_axis() for axis in self.axes),
            time=TimeStamp(self.time.attribute, self.time.format) if self.time else None,
            active_area=self.active_area,
            recipes=tuple(recipe.build_recipe() for recipe in self.recipes),
            related={name: Related(rule.match, rule.when, rule.within_days) for name, rule in self.related.items()},
        )


def load_diagnostics(site: Path | None = None) -> tuple[Diagnostic, ...]:
    """Read the descriptions, in the order in which they are tried: by ``order``, the site's before the shipped ones.

    A description that says ``extends`` has all that the named one says, but for what it says itself. One of the site's
    with the name of a shipped one takes its place.

    Args:
        site: a folder with this site's own descriptions.

    Raises:
        BadDiagnostic: a file is not TOML, or does not describe a diagnostic.
    """
    if site is not None and not site.is_dir():
        raise BadDiagnostic(f"catalog.diagnostics: there is no folder {site}.")
    shipped = files("shotdap.config").joinpath("diagnostics")
    written: dict[str, tuple[Traversable, dict[str, Any]]] = {}
    for folder in (site, shipped):
        for file in _list_toml_files(folder) if folder is not None else ():
            said = _read_toml(file)
            written.setdefault(str(said.get("name", file.name)), (file, said))
    described = (_validate_description(file, said, written) for file, said in written.values())
    return tuple(description.build_diagnostic() for description in sorted(described, key=lambda each: each.order))


def _list_toml_files(folder: Traversable) -> Iterator[Traversable]:
    return (file for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.name.endswith(".toml"))


def _read_toml(file: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except ValueError as error:  # not TOML, or not UTF-8
        raise BadDiagnostic(f"{file.name} is not TOML: {error}.") from error


def _validate_description(
    file: Traversable, said: Mapping[str, Any], written: Mapping[str, tuple[Traversable, dict[str, Any]]]
) -> _Description:
    try:
        description = _Description.model_validate(_resolve_extends(said, written, frozenset()))
        check_graph(description.build_diagnostic())
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise BadDiagnostic(f"{file.name}: {problems}.") from error
    except (BadRecipe, ValueError) as error:
        raise BadDiagnostic(f"{file.name}: {error}") from error
    return description


def _resolve_extends(
    said: Mapping[str, Any], written: Mapping[str, tuple[Traversable, dict[str, Any]]], above: frozenset[str]
) -> dict[str, Any]:
    """What a description says, over what the one that it extends says."""
    own = {key: value for key, value in said.items() if key != "extends"}
    name = said.get("extends")
    if name is None:
        return own
    if name in above or name not in written:
        raise ValueError(f"extends {name!r}, which is {'itself an extension of it' if name in above else 'not there'}")
    return _merge_tables({**_resolve_extends(written[name][1], written, above | {name}), "order": 0}, own)


def _merge_tables(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged, recipes by their names; all else is replaced."""
    return {**base, **over} | {key: _merge_values(key, base[key], over[key]) for key in base.keys() & over.keys()}


def _merge_values(key: str, base: Any, over: Any) -> Any:  # noqa: ANN401 — whatever TOML holds
    if isinstance(base, dict) and isinstance(over, dict):
        return _merge_tables(base, over)
    if key == "recipes" and isinstance(base, list) and isinstance(over, list):
        return _merge_recipes(base, over)
    return over


def _merge_recipes(base: Sequence[Mapping[str, Any]], over: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Recipes, and others that take the places of those of the same names, or come after them."""
    return list({each.get("name", number): each for number, each in enumerate([*base, *over])}.values())
