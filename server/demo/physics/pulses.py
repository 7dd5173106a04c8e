"""The laser's pulses: the picture of a P510, with ten beams, and the powers of all beams."""

from __future__ import annotations

import numpy as np

from shotdap.server.demo.physics.ccd import P510_CAMERA
from shotdap.server.demo.physics.profiles import (
    Light,
    Profile,
    as_light,
    draw_super_gaussian,
    number_columns,
    number_rows,
    smooth_step,
)
from shotdap.server.demo.physics.sweep import P510_SWEEP, draw_edge_peaks


def draw_beam_pulses(rng: np.random.Generator) -> Light:
    """Make a P510's light: ten UV beams one above the other, each a shaped pulse, fiducials above and below."""
    y, x = number_rows(P510_CAMERA.active_shape), number_columns(P510_CAMERA.active_shape)
    starts = 180 + rng.normal(0, 4, 10)
    powers = rng.uniform(10_000, 14_000, 10)
    beams = []
    for beam, (start, power) in enumerate(zip(starts, powers, strict=True)):
        since = x - start  # the pulse is 60 columns long, rises slowly and falls fast
        pulse = smooth_step(since, 3) * smooth_step(60 - since, 2) * (0.85 + 0.15 * np.clip(since / 60, 0, 1))
        beams.append(power * draw_super_gaussian(y, 76 + 41.5 * beam, 19, 20) * as_light(pulse))
    edges = [
        draw_edge_peaks(P510_CAMERA, P510_SWEEP.get_fiducial_columns(), row, height=3000, width=4) for row in (22, 498)
    ]
    veil = 1.5 + 10 * draw_super_gaussian(y, 262, 215, 20) * smooth_step(x - 165, 3) * np.exp(
        -np.maximum(x - 165, 0) / 110
    )
    return as_light(veil + sum(beams) + sum(edges))


def make_pulse_powers(rng: np.random.Generator, time: Profile, beams: int) -> Light:
    """Make the UV power on target (TW) of many beams: float32 ``[time, beams]``, the time in ps."""
    start = rng.normal(0, 12, beams)
    since = (time[:, None] - start).astype(np.float32)
    power = rng.uniform(0.36, 0.44, beams) * smooth_step(since, 40) * smooth_step(1000 - since, 30)
    return as_light(power + rng.normal(0, 4e-4, power.shape))
