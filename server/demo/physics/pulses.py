"""The laser's pulses: what a P510 sees of ten beams, and the powers of all."""

from __future__ import annotations

import numpy as np

from shotdap.server.demo.physics.ccd import P510_CAMERA
from shotdap.server.demo.physics.profiles import Light, Profile, as_light, columns, plateau, rows, step
from shotdap.server.demo.physics.sweep import P510_SWEEP, along_edge


def beam_pulses(rng: np.random.Generator) -> Light:
    """Make a P510's light: ten UV beams one above the other, each a shaped pulse, fiducials above and below."""
    y, x = rows(P510_CAMERA.active), columns(P510_CAMERA.active)
    starts = 180 + rng.normal(0, 4, 10)
    powers = rng.uniform(10_000, 14_000, 10)
    beams = [
        power * plateau(y, 76 + 41.5 * beam, 19, 20) * _pulse(x - start)
        for beam, (start, power) in enumerate(zip(starts, powers, strict=True))
    ]
    edges = [along_edge(P510_CAMERA, P510_SWEEP.fiducials(), row, height=3000, width=4) for row in (22, 498)]
    veil = 1.5 + 10 * plateau(y, 262, 215, 20) * step(x - 165, 3) * np.exp(-np.maximum(x - 165, 0) / 110)
    return as_light(veil + sum(beams) + sum(edges))


def _pulse(x: Light) -> Light:
    """Shape a pulse 60 columns long that rises slowly and falls fast."""
    return as_light(step(x, 3) * step(60 - x, 2) * (0.85 + 0.15 * np.clip(x / 60, 0, 1)))


def pulse_powers(rng: np.random.Generator, time: Profile, beams: int) -> Light:
    """Make the UV power on target (TW) of many beams: float32 ``[time, beams]``, the time in ps."""
    start = rng.normal(0, 12, beams)
    since = (time[:, None] - start).astype(np.float32)
    power = rng.uniform(0.36, 0.44, beams) * step(since, 40) * step(1000 - since, 30)
    return as_light(power + rng.normal(0, 4e-4, power.shape))
