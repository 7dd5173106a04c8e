"""The functions that a DAP2 constraint may call: ``mean(image[0:99][],y)``.

Each is one row of `FUNCTIONS`, and its docstring is what ``.help`` shows. Its first argument is a variable, with or
without indices, or another call; what follows are words: names or numbers of dimensions, or numbers of pixels.
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
from shotdap.server.protocols.dap2.promotion import ENCODING, decode_adapted, type_of
from shotdap.server.protocols.dap2.text import shown
from shotdap.transforms.selection import BadSelection
from shotdap.transforms.statistics import reductions

__all__ = ["FUNCTIONS", "Function", "Operand", "function"]

_LONG: Final = 10  # digits; no dimension has as many pixels


@dataclass(frozen=True)
class Operand:
    """What a function takes, and gives."""

    name: str
    variable: xr.Variable
    labels: tuple[str, ...]
    """The dimensions as the request calls them; the variable's own may have a number behind."""

    @classmethod
    def of(cls, name: str, variable: xr.Variable, labels: Sequence[object]) -> Operand:
        """Return an operand that is a variable of an adapted dataset, decoded."""
        return cls(name, decode_adapted(variable), tuple(map(str, labels)))


Body: TypeAlias = Callable[[Operand, tuple[str, ...]], Operand]


@dataclass(frozen=True)
class Function:
    """A function that requests may call."""

    usage: str
    body: Body | None
    """Nothing for a function that takes nothing, such as ``version()``."""
    documentation: str

    def __call__(self, operand: Operand | None, words: tuple[str, ...]) -> Operand:
        """Call it; lazily, so that nothing is read.

        Raises:
            BadSelection: the arguments do not fit.
        """
        if self.body is None and operand is None and not words:
            return version()
        if self.body is None or operand is None:
            raise BadSelection(f"Arguments do not fit: the function is {self.usage}.")
        if type_of(operand.variable) == "String":
            raise BadSelection(f"{operand.name} is text; {self.usage} takes numbers.")
        return self.body(operand, words)


def version() -> Operand:
    """The name and the version of the server, a String called ``version``."""
    variable = xr.Variable((), np.array(f"shotdap {__version__}", dtype=object), encoding={ENCODING: "String"})
    return Operand("version", variable, ())


def mean(operand: Operand, words: tuple[str, ...]) -> Operand:
    """The mean over some dimensions, by name or by number from 0; over all of them, if none is named.

    Float64, and called ``mean_<variable>``. Sums are Float64 too. Missing values are left out; where nothing is left,
    the mean is NaN. Of a raw file's variable, ``_Unsigned``, ``_FillValue``, ``missing_value``, ``scale_factor`` and
    ``add_offset`` are applied first. ``mean(image[0:99][],y)`` averages the first hundred rows.
    """
    return _over(operand, words, "mean", reductions.mean)


def least(operand: Operand, words: tuple[str, ...]) -> Operand:
    """The least value over some dimensions, by name or by number from 0; over all of them, if none is named.

    Called ``min_<variable>``. It has the variable's type where that is an integer that is not packed and has no fill
    value, and is Float64 otherwise. What is missing is left out, as with ``mean``.
    """
    return _over(operand, words, "min", reductions.minimum)


def greatest(operand: Operand, words: tuple[str, ...]) -> Operand:
    """The greatest value over some dimensions, by name or by number from 0; over all of them, if none is named.

    Called ``max_<variable>``; its type and what is missing are as with ``min``.
    """
    return _over(operand, words, "max", reductions.maximum)


def binned(operand: Operand, words: tuple[str, ...]) -> Operand:
    """The means of blocks of pixels: n pixels along each dimension, or a number for each, 1 leaving it as it is.

    Float64, and called ``bin_<variable>``; a dimension ``y`` in blocks of 4 is called ``y_bin4``, so ``bin(y,4)``
    gives its coordinate; functions around it still call it ``y``. The last block holds the pixels that are left over.
    What is missing is left out, as with ``mean``. ``bin(image,1,8)`` keeps every row.
    """
    sizes = [int(word) for word in words if len(word) < _LONG and word.isdecimal() and int(word)]
    rank = operand.variable.ndim
    if len(sizes) != len(words) or len(sizes) not in (1, rank) or not rank:
        raise BadSelection(
            f"bin({operand.name},...) takes a number of pixels, 1 or more, for all dimensions or for"
            f" each of {_in_words(operand)}."
        )
    sizes = sizes * rank if len(sizes) == 1 else sizes
    return _result(operand, "bin", reductions.binned(operand.variable, sizes), operand.labels)


def _over(
    operand: Operand,
    words: tuple[str, ...],
    name: str,
    statistic: Callable[[xr.Variable, Sequence[int]], xr.Variable],
) -> Operand:
    axes = _axes(operand, words, name)
    labels = tuple(label for axis, label in enumerate(operand.labels) if axis not in axes)
    return _result(operand, name, statistic(operand.variable, axes), labels)


def _axes(operand: Operand, words: tuple[str, ...], name: str) -> tuple[int, ...]:
    numbers = {str(axis): axis for axis in range(len(operand.labels))}
    known = numbers | {label: axis for axis, label in enumerate(operand.labels)}
    for word in words:
        if word not in known:
            raise BadSelection(
                f"{name}({operand.name},...): {shown(word)} is no dimension; {operand.name} has {_in_words(operand)}."
            )
    return tuple(dict.fromkeys(known[word] for word in words)) if words else tuple(numbers.values())


def _in_words(operand: Operand) -> str:
    return ", ".join(f"{label} ({axis})" for axis, label in enumerate(operand.labels)) or "no dimensions"


def _result(operand: Operand, name: str, variable: xr.Variable, labels: tuple[str, ...]) -> Operand:
    kind = type_of(operand.variable) if variable.dtype.kind in "iu" else "Float64"
    for dimension, label in zip(operand.variable.dims, operand.labels, strict=True):
        if "cell_methods" in variable.attrs:
            variable.attrs["cell_methods"] = variable.attrs["cell_methods"].replace(f"{dimension}: ", f"{label}: ")
    variable.encoding = {**variable.encoding, ENCODING: kind}
    return Operand(f"{name}_{operand.name}", variable, labels)


def _row(usage: str, body: Body) -> Function:
    return Function(usage, body, getdoc(body) or "")


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "mean": _row("mean(variable, dimension, ...)", mean),
        "min": _row("min(variable, dimension, ...)", least),
        "max": _row("max(variable, dimension, ...)", greatest),
        "bin": _row("bin(variable, n, ...)", binned),
        "version": Function("version()", None, getdoc(version) or ""),
    }
)


def function(name: str) -> Function:
    """The function of this name.

    Raises:
        BadSelection: there is none; the message lists those that there are.
    """
    if name not in FUNCTIONS:
        known = ", ".join(each.usage for each in FUNCTIONS.values())
        raise BadSelection(f"There is no function {shown(name)} here. The functions are: {known}.")
    return FUNCTIONS[name]
