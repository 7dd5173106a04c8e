"""Recipes: how one virtual variable is made, by which transform, from which variables, with which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import BaseModel

from shotdap.transforms.virtual.transform import BadOptions, Transform


class BadRecipe(ValueError):
    """The recipe names a transform that does not exist, or does not fit the dataset."""


class MissingInput(BadRecipe):
    """The recipe needs something that this dataset does not have; the message names it."""


@dataclass(frozen=True)
class FromAttribute:
    """An option whose value is in an attribute, of the dataset or of the recipe's inputs."""

    name: str
    index: int | None = None
    """The index of one number of it; `None` takes the whole attribute."""

    def resolve(self, attributes: Mapping[Any, Any]) -> Any:  # noqa: ANN401 — whatever the attribute holds
        """Return the value.

        Raises:
            MissingInput: the attribute does not exist.
        """
        if self.name not in attributes:
            raise MissingInput(f"There is no attribute {self.name}.")
        value = attributes[self.name]
        if self.index is not None:
            return np.atleast_1d(value)[self.index]
        return value if isinstance(value, str) else np.asarray(value).tolist()

    def __str__(self) -> str:
        return self.name if self.index is None else f"{self.name}[{self.index}]"


@dataclass(frozen=True)
class Recipe:
    """One virtual variable: its transform, its inputs and its options."""

    name: str
    """The name of the variable it makes."""
    transform: Transform
    inputs: tuple[str, ...]
    """Variables of the dataset, virtual ones included, in the order of the function's arguments; ``flat.image`` is
    the variable ``image`` of another dataset, named ``flat`` here."""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The options that differ from the transform's defaults; a value may be a `FromAttribute`."""
    coordinate: bool = False
    """Whether it is a coordinate of the variables that have its dimensions."""
    hidden: bool = False
    """Whether it only serves other recipes, and is no variable of the dataset."""
    suffix: str = ""
    """The end of the names of its new dimensions; its own name by default."""

    @classmethod
    def create(
        cls,
        name: str,
        transform: Transform,
        inputs: Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
        *,
        coordinate: bool = False,
    ) -> Recipe:
        """Create a recipe with checked options.

        Args:
            name: the name of the variable.
            transform: makes the variable.
            inputs: variables; by default those with the names of the transform's inputs.
            options: those that differ from their defaults.
            coordinate: whether the variable is a coordinate.

        Raises:
            BadOptions: the transform takes other options.
            BadRecipe: the transform takes another number of inputs.
        """
        options = options or {}
        values = {name: value for name, value in options.items() if not isinstance(value, FromAttribute)}
        checked = MappingProxyType({**options, **transform.validate_partial_options(values)})
        recipe = cls(name, transform, tuple(inputs) or transform.inputs, checked, coordinate)
        if not recipe.attribute_options:
            transform.validate_options(recipe.options)
        if len(recipe.inputs) != len(transform.inputs):
            raise BadRecipe(f"{name} = {recipe}: {transform.name} takes the inputs {', '.join(transform.inputs)}.")
        return recipe

    @property
    def attribute_options(self) -> tuple[FromAttribute, ...]:
        """The attributes that options are taken from."""
        return tuple(value for value in self.options.values() if isinstance(value, FromAttribute))

    def bind(self, attributes: Mapping[Any, Any]) -> Recipe:
        """Return the recipe with every option known, for a dataset with these attributes.

        Raises:
            MissingInput: an attribute that an option is taken from does not exist.
            BadRecipe: the attribute has no valid value for the option.
        """
        if not self.attribute_options:
            return self
        options = {
            name: value.resolve(attributes) if isinstance(value, FromAttribute) else value
            for name, value in self.options.items()
        }
        try:
            self.transform.validate_options(options)
        except BadOptions as error:
            raise BadRecipe(f"{self.name}, whose options the file's attributes say: {error}") from error
        return replace(self, options=MappingProxyType(options))

    @cached_property
    def validated_options(self) -> BaseModel:
        """All options, the defaults too, as the transform takes them."""
        return self.transform.validate_options(self.options)

    def __str__(self) -> str:
        """Format the recipe as a call: ``subtract_background(image, background)``; defaults are left out."""
        options = (
            f"{name}={value}" if isinstance(value, FromAttribute) else f"{name}={value!r}"
            for name, value in sorted(self.options.items())
        )
        return f"{self.transform.name}({', '.join((*self.inputs, *options))})"
