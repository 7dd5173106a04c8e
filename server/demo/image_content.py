"""The content of an image file of any container: arrays and attributes, each with the type that is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    # A number has the type that is stored: np.uint32(0) becomes a uint32 attribute.
    Attribute: TypeAlias = str | np.generic | NDArray[Any]
    Attributes: TypeAlias = Mapping[str, Attribute]


@dataclass(frozen=True, eq=False)
class Scale:
    """The positions of the samples along one dimension."""

    values: NDArray[Any]
    units: str


@dataclass(frozen=True, eq=False)
class Variable:
    """One array of a file, with its attributes.

    `chunks` is the shape of a compressed chunk; `None` stores the array uncompressed and in one piece. `scales` has
    one scale for each dimension, or is empty.
    """

    name: str
    values: NDArray[Any]
    attributes: Attributes = field(default_factory=lambda: MappingProxyType({}))
    chunks: tuple[int, ...] | None = None
    scales: tuple[Scale, ...] = ()


@dataclass(frozen=True, eq=False)
class SyntheticImage:
    """The content of one file: its variables, in their order, and the attributes of the file itself."""

    variables: tuple[Variable, ...]
    attributes: Attributes = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, name: str) -> Variable:
        return {variable.name: variable for variable in self.variables}[name]
