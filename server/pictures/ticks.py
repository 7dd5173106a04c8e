"""Round numbers: the ticks of a colour bar and the length of a scale bar."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from shotdap.server.pictures.levels import Scale

Tick = tuple[float, float]
"""A value and its position on the bar: 0 is the dark end and 1 the bright end."""

_ROUND_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_TOLERANCE: Final = 1e-9
_LABEL_DIGITS: Final = 6  # of the numbers in labels
_MIN_SPACING: Final = 0.5  # of the ideal distance between two ticks


def compute_ticks(scale: Scale, count: int) -> list[Tick]:
    """Return about `count` round values from dark to bright, each with its position on the bar."""
    if scale.scaling == "linear":
        width = scale.high - scale.low
        least = width / max(1, count)
        power = 10.0 ** math.floor(math.log10(least))
        step = next(each * power for each in _ROUND_STEPS if each * power >= least * (1 - _TOLERANCE))
        first, last = math.ceil(scale.low / step - _TOLERANCE), math.floor(scale.high / step + _TOLERANCE)
        return [(number * step, (number * step - scale.low) / width) for number in range(first, last + 1)]
    ticks: list[Tick] = []  # values as round as their distances allow, spread about evenly over the bar
    ideal = scale.decode_levels(np.linspace(0, 1, count + 1) * (scale.level_count - 1))
    for value, distance in zip(ideal, np.gradient(ideal), strict=True):
        step = round_down(abs(distance))
        rounded = round(value / step) * step
        position = float(scale.compute_brightness(np.array([rounded]))[0])
        before = ticks[-1][1] if ticks else -math.inf
        if scale.low <= rounded <= scale.high and position - before >= _MIN_SPACING / count:
            ticks.append((rounded, position))
    return ticks


def round_down(length: float) -> float:
    """Return the largest of …, 0.5, 1, 2, 5, 10, 20, 50, … that is not greater than a length."""
    power = 10.0 ** math.floor(math.log10(length))
    return max((each for each in _ROUND_STEPS if each * power <= length * (1 + _TOLERANCE)), default=1.0) * power


def format_number(value: float) -> str:
    """Format a number as people write it: 1500, 0.25, 2e6."""
    mantissa, _, power = f"{value + 0.0:.{_LABEL_DIGITS}g}".partition("e")
    return f"{mantissa}e{int(power)}" if power else mantissa
