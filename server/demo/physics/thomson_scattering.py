"""Thomson scattering off a plasma's waves."""

from __future__ import annotations

from typing import Final

import numpy as np

from shotdap.server.demo.physics.ccd import EPW_CAMERA
from shotdap.server.demo.physics.profiles import (
    Light,
    as_light,
    draw_gaussian,
    draw_super_gaussian,
    number_columns,
    number_rows,
)

_PROBE_WAVELENGTH: Final = 526.5  # nm, the second harmonic of the glass laser
_EPW_CENTRE: Final = 540.0  # nm, at the middle column
_EPW_DISPERSION: Final = 0.27  # nm a column
_CRITICAL_DENSITY: Final = 4.02e21  # cm⁻³, the density at which the probe's ω₀ equals ω_pe
_REST_ENERGY: Final = 511.0  # keV, of the electron


def draw_plasma_waves(rng: np.random.Generator) -> Light:
    """Make an EPW spectrometer's light: Thomson scattering off electron plasma waves, wavelength against time.

    Rows are time, columns wavelength. The two resonances are at ω₀ ∓ ω with the Bohm-Gross dispersion
    ω² = ω_pe² + 3 k² v_th²: they follow the density as it rises and falls. A notch filter removes the probe's own line.
    """
    y, x = number_rows(EPW_CAMERA.active_shape), number_columns(EPW_CAMERA.active_shape)
    wavelength = _EPW_CENTRE + (x - 512) * _EPW_DISPERSION
    on = (y - rng.uniform(480, 540)) / np.float32(190)  # -1 … 1 while the probe beam is on
    density = rng.uniform(1.0e19, 1.4e19) * np.clip(1 - 0.75 * np.square(on), 0.1, None)
    heat = rng.uniform(0.5, 0.9) * np.clip(1 - 0.3 * np.square(on), 0.1, None)
    shift = as_light(np.sqrt(density / _CRITICAL_DENSITY + 3 * heat / _REST_ENERGY))  # ω/ω₀, scattering by 60°: k = k₀
    probe = _PROBE_WAVELENGTH / wavelength - 1  # frequency off the probe's, as a fraction
    lines = draw_gaussian(probe, -shift, 0.008) + 0.7 * draw_gaussian(probe, shift, 0.008)
    thermal = 0.25 * draw_super_gaussian(probe, 0, 0.35)
    notch = 1 - 0.98 * draw_super_gaussian(wavelength, _PROBE_WAVELENGTH, 14)
    drift = 1.5 * y / np.float32(1024)  # the intensifier's glow
    return as_light(0.5 + drift + 130 * draw_super_gaussian(on, 0, 1) * notch * (lines + thermal))
