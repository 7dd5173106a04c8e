"""Transforms: pure functions on arrays, with the properties of their results that are known before a call.

The function's signature is the only definition: the parameters before the ``*`` are its inputs, those after it are its
options, each with a type, a range and a default. The model that checks options, from a TOML file, from a URL, or from
Python, is made from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from inspect import Parameter, getdoc, signature
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_type_hints

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from shotdap.transforms.virtual.footprint import Footprint, FootprintFunction, Sizes, WorkingMemory, pointwise

Options: TypeAlias = Any
"""A transform's checked options: a frozen pydantic model whose fields are the function's keyword arguments."""

Units: TypeAlias = Callable[[Sequence[str], Any], str]
"""Returns the result's units for the inputs' units (empty if there are none) and the options."""

_DEFAULT_MEMORY: Final = WorkingMemory(32)  # four arrays of float64, or eight of float32


class BadOptions(ValueError):
    """The options are not valid for the transform; the message names its options, and the fault."""


def require_numbers(inputs: Sequence[xr.Variable], _options: Options) -> None:
    """Check that all inputs are numbers.

    Raises:
        ValueError: one of them is text.
    """
    if any(each.dtype.kind not in "biuf" for each in inputs):
        raise ValueError("it needs numbers, and there is text among its inputs")


def keep_units(inputs: Sequence[str], _options: Options) -> str:
    """Return the units of the first input."""
    return inputs[0]


@dataclass(frozen=True)
class Transform:
    """A pure function with its footprint, and the properties of its result.

    The function computes the values; dimensions, type, units and name of its result are declared here, because they
    must be known before anything is read. The values are cast to `dtype`; a result of another shape is an error.
    """

    function: Callable[..., xr.DataArray]
    """Inputs as positional arguments, in-memory arrays of any integer or floating type; options as keywords."""
    footprint: FootprintFunction = pointwise
    dtype: str | None = "float32"
    """The result's type; `None` for the first input's."""
    units: Units | str = keep_units
    long_name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Other attributes of the result: flag_meanings, cell_methods, …"""
    coordinates: Mapping[str, Callable[[Any], Sequence[float]]] = field(default_factory=lambda: MappingProxyType({}))
    """For each new dimension of the result a function from the options to the values along it."""
    fits: Callable[[Sequence[xr.Variable], Any], None] = require_numbers
    """Raises a `ValueError` if the inputs' types or attributes do not fit the function."""
    memory: WorkingMemory = _DEFAULT_MEMORY
    """Peak memory of the function beside its inputs, which `TransformContract.test_memory` measures."""
    knows_indices: bool = False
    """Whether the function needs the position of its part of the inputs: then each dimension of an input has a
    coordinate, the index of each of its values in the whole. See `positions.select_bounds`."""

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @cached_property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (getdoc(self.function) or "").partition("\n")[0]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs, in their order."""
        return tuple(each.name for each in self._parameters if each.kind is not Parameter.KEYWORD_ONLY)

    @cached_property
    def options_model(self) -> type[BaseModel]:
        """The model that checks its options."""
        return self._make_model({name: each.default for name, each in self._keyword_parameters.items()})

    @cached_property
    def _partial_model(self) -> type[BaseModel]:
        """The same model without required options."""
        return self._make_model(dict.fromkeys(self._keyword_parameters, None))

    def _make_model(self, defaults: Mapping[str, Any]) -> type[BaseModel]:
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], ... if default is Parameter.empty else default) for name, default in defaults.items()
        }
        return create_model(
            self.name, __config__=ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False), **fields
        )

    @cached_property
    def list_valued_options(self) -> frozenset[str]:
        """The options whose values are lists."""
        schema = self.options_model.model_json_schema().get("properties", {})
        return frozenset(name for name, each in schema.items() if "array" in _list_json_types(each))

    @property
    def _keyword_parameters(self) -> dict[str, Parameter]:
        return {each.name: each for each in self._parameters if each.kind is Parameter.KEYWORD_ONLY}

    @property
    def _parameters(self) -> Sequence[Parameter]:
        return list(signature(self.function).parameters.values())

    def validate_options(self, options: Mapping[str, Any]) -> BaseModel:
        """Convert and check options.

        Raises:
            BadOptions: one is unknown, missing, or outside its range.
        """
        try:
            return self.options_model.model_validate(dict(options))
        except ValidationError as error:
            raise self._make_bad_options(error) from error

    def validate_partial_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Convert and check some options, while the others are not known yet.

        Raises:
            BadOptions: one is unknown, or outside its range.
        """
        try:
            return dict(self._partial_model.model_validate(dict(options)).model_dump(exclude_unset=True))
        except ValidationError as error:
            raise self._make_bad_options(error) from error

    def _make_bad_options(self, error: ValidationError) -> BadOptions:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}" for each in error.errors()
        )
        names = ", ".join(self.options_model.model_fields)
        hint = f"Its options are: {names}." if names else "It has no options."
        return BadOptions(f"{self.name} does not take this: {problems}. {hint}")

    def apply(self, *arrays: xr.DataArray, **options: Any) -> xr.DataArray:  # noqa: ANN401 — each transform's own
        """Apply it to arrays in memory, and describe the result in its attributes; for notebooks.

        Raises:
            BadOptions: the options are not the transform's.
            ValueError: the inputs do not fit.
        """
        arrays = tuple(array.copy(data=np.asarray(array.values)) for array in arrays)  # computed, if they were lazy
        variables = [array.variable for array in arrays]
        checked = self.validate_options(options)
        self.footprint([{str(name): size for name, size in each.sizes.items()} for each in variables], checked)
        self.fits(variables, checked)
        result = self.function(*arrays, **dict(checked)).drop_attrs()
        return result.astype(self.infer_dtype(variables)).assign_attrs(self.describe_result(variables, checked))

    def infer_dtype(self, inputs: Sequence[xr.Variable]) -> np.dtype[Any]:
        """Return the type of the result."""
        return np.dtype(self.dtype) if self.dtype else inputs[0].dtype.newbyteorder("=")

    def describe_result(self, inputs: Sequence[xr.Variable], options: BaseModel) -> dict[str, Any]:
        """Return the attributes of the result: its units, its name, and others."""
        input_units = [str(each.attrs.get("units", "")) for each in inputs]
        units = self.units if isinstance(self.units, str) else self.units(input_units, options)
        return {
            **({"units": units} if units else {}),
            **({"long_name": self.long_name} if self.long_name else {}),
            **self.attributes,
        }

    def footprint_of(self, inputs: Sequence[Sizes], options: BaseModel) -> Footprint:
        """Compute the footprint of the result in inputs of these sizes.

        Raises:
            ValueError: they do not fit one another, or the options.
        """
        if len(inputs) != len(self.inputs):
            raise ValueError(f"it takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), not {len(inputs)}")
        return replace(self.footprint(inputs, options), memory=self.memory)


def _list_json_types(schema: Mapping[str, Any]) -> set[str]:
    """List the types of JSON that a schema allows."""
    return {str(schema.get("type", "")), *(kind for each in schema.get("anyOf", ()) for kind in _list_json_types(each))}


def serialize_options(options: BaseModel) -> str:
    """Serialize all options as JSON, sorted by name, for attributes and cache keys."""
    return json.dumps(options.model_dump(mode="json"), sort_keys=True)
