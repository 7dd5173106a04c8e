"""A transform: a pure function on arrays, and what is known of its result before it is called.

The function's signature says it all once: what stands before the ``*`` are its inputs, what stands behind it are its
options, each with a type, a range and a default. Of these the model is made that checks options, whether they come
from a TOML file, from a URL, or from Python.
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
"""Of the inputs' units (empty where there are none) and the options, the result's."""


_DEFAULT_MEMORY: Final = WorkingMemory(32)  # four arrays of float64, or eight of float32


class BadOptions(ValueError):
    """The options are not the transform's; the message says which they are, and their ranges."""


def require_numbers(inputs: Sequence[xr.Variable], _options: Options) -> None:
    """Take numbers of any kind.

    Raises:
        ValueError: one of the inputs is text.
    """
    if any(each.dtype.kind not in "biuf" for each in inputs):
        raise ValueError("it needs numbers, and there is text among its inputs")


def keep_units(inputs: Sequence[str], _options: Options) -> str:
    """The units of the first input."""
    return inputs[0]


@dataclass(frozen=True)
class Transform:
    """A pure function with its footprint, and what is true of its result.

    The function gives the numbers; dimensions, type, units and name of its result stand here, because they must be
    known while nothing has been read. Its values are cast to `dtype`; a result of another shape is refused.
    """

    function: Callable[..., xr.DataArray]
    """Inputs as positional arguments, in-memory arrays of any integer or floating type; options as keywords."""
    footprint: FootprintFunction = pointwise
    dtype: str | None = "float32"
    """The result's type; `None` for the first input's."""
    units: Units | str = keep_units
    long_name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What else is true of the result: flag_meanings, cell_methods, …"""
    coordinates: Mapping[str, Callable[[Any], Sequence[float]]] = field(default_factory=lambda: MappingProxyType({}))
    """For each new dimension of the result the values along it, of the options."""
    fits: Callable[[Sequence[xr.Variable], Any], None] = require_numbers
    """Raises a `ValueError` where inputs of these types and with these attributes cannot be worked with."""
    memory: WorkingMemory = _DEFAULT_MEMORY
    """What the function takes beside its inputs, which `TransformContract.test_memory` measures; 32 bytes a pixel by
    default."""
    knows_indices: bool = False
    """Whether the function needs to know which part of the inputs it was given: then each dimension of an input has
    a coordinate, the index of each of its values in the whole. See `indices` in `positions`."""

    @property
    def name(self) -> str:
        """The function's own."""
        return self.function.__name__

    @cached_property
    def summary(self) -> str:
        """What it does, in a line: the first of the function's docstring."""
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
        """The same model with no option that has to be there."""
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
        """Options as the function takes them.

        Raises:
            BadOptions: one is unknown, missing, or outside its range.
        """
        try:
            return self.options_model.model_validate(dict(options))
        except ValidationError as error:
            raise self._make_bad_options(error) from error

    def validate_partial_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Some options as the function takes them, where the others are not known yet.

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
        taken = f"Its options are: {names}." if names else "It has no options."
        return BadOptions(f"{self.name} does not take this: {problems}. {taken}")

    def apply(self, *arrays: xr.DataArray, **options: Any) -> xr.DataArray:  # noqa: ANN401 — each transform's own
        """Apply it to arrays in memory, and say in attributes what the result is; for notebooks.

        Raises:
            BadOptions: the options are not the transform's.
            ValueError: the inputs do not fit.
        """
        arrays = tuple(array.copy(data=np.asarray(array.values)) for array in arrays)  # in memory, whatever they were
        checked = self.validate_options(options)
        self.footprint([_get_sizes(array) for array in arrays], checked)
        self.fits([array.variable for array in arrays], checked)
        result = self.function(*arrays, **dict(checked)).drop_attrs()
        described = self.describe_result([array.variable for array in arrays], checked)
        return result.astype(self.infer_dtype([array.variable for array in arrays])).assign_attrs(described)

    def infer_dtype(self, inputs: Sequence[xr.Variable]) -> np.dtype[Any]:
        """The type of the result."""
        return np.dtype(self.dtype) if self.dtype else inputs[0].dtype.newbyteorder("=")

    def describe_result(self, inputs: Sequence[xr.Variable], options: BaseModel) -> dict[str, Any]:
        """The attributes of the result: what it is, in which units."""
        given = [str(each.attrs.get("units", "")) for each in inputs]
        units = self.units if isinstance(self.units, str) else self.units(given, options)
        return {
            **({"units": units} if units else {}),
            **({"long_name": self.long_name} if self.long_name else {}),
            **self.attributes,
        }

    def footprint_of(self, inputs: Sequence[Sizes], options: BaseModel) -> Footprint:
        """How the result of inputs of these sizes lies in them.

        Raises:
            ValueError: they do not fit one another, or the options.
        """
        if len(inputs) != len(self.inputs):
            raise ValueError(f"it takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), not {len(inputs)}")
        return replace(self.footprint(inputs, options), memory=self.memory)


def _list_json_types(schema: Mapping[str, Any]) -> set[str]:
    """The types of JSON that a schema allows."""
    return {str(schema.get("type", "")), *(kind for each in schema.get("anyOf", ()) for kind in _list_json_types(each))}


def _get_sizes(array: xr.DataArray) -> Sizes:
    return {str(name): size for name, size in array.sizes.items()}


def serialize_options(options: BaseModel) -> str:
    """Options as JSON, all of them, in the order of their names: as attributes and caches have them."""
    return json.dumps(options.model_dump(mode="json"), sort_keys=True)
