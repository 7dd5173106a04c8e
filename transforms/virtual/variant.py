"""Variants of a dataset, as one segment of its path: ``~background_subtracted-scale-1.2~median_filter``.

The grammar uses unreserved characters only (RFC 3986, 2.3): netCDF-C encodes other characters in a path, or drops them.

    segment = 1*( "~" step )
    step    = name *( "-" option "-" value )
    value   = item *( "_" item )            ; more than one if the option is a list
    item    = [ "-" ] 1*( letter / digit / "." )

Rule 1: a step with the name of a variable selects it, and may change the options of a virtual one. A step with the name
of a transform applies it to the previous step's variable. The result of the last transform is the variable ``result``.
Rule 2: every input of a transform but the first is the variable of the input's name, or the one that is given like an
option: ``~image~subtract_background-background-reference``.
Rule 3: each variant has one canonical text, `Variant.canonical_text`: it has the options that differ from the defaults,
in the order of their names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from shotdap.transforms.virtual.recipe import Recipe
from shotdap.transforms.virtual.transform import BadOptions, Transform

MARK: Final = "~"
"""The first character of a segment and of each step; no other segment of a public path has it."""

_RESULT: Final = "result"  # the variable that the last transform of a variant makes

_MAX_STEPS: Final = 8
_MAX_LENGTH: Final = 1000  # characters of a segment

_ITEM: Final = r"-?[A-Za-z0-9.]+"
_OPTION: Final = rf"-([A-Za-z][A-Za-z0-9_]*)-({_ITEM}(?:_{_ITEM})*)"
_STEP: Final = re.compile(rf"([A-Za-z_][A-Za-z0-9_.]*)((?:{_OPTION})*)")


class BadVariant(ValueError):
    """The segment is no variant of this dataset; the message says what is wrong and what would be right."""


@dataclass(frozen=True)
class Step:
    """One step of a variant, as in the segment."""

    name: str
    options: Mapping[str, str]

    def __str__(self) -> str:
        return self.name + "".join(f"-{name}-{value}" for name, value in sorted(self.options.items()))


@dataclass(frozen=True)
class Variant:
    """A segment, resolved for a dataset."""

    recipes: tuple[Recipe, ...]
    """The dataset's recipes with the segment's options, and the recipes that the segment adds."""
    canonical_text: str
    """The canonical segment."""
    requested_variables: frozenset[str]
    """The variables that the segment names or makes; if one of them cannot be made, the variant does not exist."""


def parse_variant(segment: str) -> tuple[Step, ...]:
    """Parse a segment.

    Raises:
        BadVariant: it is not valid.
    """
    if len(segment) > _MAX_LENGTH:
        raise BadVariant(f"This variant is {len(segment)} characters long; it may have {_MAX_LENGTH}.")
    texts = segment.removeprefix(MARK).split(MARK)
    if len(texts) > _MAX_STEPS:
        raise BadVariant(f"This variant has {len(texts)} steps; it may have {_MAX_STEPS}.")
    steps = []
    for text in texts:
        match = _STEP.fullmatch(text)
        if not match:
            raise BadVariant(
                f"{text!r} is no step of a variant; write NAME-OPTION-VALUE, such as ~background_subtracted-clip-true"
                " or ~image~crop-rows-100_199-columns-0_99."
            )
        options: dict[str, str] = {}
        for name, value in re.findall(_OPTION, match[2]):
            if name in options:
                raise BadVariant(f"{text!r} gives {name} twice.")
            options[name] = value
        steps.append(Step(match[1], MappingProxyType(options)))
    return tuple(steps)


def build_variant(
    steps: Iterable[Step], recipes: Iterable[Recipe], others: Collection[str], transforms: Mapping[str, Transform]
) -> Variant:
    """Resolve the steps of a variant for a dataset.

    Args:
        steps: from `parse_variant`.
        recipes: the dataset's.
        others: the names of its other variables, those of other datasets included.
        transforms: the transforms that a step can name.

    Raises:
        BadVariant: a step names neither a variable nor a transform, or its options are not valid.
    """
    builder = _VariantBuilder({recipe.name: recipe for recipe in recipes}, others, transforms)
    for step in steps:
        if step.name in builder.recipes or step.name in others:
            builder.take_variable(step)
        else:
            builder.apply_transform(step)
    return builder.make_variant()


@dataclass
class _VariantBuilder:
    """A variant, step by step."""

    recipes: dict[str, Recipe]
    """The dataset's recipes, with the options of the steps so far."""
    other_variables: Collection[str]
    transforms: Mapping[str, Transform]
    selected_steps: dict[str, Step] = field(default_factory=dict)
    """The canonical steps that select variables, the last one last."""
    chain: list[Recipe] = field(default_factory=list)
    applied_steps: list[Step] = field(default_factory=list)
    """The canonical steps that apply transforms."""

    def take_variable(self, step: Step) -> None:
        """Select a variable, and change its options."""
        if self.chain:
            raise BadVariant(f"{step.name} is a variable, which comes before the transforms, not after them.")
        recipe = self.recipes.get(step.name)
        if recipe is not None:
            try:
                options = recipe.transform.validate_partial_options(_split_lists(recipe.transform, step.options))
            except BadOptions as error:
                raise BadVariant(f"{recipe.name}: {error}") from error
            present = {} if recipe.attribute_options else dict(recipe.validated_options)
            changes = {name: value for name, value in options.items() if name not in present or present[name] != value}
            self.recipes[step.name] = replace(recipe, options=MappingProxyType({**recipe.options, **changes}))
            step = Step(step.name, MappingProxyType({name: _format_value(value) for name, value in changes.items()}))
        elif step.options:
            raise BadVariant(f"{step.name} is in the file: it has no options.")
        self.selected_steps.pop(step.name, None)
        self.selected_steps[step.name] = step

    def apply_transform(self, step: Step) -> None:
        """Apply a transform to the variable of the step before."""
        if step.name not in self.transforms:
            variables = sorted({*self.recipes, *(each for each in self.other_variables if "/" not in each)})
            raise BadVariant(
                f"There is no variable and no transform {step.name!r}. The variables are: {', '.join(variables)}."
                f" The transforms are: {', '.join(sorted(self.transforms))}."
            )
        transform = self.transforms[step.name]
        if not self.selected_steps:
            self.take_variable(Step(transform.inputs[0], MappingProxyType({})))
        first = self.chain[-1].name if self.chain else next(reversed(self.selected_steps))
        inputs = {name: step.options.get(name, name) for name in transform.inputs[1:]}
        options = {name: value for name, value in step.options.items() if name not in inputs}
        try:
            checked = transform.validate_options(_split_lists(transform, options))
        except BadOptions as error:
            raise BadVariant(str(error)) from error
        defaults = {name: each.default for name, each in transform.options_model.model_fields.items()}
        changes = {name: value for name, value in checked if value != defaults[name]}
        texts = {name: value for name, value in inputs.items() if value != name}
        texts |= {name: _format_value(value) for name, value in changes.items()}
        self.chain.append(
            Recipe(
                f"step_{len(self.chain)}",
                transform,
                (first, *inputs.values()),
                MappingProxyType(changes),
                hidden=True,
                suffix=_RESULT,
            )
        )
        self.applied_steps.append(Step(step.name, MappingProxyType(texts)))

    def make_variant(self) -> Variant:
        """Make the variant; of the transforms' results only the last one is a variable."""
        chain = [*self.chain[:-1], *(replace(last, name=_RESULT, hidden=False) for last in self.chain[-1:])]
        requested = frozenset((*self.selected_steps, *(recipe.name for recipe in chain)))
        # A variable whose options are unchanged only matters as the input of the first transform.
        last = [step for step in [*self.selected_steps.values()][-1:] if chain]
        changed = sorted((step for step in self.selected_steps.values() if step.options and step not in last), key=str)
        text = "".join(f"{MARK}{step}" for step in (*changed, *last, *self.applied_steps))
        return Variant((*self.recipes.values(), *chain), text, requested)


def _split_lists(transform: Transform, options: Mapping[str, str]) -> dict[str, Any]:
    """Split the values of the options that are lists."""
    return {
        name: value.split("_") if name in transform.list_valued_options else value for name, value in options.items()
    }


def _format_value(value: object) -> str:
    """Format an option's value for a segment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return np.format_float_positional(value, trim="-")
    if isinstance(value, Collection) and not isinstance(value, str):
        return "_".join(map(_format_value, value))
    return str(value)
