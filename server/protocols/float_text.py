"""Floating numbers as text that programs in C, Python and Java read."""

from __future__ import annotations

import math

import numpy as np


def format_float(number: float | np.floating) -> str:
    """Return the fewest digits that give a number back in its own type; ``NaN``, ``Infinity`` or ``-Infinity``.

    Java's ``Double.parseDouble`` knows no other words; C's ``strtod``, Python and R read these too.
    """
    if math.isfinite(number):
        return str(number)
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
