"""Round numbers: where a colour bar has its ticks, and how long a scale bar is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from shotdap.server.pictures.levels import Scale

Tick = tuple[float, float]
"""A value, and where it lies: 0 is the dark end and 1 the bright one."""

_ROUND_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_TOLERANCE: Final = 1e-9
_LABEL_DIGITS: Final = 6  # that a label may need
_MIN_SPACING: Final = 0.5  # of the ideal distance between two ticks


def compute_ticks(scale: Scale, count: int) -> list[Tick]:
    """About so many round values, dark to bright, and where on the bar each lies."""
    return list(
        _compute_linear_ticks(scale, count) if scale.scaling == "linear" else _compute_spread_ticks(scale, count)
    )


def round_down(length: float) -> float:
    """The greatest of 1, 2, 5, 10, 20, 50, … that is not greater; of any power of ten."""
    power = 10.0 ** math.floor(math.log10(length))
    return max((each for each in _ROUND_STEPS if each * power <= length * (1 + _TOLERANCE)), default=1.0) * power


def format_number(value: float) -> str:
    """A number as people write it: 1500, 0.25, 2e6."""
    mantissa, _, power = f"{value + 0.0:.{_LABEL_DIGITS}g}".partition("e")
    return f"{mantissa}e{int(power)}" if power else mantissa


def _compute_linear_ticks(scale: Scale, count: int) -> Iterator[Tick]:
    width = scale.high - scale.low
    step = _round_step_up(width / max(1, count))
    first = math.ceil(scale.low / step - _TOLERANCE)
    last = math.floor(scale.high / step + _TOLERANCE)
    for number in range(first, last + 1):
        yield number * step, (number * step - scale.low) / width


def _round_step_up(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(each * power for each in _ROUND_STEPS if each * power >= least * (1 - _TOLERANCE))


def _compute_spread_ticks(scale: Scale, count: int) -> Iterator[Tick]:
    """Values that are round as far as their distances allow, about evenly spread over the bar."""
    wanted = np.linspace(0, 1, count + 1)
    ideal = scale.decode_levels(wanted * (scale.level_count - 1))
    before = -math.inf
    for value, near in zip(ideal, np.gradient(ideal), strict=True):
        step = round_down(abs(near))
        rounded = round(value / step) * step
        (place,) = scale.compute_brightness(np.array([rounded]))
        if scale.low <= rounded <= scale.high and place - before >= _MIN_SPACING / count:
            yield rounded, float(place)
            before = place
