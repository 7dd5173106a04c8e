"""Floating-point numbers as text that programs in C, Python and Java read."""

from __future__ import annotations

import math

import numpy as np


def format_float(number: float | np.floating) -> str:
    """Format a number with the fewest digits for its own type; ``NaN``, ``Infinity`` or ``-Infinity``.

    ``Double.parseDouble`` of Java knows no other words; ``strtod`` of C, Python and R read these, too.
    """
    if math.isfinite(number):
        return str(number)
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
