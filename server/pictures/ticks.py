"""Round numbers: where a colour bar has its ticks, and how long a scale bar is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from shotdap.server.pictures.levels import Scale

__all__ = ["Tick", "places", "round_below", "said"]

Tick = tuple[float, float]
"""A value, and where it lies: 0 is the dark end and 1 the bright one."""

_ROUND: Final = (1.0, 2.0, 5.0, 10.0)
_TOLERANCE: Final = 1e-9
_DIGITS: Final = 6  # that a label may need
_CLOSE: Final = 0.5  # of the ideal distance between two ticks


def places(scale: Scale, count: int) -> list[Tick]:
    """About so many round values, dark to bright, and where on the bar each lies."""
    return list(_even(scale, count) if scale.scaling == "linear" else _spread(scale, count))


def round_below(length: float) -> float:
    """The greatest of 1, 2, 5, 10, 20, 50, … that is not greater; of any power of ten."""
    power = 10.0 ** math.floor(math.log10(length))
    return max((each for each in _ROUND if each * power <= length * (1 + _TOLERANCE)), default=1.0) * power


def said(value: float) -> str:
    """A number as people write it: 1500, 0.25, 2e6."""
    mantissa, _, power = f"{value + 0.0:.{_DIGITS}g}".partition("e")
    return f"{mantissa}e{int(power)}" if power else mantissa


def _even(scale: Scale, count: int) -> Iterator[Tick]:
    width = scale.high - scale.low
    step = _step(width / max(1, count))
    first = math.ceil(scale.low / step - _TOLERANCE)
    last = math.floor(scale.high / step + _TOLERANCE)
    for number in range(first, last + 1):
        yield number * step, (number * step - scale.low) / width


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(each * power for each in _ROUND if each * power >= least * (1 - _TOLERANCE))


def _spread(scale: Scale, count: int) -> Iterator[Tick]:
    """Values that are round as far as their distances allow, about evenly spread over the bar."""
    wanted = np.linspace(0, 1, count + 1)
    ideal = scale.values_of(wanted * (scale.levels - 1))
    before = -math.inf
    for value, near in zip(ideal, np.gradient(ideal), strict=True):
        step = round_below(abs(near))
        rounded = round(value / step) * step
        (place,) = scale.brightness(np.array([rounded]))
        if scale.low <= rounded <= scale.high and place - before >= _CLOSE / count:
            yield rounded, float(place)
            before = place
