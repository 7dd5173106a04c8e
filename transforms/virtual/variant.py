"""Variants of a dataset, as a segment of its path asks for them: ``~background_subtracted-scale-1.2~median_filter``.

Grammar, of unreserved characters only (RFC 3986, 2.3), because netCDF-C sends others in a path encoded, or not at all:

    segment = 1*( "~" step )
    step    = name *( "-" option "-" value )
    value   = item *( "_" item )            ; more than one where the option is a list
    item    = [ "-" ] 1*( letter / digit / "." )

Rule 1: a step that names a variable takes it; of a virtual one it may change options. A step that names a transform
applies it to what was taken or made last. What the last of these makes is the variable ``result``.
Rule 2: an input of a transform that is not the first is the variable of that name, or the one that is given like an
option: ``~image~subtract_background-background-reference``.
Rule 3: there is one way to write a variant, which `Variant.canonical_text` gives: every option that says something, in the order
of their names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from shotdap.transforms.virtual.recipe import Recipe
from shotdap.transforms.virtual.registry import known_transforms
from shotdap.transforms.virtual.transform import BadOptions, Transform

__all__ = ["MARK", "RESULT", "BadVariant", "Step", "Variant", "build_variant", "parse_variant"]

MARK: Final = "~"
"""What a segment, and each of its steps, begins with: a character that no other segment of a public path has."""

RESULT: Final = "result"
"""The variable that the last transform of a variant makes."""

_MAX_STEPS: Final = 8
_MAX_LENGTH: Final = 1000  # characters of a segment

_ITEM: Final = r"-?[A-Za-z0-9.]+"
_OPTION: Final = rf"-([A-Za-z][A-Za-z0-9_]*)-({_ITEM}(?:_{_ITEM})*)"
_STEP: Final = re.compile(rf"([A-Za-z_][A-Za-z0-9_.]*)((?:{_OPTION})*)")


class BadVariant(ValueError):
    """The segment is no variant of this dataset; the message says what was wrong and what would be right."""


@dataclass(frozen=True)
class Step:
    """One step of a variant, as it was written."""

    name: str
    options: Mapping[str, str]

    def __str__(self) -> str:
        return self.name + "".join(f"-{name}-{value}" for name, value in sorted(self.options.items()))


@dataclass(frozen=True)
class Variant:
    """What a segment makes of a dataset."""

    recipes: tuple[Recipe, ...]
    """The recipes of the dataset as the segment has them, and those that it adds."""
    canonical_text: str
    """The segment as it is to be written."""
    requested_variables: frozenset[str]
    """The variables that were asked for: if one of them cannot be made, there is no such variant."""


def parse_variant(segment: str) -> tuple[Step, ...]:
    """Read a segment.

    Raises:
        BadVariant: it is none.
    """
    if len(segment) > _MAX_LENGTH:
        raise BadVariant(f"This variant is {len(segment)} characters long; it may have {_MAX_LENGTH}.")
    written = segment.removeprefix(MARK).split(MARK)
    if len(written) > _MAX_STEPS:
        raise BadVariant(f"This variant has {len(written)} steps; it may have {_MAX_STEPS}.")
    return tuple(map(_parse_step, written))


def _parse_step(text: str) -> Step:
    found = _STEP.fullmatch(text)
    if not found:
        raise BadVariant(
            f"{text!r} is no step of a variant; write NAME-OPTION-VALUE, such as ~background_subtracted-clip-true"
            " or ~image~crop-rows-100_199-columns-0_99."
        )
    options: dict[str, str] = {}
    for name, value in re.findall(_OPTION, found[2]):
        if name in options:
            raise BadVariant(f"{text!r} gives {name} twice.")
        options[name] = value
    return Step(found[1], MappingProxyType(options))


def build_variant(steps: Iterable[Step], recipes: Iterable[Recipe], there: Collection[str]) -> Variant:
    """Find out what steps make of a dataset.

    Args:
        steps: as `parse_variant` gives them.
        recipes: the dataset's.
        there: its other variables, those of other datasets included.

    Raises:
        BadVariant: a step names nothing that there is, or gives options that cannot be.
    """
    draft = _VariantBuilder({recipe.name: recipe for recipe in recipes}, there)
    for step in steps:
        draft.take_variable(step) if draft.has_variable(step.name) else draft.apply_transform(step)
    return draft.make_variant()


@dataclass
class _VariantBuilder:
    """A variant, step by step."""

    recipes: dict[str, Recipe]
    """The dataset's recipes, as far as they are changed."""
    other_variables: Collection[str]
    taken_steps: dict[str, Step] = field(default_factory=dict)
    """The variables that were taken, the last of them last, in the one way to write them."""
    chain: list[Recipe] = field(default_factory=list)
    applied_steps: list[Step] = field(default_factory=list)

    def has_variable(self, name: str) -> bool:
        """Whether the dataset has a variable of this name."""
        return name in self.recipes or name in self.other_variables

    def take_variable(self, step: Step) -> None:
        """Take a variable, with other options than it has."""
        if self.chain:
            raise BadVariant(f"{step.name} is a variable, which comes before the transforms, not after them.")
        if step.name in self.recipes:
            self.recipes[step.name], step = _change_recipe(self.recipes[step.name], step)
        elif step.options:
            raise BadVariant(f"{step.name} is in the file: it has no options.")
        self.taken_steps.pop(step.name, None)
        self.taken_steps[step.name] = step

    def apply_transform(self, step: Step) -> None:
        """Apply a transform to what was made or taken last."""
        if step.name not in known_transforms():
            raise BadVariant(self._describe_unknown_name(step.name))
        transform = known_transforms()[step.name]
        if not self.taken_steps:
            self.take_variable(Step(transform.inputs[0], MappingProxyType({})))
        first = self.chain[-1].name if self.chain else next(reversed(self.taken_steps))
        recipe, step = _build_recipe(transform, step, first, f"step_{len(self.chain)}")
        self.chain.append(recipe)
        self.applied_steps.append(step)

    def make_variant(self) -> Variant:
        """The variant; the last transform's result is a variable, those between are not."""
        chain = [*self.chain[:-1], *(replace(last, name=RESULT, hidden=False) for last in self.chain[-1:])]
        asked = frozenset((*self.taken_steps, *(recipe.name for recipe in chain)))
        return Variant((*self.recipes.values(), *chain), self._format_canonical_text(), asked)

    def _format_canonical_text(self) -> str:
        """The one way to write it. A variable that is not changed only matters to the transforms after it."""
        last = [step for step in [*self.taken_steps.values()][-1:] if self.chain]
        changed = sorted((step for step in self.taken_steps.values() if step.options and step not in last), key=str)
        return "".join(f"{MARK}{step}" for step in (*changed, *last, *self.applied_steps))

    def _describe_unknown_name(self, name: str) -> str:
        variables = ", ".join(sorted({*self.recipes, *(each for each in self.other_variables if "/" not in each)}))
        transforms = ", ".join(sorted(known_transforms()))
        return (
            f"There is no variable and no transform {name!r}. The variables are: {variables}."
            f" The transforms are: {transforms}."
        )


def _change_recipe(recipe: Recipe, step: Step) -> tuple[Recipe, Step]:
    """A recipe of the dataset with other options, and the step in the one way to write it."""
    transform = recipe.transform
    try:
        asked = transform.validate_partial_options(_split_lists(transform, step.options))
    except BadOptions as error:
        raise BadVariant(f"{recipe.name}: {error}") from error
    usual = {} if recipe.attribute_options else dict(recipe.validated_options)
    differing = {name: value for name, value in asked.items() if name not in usual or usual[name] != value}
    varied = replace(recipe, options=MappingProxyType({**recipe.options, **differing}))
    return varied, Step(step.name, MappingProxyType({name: _format_value(value) for name, value in differing.items()}))


def _build_recipe(transform: Transform, step: Step, first: str, name: str) -> tuple[Recipe, Step]:
    """A transform applied to a variable, and the step in the one way to write it."""
    named = {name: value for name, value in step.options.items() if name in transform.inputs[1:]}
    options = {name: value for name, value in step.options.items() if name not in named}
    inputs = (first, *(named.get(name, name) for name in transform.inputs[1:]))
    try:
        checked = transform.validate_options(_split_lists(transform, options))
    except BadOptions as error:
        raise BadVariant(str(error)) from error
    defaults = {name: each.default for name, each in transform.options_model.model_fields.items()}
    differing = {name: value for name, value in checked if value != defaults[name]}
    written = {name: value for name, value in named.items() if value != name}
    written |= {name: _format_value(value) for name, value in differing.items()}
    recipe = Recipe(name, transform, inputs, MappingProxyType(differing), hidden=True, suffix=RESULT)
    return recipe, Step(step.name, MappingProxyType(written))


def _split_lists(transform: Transform, options: Mapping[str, str]) -> dict[str, Any]:
    """Options as the model takes them: lists taken apart."""
    return {
        name: value.split("_") if name in transform.list_valued_options else value for name, value in options.items()
    }


def _format_value(value: object) -> str:
    """A value as a segment has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return np.format_float_positional(value, trim="-")
    if isinstance(value, Collection) and not isinstance(value, str):
        return "_".join(map(_format_value, value))
    return str(value)
