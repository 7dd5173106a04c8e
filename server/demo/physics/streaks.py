"""Streaked pictures of targets: a VISAR's fringes, a pyrometer's glow, a scintillator's burst."""

from __future__ import annotations

import numpy as np

from shotdap.server.demo.physics.ccd import ASBO_CAMERA, PTD_CAMERA, SOP_CAMERA, Camera
from shotdap.server.demo.physics.profiles import (
    Light,
    as_light,
    draw_gaussian,
    draw_super_gaussian,
    number_columns,
    number_rows,
    smooth_step,
    sum_gaussians,
)
from shotdap.server.demo.physics.sweep import Sweep, draw_edge_peaks


def draw_visar(rng: np.random.Generator, sweep: Sweep) -> tuple[Light, Light]:
    """Return a VISAR's light of the shot, and of the reference that was taken before it.

    Both have the same horizontal fringes under a Gaussian envelope, and the same time marks along the edges. In
    the shot, the shock breaks out first where it was driven hardest; there the fringes jump (the velocity) and drift
    back as the shock slows, while the surface reflects less and less.
    """
    y, x = number_rows(ASBO_CAMERA.active_shape), number_columns(ASBO_CAMERA.active_shape)
    centre, span = rng.uniform(400, 440), sweep.window
    carrier = 2 * np.pi * (y / np.float32(rng.uniform(38, 46)) + x / np.float32(9000)) + np.float32(rng.uniform(0, 6))
    envelope = 800 * draw_gaussian(y, centre, 115) * draw_super_gaussian(x, 520, 490, 20)
    breakout = span * rng.uniform(0.27, 0.33) + span * np.square((y - centre) / 500)
    since = as_light(sweep.get_time(x) - breakout)
    after, elapsed = smooth_step(since, 0.004 * span), np.maximum(since, 0) / np.float32(span)
    phase = 2 * np.pi * rng.uniform(1.2, 1.8) * after * np.exp(-elapsed / 0.9)
    reflectivity = 1 - after * (1 - 0.7 * np.exp(-elapsed / 0.25))
    glow = draw_super_gaussian(y, 450, 430) * draw_super_gaussian(x, 520, 495) + _draw_time_marks(
        ASBO_CAMERA, sweep, (80, 830), height=900
    )
    shot = glow + envelope * reflectivity * (1 + 0.8 * np.cos(carrier + phase)) / 2
    return as_light(shot), as_light(glow + envelope * (1 + 0.8 * np.cos(carrier)) / 2)


def draw_emission(rng: np.random.Generator, sweep: Sweep) -> Light:
    """Return a streaked optical pyrometer's light: a stepped target glows as the shock leaves it, and cools.

    The shock leaves the thin half first and the thick half later; time marks run along the edges.
    """
    y, x = number_rows(SOP_CAMERA.active_shape), number_columns(SOP_CAMERA.active_shape)
    centre, span = rng.uniform(460, 500), sweep.window
    thicker = span * rng.uniform(0.2, 0.3) * smooth_step(centre - y, 3)
    breakout = span * rng.uniform(0.12, 0.2) + thicker + span * 0.6 * np.square((y - centre) / 500)
    since = as_light((sweep.get_time(x) - breakout) / span)
    cooling = np.exp(-np.maximum(since, 0) / np.float32(rng.uniform(0.3, 0.6)))
    glow = rng.uniform(150, 250) * draw_gaussian(y, centre, 150) * smooth_step(since, 0.01) * cooling
    slit = draw_super_gaussian(y, 430, 390, 20)
    veil = 1.2 * draw_super_gaussian(y, 480, 470)  # light scattered in the optics
    return as_light(veil + slit * glow + _draw_time_marks(SOP_CAMERA, sweep, (105, 892), height=600))


def _draw_time_marks(camera: Camera, sweep: Sweep, edges: tuple[float, float], *, height: float) -> Light:
    """Return the light of time marks: the laser's fiducials at the upper edge, the camera's comb at the lower one."""
    upper, lower = edges
    fiducials = draw_edge_peaks(camera, sweep.get_fiducial_columns(), upper, height=height)
    return as_light(fiducials + draw_edge_peaks(camera, sweep.get_comb_columns(), lower, height=height))


def draw_neutron_burst(rng: np.random.Generator) -> Light:
    """Return a PTD's light: the burn in a scintillator (quick rise, slow fall), below bright fiducials."""
    y, x = number_rows(PTD_CAMERA.active_shape), number_columns(PTD_CAMERA.active_shape)
    since = x - np.float32(rng.uniform(140, 160))
    burst = 2500 * draw_gaussian(y, 152, 9) * smooth_step(since, 4) * np.exp(-np.maximum(since, 0) / 120)
    comb = sum_gaussians(x, 85 + 35.5 * np.arange(8), 5)
    return as_light(60 * draw_super_gaussian(x, 250, 240) + burst + 6000 * draw_gaussian(y, 76, 6) * comb)
