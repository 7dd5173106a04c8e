"""Functions that a DAP2 constraint can call: ``mean(image[0:99][],y)``.

Each is one row of `FUNCTIONS`, and ``.help`` shows its docstring. Its first argument is a variable, with or without
indices, or another call; the others are words: names or numbers of dimensions, or numbers of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import xarray as xr

from shotdap import __version__
from shotdap.server.protocols.dap2.promotion import decode_adapted, get_dap2_type
from shotdap.server.protocols.dap2.text import quote_excerpt
from shotdap.transforms.selection import BadSelection
from shotdap.transforms.statistics import reductions
from shotdap.transforms.virtual.variable_traits import set_traits

_DIGIT_LIMIT: Final = 10  # of a number of pixels in a dimension


@dataclass(frozen=True)
class Operand:
    """Argument and result of a function."""

    name: str
    variable: xr.Variable
    labels: tuple[str, ...]
    """The names of the dimensions in the request; those of the variable can have a number at the end."""

    @classmethod
    def from_variable(cls, name: str, variable: xr.Variable, labels: Sequence[object]) -> Operand:
        """Make an operand of a variable of an adapted dataset, decoded."""
        return cls(name, decode_adapted(variable), tuple(map(str, labels)))


Implementation: TypeAlias = Callable[[Operand, tuple[str, ...]], Operand]


@dataclass(frozen=True)
class Function:
    """A function that requests can call."""

    usage: str
    implementation: Implementation | None
    """`None` for a function without arguments, such as ``version()``."""
    documentation: str

    def __call__(self, operand: Operand | None, words: tuple[str, ...]) -> Operand:
        """Call the function, lazily: nothing is read.

        Raises:
            BadSelection: the arguments do not fit.
        """
        if self.implementation is None and operand is None and not words:
            return get_server_version()
        if self.implementation is None or operand is None:
            raise BadSelection(f"Arguments do not fit: the function is {self.usage}.")
        if get_dap2_type(operand.variable) == "String":
            raise BadSelection(f"{operand.name} is text; {self.usage} takes numbers.")
        return self.implementation(operand, words)


def get_server_version() -> Operand:
    """Return the name and the version of the server, a String called ``version``."""
    variable = xr.Variable((), np.array(f"shotdap {__version__}", dtype=object))
    return Operand("version", set_traits(variable, dap2_type="String"), ())


def compute_mean(operand: Operand, words: tuple[str, ...]) -> Operand:
    """Return the mean over some dimensions, by name or by number from 0; over all of them, if none is named.

    Float64, and called ``mean_<variable>``. Sums are Float64 too. Missing values are left out; where nothing is left,
    the mean is NaN. Of a raw file's variable, ``_Unsigned``, ``_FillValue``, ``missing_value``, ``scale_factor`` and
    ``add_offset`` are applied first. ``mean(image[0:99][],y)`` averages the first hundred rows.
    """
    return _reduce_dimensions(operand, words, "mean", reductions.compute_mean)


def compute_minimum(operand: Operand, words: tuple[str, ...]) -> Operand:
    """Return the least value over some dimensions, by name or by number from 0; over all of them, if none is named.

    Called ``min_<variable>``. It has the variable's type where that is an integer that is not packed and has no fill
    value, and is Float64 otherwise. What is missing is left out, as with ``mean``.
    """
    return _reduce_dimensions(operand, words, "min", reductions.compute_minimum)


def compute_maximum(operand: Operand, words: tuple[str, ...]) -> Operand:
    """Return the greatest value over some dimensions, by name or by number from 0; over all of them, if none is named.

    Called ``max_<variable>``; its type and what is missing are as with ``min``.
    """
    return _reduce_dimensions(operand, words, "max", reductions.compute_maximum)


def bin_pixels(operand: Operand, words: tuple[str, ...]) -> Operand:
    """Return means of blocks of pixels: n pixels along each dimension, or a number for each; 1 leaves it as it is.

    Float64, and called ``bin_<variable>``; a dimension ``y`` in blocks of 4 is called ``y_bin4``, so ``bin(y,4)``
    gives its coordinate; functions around it still call it ``y``. The last block holds the pixels that are left over.
    What is missing is left out, as with ``mean``. ``bin(image,1,8)`` keeps every row.
    """
    sizes = [int(word) for word in words if len(word) < _DIGIT_LIMIT and word.isdecimal() and int(word)]
    rank = operand.variable.ndim
    if len(sizes) != len(words) or len(sizes) not in (1, rank) or not rank:
        raise BadSelection(
            f"bin({operand.name},...) takes a number of pixels, 1 or more, for all dimensions or for"
            f" each of {_describe_dimensions(operand)}."
        )
    sizes = sizes * rank if len(sizes) == 1 else sizes
    return _build_result(operand, "bin", reductions.compute_block_means(operand.variable, sizes), operand.labels)


def _reduce_dimensions(
    operand: Operand,
    words: tuple[str, ...],
    name: str,
    statistic: Callable[[xr.Variable, Sequence[int]], xr.Variable],
) -> Operand:
    """Reduce the dimensions that the words name, or all."""
    numbers = {str(axis): axis for axis in range(len(operand.labels))}
    known = numbers | {label: axis for axis, label in enumerate(operand.labels)}
    for word in words:
        if word not in known:
            raise BadSelection(
                f"{name}({operand.name},...): {quote_excerpt(word)} is no dimension; {operand.name} has"
                f" {_describe_dimensions(operand)}."
            )
    axes = tuple(dict.fromkeys(known[word] for word in words)) if words else tuple(numbers.values())
    labels = tuple(label for axis, label in enumerate(operand.labels) if axis not in axes)
    return _build_result(operand, name, statistic(operand.variable, axes), labels)


def _describe_dimensions(operand: Operand) -> str:
    return ", ".join(f"{label} ({axis})" for axis, label in enumerate(operand.labels)) or "no dimensions"


def _build_result(operand: Operand, name: str, variable: xr.Variable, labels: tuple[str, ...]) -> Operand:
    kind = get_dap2_type(operand.variable) if variable.dtype.kind in "iu" else "Float64"
    for dimension, label in zip(operand.variable.dims, operand.labels, strict=True):
        if "cell_methods" in variable.attrs:
            variable.attrs["cell_methods"] = variable.attrs["cell_methods"].replace(f"{dimension}: ", f"{label}: ")
    return Operand(f"{name}_{operand.name}", set_traits(variable, dap2_type=kind), labels)


def _create_function(usage: str, body: Implementation | None, documented: Callable[..., Operand]) -> Function:
    sentence = (getdoc(documented) or "").removeprefix("Return ")  # users ask for the value, not for its return
    return Function(usage, body, sentence[:1].upper() + sentence[1:])


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "mean": _create_function("mean(variable, dimension, ...)", compute_mean, compute_mean),
        "min": _create_function("min(variable, dimension, ...)", compute_minimum, compute_minimum),
        "max": _create_function("max(variable, dimension, ...)", compute_maximum, compute_maximum),
        "bin": _create_function("bin(variable, n, ...)", bin_pixels, bin_pixels),
        "version": _create_function("version()", None, get_server_version),
    }
)


def get_function(name: str) -> Function:
    """Return the function of this name.

    Raises:
        BadSelection: there is none; the message lists all functions.
    """
    if name not in FUNCTIONS:
        known = ", ".join(each.usage for each in FUNCTIONS.values())
        raise BadSelection(f"There is no function {quote_excerpt(name)} here. The functions are: {known}.")
    return FUNCTIONS[name]
