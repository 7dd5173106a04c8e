"""A diagnostic's description, and what it makes of a file: named variables with dimensions, coordinates and units.

A file says ``Streak_array[2, 1100, 1100]`` and 130 attributes; a physicist wants ``image(y, x)``, ``background(y, x)``
and where they came from. A description says how to get from one to the other; descriptions are configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from shotdap.transforms import Recipe, extend

__all__ = ["Diagnostic", "label"]


@dataclass(frozen=True)
class Diagnostic:
    """How to read the files of one kind of camera."""

    name: str
    array: str
    """The file's array that holds the frames. A file that has it, with as many frames, is matched."""
    frames: tuple[str, ...]
    """The variables that the frames become, along the array's first dimension."""
    dimensions: tuple[str, ...]
    """The dimensions of one frame, slowest first."""
    rename: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Other arrays of the file, and what they are called here; one of a frame's shape gets a frame's dimensions."""
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    """For each variable and coordinate here, attributes such as its units."""
    recipes: tuple[Recipe, ...] = ()
    """The virtual variables that every file of this kind has."""

    def matches(self, raw: xr.Dataset) -> bool:
        """Whether a file, as its reader gives it, is of this kind."""
        found = raw.variables.get(self.array)
        return (
            found is not None
            and found.ndim == 1 + len(self.dimensions)
            and found.shape[0] == len(self.frames)
            and found.dtype.kind in "iuf"
            and not self._made.intersection(map(str, raw.variables))
        )

    @property
    def _made(self) -> frozenset[str]:
        """Names that a file must not use itself, or two things would have one name."""
        return frozenset((*self.frames, *self.dimensions, *(recipe.name for recipe in self.recipes)))


def label(raw: xr.Dataset, diagnostics: Iterable[Diagnostic], *, chunked: bool = True) -> xr.Dataset:
    """Label a file by the first description that matches it; a file that none matches stays as it is.

    Args:
        raw: the file as its reader gives it.
        diagnostics: descriptions, the particular before the general.
        chunked: whether virtual variables are dask arrays; see `extend`.

    Returns:
        The labelled dataset, as lazy as the raw one. The attributes of the array that held the frames describe the
        whole exposure, so they join the dataset's own.
    """
    for diagnostic in diagnostics:
        if diagnostic.matches(raw):
            return extend(_labelled(raw, diagnostic), diagnostic.recipes, chunked=chunked)
    return raw


def _labelled(raw: xr.Dataset, diagnostic: Diagnostic) -> xr.Dataset:
    stack = raw.variables[diagnostic.array]
    frame_shape = stack.shape[1:]
    variables = {name: _frame(stack, number, diagnostic) for number, name in enumerate(diagnostic.frames)} | {
        diagnostic.rename.get(str(name), str(name)): _aligned(variable, frame_shape, diagnostic)
        for name, variable in raw.variables.items()
        if name != diagnostic.array
    }
    for name, variable in variables.items():
        variable.attrs.update(diagnostic.attributes.get(name, {}))
    return xr.Dataset(
        variables,
        coords=xr.Coordinates(_pixels(diagnostic, frame_shape), indexes={}),
        attrs=_joined(raw.attrs, stack.attrs, diagnostic),
    )


def _frame(stack: xr.Variable, number: int, diagnostic: Diagnostic) -> xr.Variable:
    frame = stack.isel({stack.dims[0]: number})
    return _with(frame, diagnostic.dimensions, {"source_array": f"{diagnostic.array}[{number}]"})


def _aligned(variable: xr.Variable, frame_shape: tuple[int, ...], diagnostic: Diagnostic) -> xr.Variable:
    """Another array of the file; one of a frame's shape lies on the frame's pixels."""
    dimensions = diagnostic.dimensions if variable.shape == frame_shape else tuple(map(str, variable.dims))
    return _with(variable, dimensions, dict(variable.attrs))


def _with(variable: xr.Variable, dimensions: tuple[str, ...], attributes: dict[str, Any]) -> xr.Variable:
    """The same lazy values under other dimensions, in a variable of our own."""
    names = {old: new for old, new in zip(variable.dims, dimensions, strict=True) if old != new}
    renamed = xr.Dataset({"lone": variable}).rename_dims(names).variables["lone"].copy(deep=False)
    renamed.attrs = attributes
    return renamed


def _pixels(diagnostic: Diagnostic, shape: tuple[int, ...]) -> dict[str, xr.Variable]:
    """A coordinate for each dimension: the number of the pixel, from 0."""
    return {
        name: xr.Variable((name,), np.arange(size, dtype=np.int32), diagnostic.attributes.get(name, {}))
        for name, size in zip(diagnostic.dimensions, shape, strict=True)
    }


def _joined(file: Mapping[Any, Any], stack: Mapping[Any, Any], diagnostic: Diagnostic) -> dict[str, Any]:
    """The attributes of the file and of its stack of frames; where both have a name, the stack's carries its own."""
    joined = dict(file)
    for name, value in stack.items():
        joined[f"{diagnostic.array}_{name}" if name in file else name] = value
    return joined
