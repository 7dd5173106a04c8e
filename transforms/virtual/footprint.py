"""Footprints: the part of the inputs that a part of a result needs.

Strategy: each dimension of a result follows a dimension of the inputs, `start + step * index`, and one value needs
some neighbours on either side; or it is a new dimension. This gives the shape of a result before it is computed, and
the least slices of the inputs for a slice of the result.

Rule 1: a part of a result, computed alone, equals that part of the whole result to the bit. So a transform whose values
depend on one another in any other way (a mean over the image, an unwrapped phase) is `whole`: computed once, and
remembered.
Rule 2: a footprint knows names and lengths of dimensions, and reads nothing.
Rule 3: a footprint states the working memory of its function. Results that need their inputs entire count with it
towards a server's limit; all others are computed in blocks within `BLOCK_BYTES`.
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
"""Returns the footprint for the sizes of the inputs and the checked options.

Raises `ValueError`, with a sentence, if the inputs or options do not fit one another."""

BLOCK_BYTES: Final = 64 << 20
"""Bytes of working memory for a block of a result whose values need only a part of the inputs."""


@dataclass(frozen=True)
class WorkingMemory:
    """Peak memory of a transform's function beside its inputs, in bytes; its result is included.

    It is true for any options, and for inputs of any type of up to 8 bytes, with NaN and without.
    """

    per_pixel: float
    """Bytes for each value of the largest input."""
    fixed: int = 1 << 20
    """Bytes that do not grow with the inputs: blocks that are worked on at a time, tables, small arrays."""

    def estimate_bytes(self, pixels: int) -> int:
        """Return the bytes for inputs whose largest has this number of values."""
        return self.fixed + math.ceil(self.per_pixel * pixels)


_NO_MEMORY: Final = WorkingMemory(0, 0)


@dataclass(frozen=True)
class Along:
    """A dimension of a result that follows a dimension of the inputs."""

    source: str
    """The inputs' dimension."""
    size: int
    """The number of the result's indices."""
    start: int = 0
    """The index of the inputs for the first of them."""
    step: int = 1
    """Indices of the inputs from one index of the result to the next; negative if they run backwards."""
    before: int = 0
    """The number of neighbours before it that a value needs."""
    after: int = 0
    """The number of neighbours after it that a value needs."""

    def is_identity(self, sizes: Sizes) -> bool:
        """Check whether the result's indices are the inputs' own."""
        return (self.start, self.step, self.size) == (0, 1, sizes.get(self.source))

    def compute_source_range(self, indices: range, size: int) -> range:
        """Return the indices of the inputs' dimension, whose length is `size`, that indices of the result need."""
        ends = [self.start + self.step * indices[0], self.start + self.step * indices[-1]]
        if self.before == self.after == 0:
            return range(min(ends), max(ends) + 1, abs(self.step) * indices.step if len(indices) > 1 else 1)
        return range(max(0, min(ends) - self.before), min(size, max(ends) + self.after + 1))

    def compute_trim_slice(self, indices: range, source: range) -> slice:
        """Return the slice that selects indices of the result from the values computed for `source`."""
        if self.before == self.after == 0:
            return slice(None)
        # Blocks begin where a value does; a halo is cut off at the edge of the image.
        first = (self.start + self.step * indices[0] - source.start) // self.step
        return slice(first, first + indices[-1] - indices[0] + 1, indices.step)


@dataclass(frozen=True)
class Footprint:
    """The relation of a result's dimensions to those of its inputs."""

    dimensions: Mapping[str, Along | int]
    """For each dimension of the result, in order, the dimension that it follows, or the length of a new one."""
    is_whole: bool = False
    """Whether any value needs the inputs entire."""
    reduced_ranges: Mapping[str, range] = field(default_factory=lambda: MappingProxyType({}))
    """The range that is read of dimensions that the result does not have; the others are read entire."""

    memory: WorkingMemory = _NO_MEMORY
    """Of the function that makes the result; `Transform.footprint_of` fills it in."""

    @property
    def sizes(self) -> dict[str, int]:
        """The result's dimensions and their lengths."""
        return {name: each if isinstance(each, int) else each.size for name, each in self.dimensions.items()}

    def compute_source_ranges(self, indices: Mapping[str, range], sizes: Sizes) -> dict[str, range]:
        """Return the indices of an input's dimensions that indices of the result need."""
        along = {each.source: (name, each) for name, each in self.dimensions.items() if isinstance(each, Along)}
        return {
            dimension: along[dimension][1].compute_source_range(indices[along[dimension][0]], size)
            if dimension in along
            else self.reduced_ranges.get(dimension, range(size))
            for dimension, size in sizes.items()
        }

    def compute_trim_slices(self, indices: Mapping[str, range], sources: Mapping[str, range]) -> tuple[slice, ...]:
        """Return the slices that select indices of the result from the values computed for `sources`."""
        return tuple(
            each.compute_trim_slice(indices[name], sources[each.source]) if isinstance(each, Along) else slice(None)
            for name, each in self.dimensions.items()
        )


def find_image_dimensions(sizes: Sizes) -> tuple[str, str]:
    """Find the dimensions of an image's rows and columns: the last two, under any name.

    Raises:
        ValueError: the image has fewer.
    """
    if len(sizes) < 2:  # noqa: PLR2004 — rows and columns
        raise ValueError(f"it needs an image, which has rows and columns; this has {_format_dimensions(sizes)}")
    rows, columns = list(sizes)[-2:]
    return rows, columns


def pointwise(inputs: Sequence[Sizes], _options: BaseModel) -> Footprint:
    """Return the footprint of a result whose values need the inputs at their own indices only."""
    return Footprint({name: Along(name, size) for name, size in _merge_sizes(inputs).items()})


def whole(inputs: Sequence[Sizes], _options: BaseModel) -> Footprint:
    """Return the footprint of a result of the inputs' dimensions, whose values need the inputs entire."""
    return Footprint({name: Along(name, size) for name, size in _merge_sizes(inputs).items()}, is_whole=True)


def halo(reach: Callable[[Any], int]) -> FootprintFunction:
    """Return the footprint function of a result whose values need their neighbours.

    Args:
        reach: returns, for the options, the distance of the farthest neighbours in rows and columns.
    """

    def compute_footprint(inputs: Sequence[Sizes], options: BaseModel) -> Footprint:
        sizes = _merge_sizes(inputs)
        near = dict.fromkeys(find_image_dimensions(sizes), reach(options))
        return Footprint(
            {name: Along(name, size, before=near.get(name, 0), after=near.get(name, 0)) for name, size in sizes.items()}
        )

    return compute_footprint


def blocks(rows: Callable[[Any], int], columns: Callable[[Any], int]) -> FootprintFunction:
    """Return the footprint function of a result with one value for each block of pixels.

    Args:
        rows: returns, for the options, the rows of a block; those left over at the far edge make no block.
        columns: the same for columns.
    """

    def compute_footprint(inputs: Sequence[Sizes], options: BaseModel) -> Footprint:
        sizes = _merge_sizes(inputs)
        pixels = dict(zip(find_image_dimensions(sizes), (rows(options), columns(options)), strict=True))
        for name, count in pixels.items():
            if count > sizes[name]:
                raise ValueError(f"a block of {count} is more than {name} has, {sizes[name]}")
        return Footprint(
            {
                name: Along(name, size // (count := pixels.get(name, 1)), step=count, after=count - 1)
                for name, size in sizes.items()
            }
        )

    return compute_footprint


def _merge_sizes(inputs: Sequence[Sizes]) -> dict[str, int]:
    """Return the common dimensions of inputs: those of one input, which must have all of them."""
    union: dict[str, int] = {}
    for sizes in inputs:
        for name, size in sizes.items():
            if union.setdefault(name, size) != size:
                raise ValueError(f"its inputs differ along {name}: {union[name]} and {size}")
    fullest: Sizes = max(inputs, key=len, default={})
    if union.keys() != fullest.keys():
        shapes = " and ".join(map(_format_dimensions, inputs))
        raise ValueError(f"its inputs must share their dimensions; they have {shapes}")
    return dict(fullest)


def _format_dimensions(sizes: Sizes) -> str:
    return f"({', '.join(sizes)})" if sizes else "none"
