"""A recipe says how one virtual variable is made: by which transform, of which variables, with which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import BaseModel

from shotdap.transforms.virtual.registry import BadTransform, find_transform
from shotdap.transforms.virtual.transform import BadOptions, Transform

__all__ = ["BadRecipe", "FromAttribute", "MissingInput", "Recipe"]


class BadRecipe(ValueError):
    """The recipe names a transform that does not exist, or does not fit the dataset."""


class MissingInput(BadRecipe):
    """The recipe needs something that this dataset does not have; the message says what."""


@dataclass(frozen=True)
class FromAttribute:
    """An option's value that each dataset says for itself, in an attribute of its own or of the recipe's inputs."""

    name: str
    index: int | None = None
    """Which of its numbers, where it has several and one is wanted."""

    def resolve(self, attributes: Mapping[Any, Any]) -> Any:  # noqa: ANN401 — whatever the attribute holds
        """The value.

        Raises:
            Missing: the attribute is not there.
        """
        if self.name not in attributes:
            raise MissingInput(f"There is no attribute {self.name}.")
        value = attributes[self.name]
        listed = np.asarray(value).tolist() if not isinstance(value, str) else value
        return listed if self.index is None else np.atleast_1d(value)[self.index]

    def __str__(self) -> str:
        return self.name if self.index is None else f"{self.name}[{self.index}]"


@dataclass(frozen=True)
class Recipe:
    """How one virtual variable is made."""

    name: str
    """The name of the variable it makes."""
    transform: Transform
    inputs: tuple[str, ...]
    """Variables of the dataset, virtual ones included, in the order of the function's arguments; ``flat.image`` is
    the variable ``image`` of another dataset, which is called ``flat`` here."""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Those that are not the transform's defaults; a value may be a `FromAttribute`."""
    coordinate: bool = False
    """Whether it is a coordinate of the variables that have its dimensions."""
    hidden: bool = False
    """Whether it only serves other recipes, and is no variable of the dataset."""
    suffix: str = ""
    """What the names of its new dimensions end with; its own name by default."""

    @classmethod
    def create(
        cls,
        name: str,
        transform: str,
        inputs: Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
        *,
        coordinate: bool = False,
    ) -> Recipe:
        """Make a recipe from a transform's name.

        Args:
            name: what the variable is to be called.
            transform: the transform's name.
            inputs: variables; where there are none, those that are called as the transform calls its inputs.
            options: those that are not to have their defaults.
            coordinate: whether the variable is a coordinate.

        Raises:
            BadRecipe: there is no such transform, or it takes other inputs or options.
        """
        try:
            found = find_transform(transform)
            said = dict(options or {})
            checked = found.validate_partial_options(
                {name: value for name, value in said.items() if not isinstance(value, FromAttribute)}
            )
            recipe = cls(name, found, tuple(inputs) or found.inputs, MappingProxyType({**said, **checked}), coordinate)
            if not recipe.attribute_options:
                found.validate_options(recipe.options)
        except (BadTransform, BadOptions) as error:
            raise BadRecipe(f"{name}: {error}") from error
        if len(recipe.inputs) != len(found.inputs):
            raise BadRecipe(f"{name} = {recipe}: {transform} takes the inputs {', '.join(found.inputs)}.")
        return recipe

    @property
    def attribute_options(self) -> tuple[FromAttribute, ...]:
        """The attributes that options are taken from."""
        return tuple(value for value in self.options.values() if isinstance(value, FromAttribute))

    def bind(self, attributes: Mapping[Any, Any]) -> Recipe:
        """The recipe with every option known, for a dataset with these attributes.

        Raises:
            Missing: an attribute that an option is taken from is not there.
            BadRecipe: what it says is no value of that option.
        """
        if not self.attribute_options:
            return self
        options = {
            name: value.resolve(attributes) if isinstance(value, FromAttribute) else value
            for name, value in self.options.items()
        }
        settled = replace(self, options=MappingProxyType(options))
        try:
            settled.transform.validate_options(options)
        except BadOptions as error:
            raise BadRecipe(f"{self.name}, whose options the file's attributes say: {error}") from error
        return settled

    @cached_property
    def validated_options(self) -> BaseModel:
        """All options, the defaults too, as the transform takes them."""
        return self.transform.validate_options(self.options)

    def __str__(self) -> str:
        """The recipe as a call: ``subtract_background(image, background)``; defaults are left out."""
        options = (f"{name}={_written(value)}" for name, value in sorted(self.options.items()))
        return f"{self.transform.name}({', '.join((*self.inputs, *options))})"


def _written(value: object) -> str:
    return str(value) if isinstance(value, FromAttribute) else repr(value)
