"""How far a value of a result reaches into the inputs it is made of.

Strategy: each dimension of a result lies along a dimension of the inputs, `start + step * index`, and one value needs
some neighbours on either side; or it is a new dimension. That is enough to know the shape of a result that nobody has
computed, and to turn the slice that somebody wants of it into the least slices of the inputs.

Rule 1: a result that is asked for in part is the same, to the bit, as that part of the whole result. So a transform
whose values hang together in any other way (a mean over the image, an unwrapped phase) is `whole`: computed once, and
remembered.
Rule 2: a footprint knows names and lengths of dimensions, and reads nothing.
Rule 3: a footprint states the working memory of its function. Results that need their inputs entire count with it
towards a server's limit; all others are computed in blocks that keep to `BLOCK_BYTES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

Sizes: TypeAlias = Mapping[str, int]
"""The names and lengths of a variable's dimensions, in their order."""

FootprintFunction: TypeAlias = Callable[[Sequence[Sizes], Any], "Footprint"]
"""Of inputs of some sizes and a transform's checked options, the footprint.

Raises `ValueError`, with a sentence, where the inputs or options do not fit one another."""


BLOCK_BYTES: Final = 64 << 20
"""Bytes of working memory that a result whose values need only a part of the inputs is computed in."""


@dataclass(frozen=True)
class WorkingMemory:
    """Bytes of memory that a transform's function takes beside its inputs, at its peak; its result is among them.

    It holds for any options, and for inputs of any type of up to 8 bytes, with NaN and without.
    """

    per_pixel: float
    """Bytes for each value of the largest input."""
    fixed: int = 1 << 20
    """Bytes that do not grow with the inputs: blocks that are worked on at a time, tables, small arrays."""

    def estimate_bytes(self, pixels: int) -> int:
        """Return the bytes for inputs of which the largest has so many values."""
        return self.fixed + math.ceil(self.per_pixel * pixels)


_NO_MEMORY: Final = WorkingMemory(0, 0)


@dataclass(frozen=True)
class Along:
    """A dimension of a result that lies along a dimension of the inputs."""

    source: str
    """The inputs' dimension."""
    size: int
    """How many indices the result has."""
    start: int = 0
    """Where the first of them lies."""
    step: int = 1
    """How many indices of the inputs lie between two of the result; below zero where they run backwards."""
    before: int = 0
    """How many neighbours before it a value needs."""
    after: int = 0
    """How many after it."""

    def is_identity(self, sizes: Sizes) -> bool:
        """Whether the result's indices are the inputs' own."""
        return (self.start, self.step, self.size) == (0, 1, sizes.get(self.source))

    def compute_source_range(self, wanted: range, size: int) -> range:
        """Which indices of the inputs' dimension, of this length, some indices of the result need, ascending."""
        ends = [self.start + self.step * wanted[0], self.start + self.step * wanted[-1]]
        if self.before == self.after == 0:
            return range(min(ends), max(ends) + 1, abs(self.step) * wanted.step if len(wanted) > 1 else 1)
        return range(max(0, min(ends) - self.before), min(size, max(ends) + self.after + 1))

    def compute_trim_slice(self, wanted: range, needed: range) -> slice:
        """Which of the values that were made of the needed indices are the wanted ones."""
        if self.before == self.after == 0:
            return slice(None)
        # Blocks begin where a value does; a halo is cut off where the image ends.
        first = (self.start + self.step * wanted[0] - needed.start) // self.step
        return slice(first, first + wanted[-1] - wanted[0] + 1, wanted.step)


@dataclass(frozen=True)
class Footprint:
    """How a result lies in its inputs."""

    dimensions: Mapping[str, Along | int]
    """For each dimension of the result, in their order, where it lies; or the length of a new one."""
    is_whole: bool = False
    """Whether any value needs the inputs entire."""
    reduced_ranges: Mapping[str, range] = field(default_factory=lambda: MappingProxyType({}))
    """Of dimensions that the result does not have, what is read; all of those that are not named here."""

    memory: WorkingMemory = _NO_MEMORY
    """Of the function that makes the result; `Transform.footprint_of` fills it in."""

    @property
    def sizes(self) -> dict[str, int]:
        """The result's dimensions and their lengths."""
        return {name: each if isinstance(each, int) else each.size for name, each in self.dimensions.items()}

    def compute_source_ranges(self, wanted: Mapping[str, range], sizes: Sizes) -> dict[str, range]:
        """Which indices of an input's dimensions some indices of the result need."""
        along = {each.source: (name, each) for name, each in self.dimensions.items() if isinstance(each, Along)}
        return {
            dimension: along[dimension][1].compute_source_range(wanted[along[dimension][0]], size)
            if dimension in along
            else self.reduced_ranges.get(dimension, range(size))
            for dimension, size in sizes.items()
        }

    def compute_trim_slices(self, wanted: Mapping[str, range], needed: Mapping[str, range]) -> tuple[slice, ...]:
        """Which of the values made of the needed indices are wanted, for each dimension of the result."""
        return tuple(
            each.compute_trim_slice(wanted[name], needed[each.source]) if isinstance(each, Along) else slice(None)
            for name, each in self.dimensions.items()
        )


def find_image_dimensions(sizes: Sizes) -> tuple[str, str]:
    """The dimensions of an image's rows and columns: the last two, whatever they are called.

    Raises:
        ValueError: there are fewer.
    """
    if len(sizes) < 2:  # noqa: PLR2004 — rows and columns
        raise ValueError(f"it needs an image, which has rows and columns; this has {_format_dimensions(sizes)}")
    rows, columns = list(sizes)[-2:]
    return rows, columns


def pointwise(inputs: Sequence[Sizes], _options: BaseModel) -> Footprint:
    """A value needs the inputs at its own indices only."""
    return Footprint({name: Along(name, size) for name, size in _merge_sizes(inputs).items()})


def whole(inputs: Sequence[Sizes], _options: BaseModel) -> Footprint:
    """A result of the inputs' dimensions, of which any value needs the inputs entire."""
    return Footprint({name: Along(name, size) for name, size in _merge_sizes(inputs).items()}, is_whole=True)


def halo(reach: Callable[[Any], int]) -> FootprintFunction:
    """A value needs its neighbours, so many rows and columns away; `reach` tells how many, of the options."""

    def compute_footprint(inputs: Sequence[Sizes], options: BaseModel) -> Footprint:
        sizes = _merge_sizes(inputs)
        near = dict.fromkeys(find_image_dimensions(sizes), reach(options))
        return Footprint(
            {name: Along(name, size, before=near.get(name, 0), after=near.get(name, 0)) for name, size in sizes.items()}
        )

    return compute_footprint


def blocks(rows: Callable[[Any], int], columns: Callable[[Any], int]) -> FootprintFunction:
    """A value needs a block of so many rows and columns; what is left over at the far edges makes none."""

    def compute_footprint(inputs: Sequence[Sizes], options: BaseModel) -> Footprint:
        sizes = _merge_sizes(inputs)
        pixels = dict(zip(find_image_dimensions(sizes), (rows(options), columns(options)), strict=True))
        for name, count in pixels.items():
            if count > sizes[name]:
                raise ValueError(f"a block of {count} is more than {name} has, {sizes[name]}")
        return Footprint(
            {name: _binned(name, size, pixels[name]) if name in pixels else Along(name, size)
             for name, size in sizes.items()}
        )  # fmt: skip

    return compute_footprint


def _binned(name: str, size: int, count: int) -> Along:
    return Along(name, size // count, step=count, after=count - 1)


def _merge_sizes(inputs: Sequence[Sizes]) -> dict[str, int]:
    """The dimensions of inputs that lie on one another: those of the one that has all of them."""
    together: dict[str, int] = {}
    for sizes in inputs:
        for name, size in sizes.items():
            if together.setdefault(name, size) != size:
                raise ValueError(f"its inputs differ along {name}: {together[name]} and {size}")
    fullest: Sizes = max(inputs, key=len, default={})
    if together.keys() != fullest.keys():
        shapes = " and ".join(map(_format_dimensions, inputs))
        raise ValueError(f"its inputs must share their dimensions; they have {shapes}")
    return dict(fullest)


def _format_dimensions(sizes: Sizes) -> str:
    return f"({', '.join(sizes)})" if sizes else "none"
