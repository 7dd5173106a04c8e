"""The physics of the pictures: light on a photocathode, and the camera that counts it.

Strategy: a *light* is a float32 array ``[rows, columns]`` of counts above the camera's bias, over the camera's active
area, made from one-dimensional profiles by broadcasting. Time runs along the columns of every streak, as in the real
archive. `frames` exposes a camera twice, to the light and to none: the signal and its background, with noise and hot
pixels of their own, so that a uint16 subtraction wraps wherever the light is faint.

The numbers of `Camera` are rounded from the levels and scatter of real frames; those of the plasmas are plausible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Light = NDArray[np.float32]
    Frame = NDArray[np.uint16]
    Profile = NDArray[np.floating[Any]]

FIDUCIAL_PERIOD: Final = 0.54824  # ns between the peaks of OMEGA's fiducial laser
_HOTTEST: Final = 14_000  # counts; real pairs of frames differ by up to 13,832
_HOT_TAIL: Final = 1.3  # exponent of the hot pixels' Pareto distribution


@dataclass(frozen=True)
class Camera:
    """A CCD: ``shape`` is the stored frame, ``active`` the part of it that sees light; the rest is overscan."""

    shape: tuple[int, int]
    active: tuple[int, int]
    bias: float  # counts of an unexposed pixel
    noise: float  # counts, read noise (RMS)
    gain: float  # counts per photoelectron
    dark: float = 2.0  # counts of dark current, in the active area only
    pattern: float = 0.3  # counts, column to column (RMS), the same in every frame
    hot: float = 0.008  # fraction of the pixels hit, each frame anew
    heat: float = 15.0  # counts of the faintest hit
    full: int = 65_535  # counts at which it saturates


ASBO_CAMERA: Final = Camera((1100, 1100), (1024, 1049), bias=375, noise=3.5, gain=3)
SOP_CAMERA: Final = Camera((1100, 1100), (1024, 1049), bias=578, noise=5, gain=5)
P510_CAMERA: Final = Camera((512, 548), (512, 524), bias=688, noise=8, gain=10, hot=0.01, heat=25)
EPW_CAMERA: Final = Camera((1024, 1024), (1024, 1024), bias=606, noise=6, gain=12, pattern=3, hot=0.0005)
PTD_CAMERA: Final = Camera((341, 512), (341, 512), bias=270, noise=75, gain=8, hot=0.05, heat=200, full=4095)


@dataclass(frozen=True)
class Sweep:
    """How a streak camera lays time along its columns: t = a x² + b x, nearly but not quite linear.

    `window` is the time (ns) across `columns`; `bow` the quadratic part, as a fraction of the window.
    """

    window: float
    columns: int
    bow: float = 0.06

    def time(self, column: Profile) -> Profile:
        """Give the time (ns) at a column."""
        u = np.asarray(column) / self.columns
        return np.asarray(self.window * (u + self.bow * u * (u - 1)))

    def column(self, time: Profile) -> Profile:
        """Give the column at a time (ns): the inverse of `time`."""
        linear = 1 - self.bow
        root = np.sqrt(linear**2 + 4 * self.bow * time / self.window)
        return np.asarray(self.columns * (root - linear) / (2 * self.bow))

    def fiducials(self) -> Profile:
        """Give the columns of every fiducial peak of the window, the first one a period after its start."""
        return self.column(np.arange(FIDUCIAL_PERIOD, self.window, FIDUCIAL_PERIOD))


# Nominal windows (ns) of the SOP's sweep speeds 1-4, the ``SweepSpeed`` of its attributes.
SWEEPS: Final[Mapping[int, Sweep]] = {
    speed: Sweep(window, SOP_CAMERA.active[1]) for speed, window in {1: 96.0, 2: 46.0, 3: 17.0, 4: 6.0}.items()
}
P510_SWEEP: Final = Sweep(7.4, P510_CAMERA.active[1])  # 14 ps a column


def frames(rng: np.random.Generator, camera: Camera, light: Light) -> Frame:
    """Take a shot and its background: uint16 ``[2, rows, columns]``."""
    pattern = np.float32(camera.pattern) * rng.standard_normal(camera.shape[1], np.float32)
    unlit = np.zeros_like(light)
    return np.stack([_expose(rng, camera, exposure, pattern) for exposure in (light, unlit)])


def expose(rng: np.random.Generator, camera: Camera, light: Light) -> Frame:
    """Take one frame: uint16 ``[rows, columns]``."""
    return _expose(rng, camera, light, np.zeros(camera.shape[1], np.float32))


def _expose(rng: np.random.Generator, camera: Camera, light: Light, pattern: Light) -> Frame:
    counts = np.float32(camera.noise) * rng.standard_normal(camera.shape, np.float32)
    counts += np.float32(camera.bias) + pattern
    counts[: camera.active[0], : camera.active[1]] += _detected(rng, camera, light + np.float32(camera.dark))
    _hit(rng, camera, counts)
    return np.asarray(np.clip(np.rint(counts), 0, camera.full), np.uint16)


def _detected(rng: np.random.Generator, camera: Camera, light: Light) -> Light:
    """Add shot noise, with the normal law for Poisson's: the variance in counts is the gain times the mean."""
    return _light(light + np.sqrt(np.float32(camera.gain) * light) * rng.standard_normal(light.shape, np.float32))


def _hit(rng: np.random.Generator, camera: Camera, counts: Light) -> None:
    """Add hot pixels, most of them faint and a few very bright, in place."""
    hits = int(camera.hot * counts.size)
    where = rng.integers(0, counts.size, hits)
    heat = camera.heat * (1 + rng.pareto(_HOT_TAIL, hits))
    counts.reshape(-1)[where] += np.minimum(heat, _HOTTEST).astype(np.float32)


def _light(counts: Any) -> Light:  # noqa: ANN401 - NumPy's arithmetic is Any to a type checker
    return np.asarray(counts, np.float32)


def _rows(camera: Camera) -> Light:
    return np.arange(camera.active[0], dtype=np.float32)[:, None]


def _columns(camera: Camera) -> Light:
    return np.arange(camera.active[1], dtype=np.float32)[None, :]


def _bell(x: Light, centre: float | Light, width: float) -> Light:
    return _light(np.exp(-0.5 * np.square((x - centre) / width)))


def _plateau(x: Light, centre: float | Light, half_width: float, order: int = 8) -> Light:
    """Give a super-Gaussian: 1 inside, 0 outside, the steeper the higher the (even) order."""
    return _light(np.exp(-(((x - centre) / half_width) ** order)))


def _peaks(x: Light, centres: Profile, width: float) -> Light:
    """Sum Gaussians along the columns: ``[1, columns]``."""
    return _light(_bell(x, _light(centres)[:, None], width).sum(axis=0, keepdims=True))


def _step(x: Light, rise: float) -> Light:
    return _light(0.5 * (1 + np.tanh(x / rise)))


def _fiducials(camera: Camera, sweep: Sweep, row: float, *, height: float, width: float = 2.5) -> Light:
    """Light the fiducials as a comb along one edge of the picture."""
    return _light(height * _bell(_rows(camera), row, 4) * _peaks(_columns(camera), sweep.fiducials(), width))


def visar(rng: np.random.Generator, sweep: Sweep) -> tuple[Light, Light]:
    """Make a VISAR's lights: the shot, and the reference that was taken before it.

    Both hold the same horizontal fringes under a Gaussian envelope and the same fiducials along the lower edge. In
    the shot, the shock breaks out first where it was driven hardest; there the fringes jump (the velocity) and drift
    back as the shock slows, while the surface reflects less and less.
    """
    y, x = _rows(ASBO_CAMERA), _columns(ASBO_CAMERA)
    centre, span = rng.uniform(400, 440), sweep.window
    carrier = 2 * np.pi * (y / np.float32(rng.uniform(38, 46)) + x / np.float32(9000)) + np.float32(rng.uniform(0, 6))
    envelope = 800 * _bell(y, centre, 115) * _plateau(x, 520, 490, 20)
    breakout = span * rng.uniform(0.27, 0.33) + span * np.square((y - centre) / 500)
    since = _light(sweep.time(x) - breakout)
    after, elapsed = _step(since, 0.004 * span), np.maximum(since, 0) / np.float32(span)
    phase = 2 * np.pi * rng.uniform(1.2, 1.8) * after * np.exp(-elapsed / 0.9)
    reflectivity = 1 - after * (1 - 0.7 * np.exp(-elapsed / 0.25))
    glow = _plateau(y, 450, 430) * _plateau(x, 520, 495) + _fiducials(ASBO_CAMERA, sweep, 830, height=900)
    shot = glow + envelope * reflectivity * (1 + 0.8 * np.cos(carrier + phase)) / 2
    return _light(shot), _light(glow + envelope * (1 + 0.8 * np.cos(carrier)) / 2)


def emission(rng: np.random.Generator, sweep: Sweep) -> Light:
    """Make a streaked optical pyrometer's light: a stepped target glows as the shock leaves it, and cools.

    The shock leaves the thin half first and the thick half later; fiducials run along the lower edge.
    """
    y, x = _rows(SOP_CAMERA), _columns(SOP_CAMERA)
    centre, span = rng.uniform(460, 500), sweep.window
    thicker = span * rng.uniform(0.2, 0.3) * _step(centre - y, 3)
    breakout = span * rng.uniform(0.12, 0.2) + thicker + span * 0.6 * np.square((y - centre) / 500)
    since = _light((sweep.time(x) - breakout) / span)
    cooling = np.exp(-np.maximum(since, 0) / np.float32(rng.uniform(0.3, 0.6)))
    glow = rng.uniform(150, 250) * _bell(y, centre, 150) * _step(since, 0.01) * cooling
    slit, veil = _plateau(y, 430, 390, 20), 1.2 * _plateau(y, 480, 470)  # the veil is light scattered in the optics
    return _light(veil + slit * glow + _fiducials(SOP_CAMERA, sweep, 870, height=600, width=3))


def beam_pulses(rng: np.random.Generator) -> Light:
    """Make a P510's light: ten UV beams one above the other, each a shaped pulse, fiducials above and below."""
    y, x = _rows(P510_CAMERA), _columns(P510_CAMERA)
    starts = 180 + rng.normal(0, 4, 10)
    powers = rng.uniform(10_000, 14_000, 10)
    beams = [
        power * _plateau(y, 76 + 41.5 * beam, 19, 20) * _pulse(x - start)
        for beam, (start, power) in enumerate(zip(starts, powers, strict=True))
    ]
    edges = [_fiducials(P510_CAMERA, P510_SWEEP, row, height=3000, width=4) for row in (22, 498)]
    veil = 1.5 + 10 * _plateau(y, 262, 215, 20) * _step(x - 165, 3) * np.exp(-np.maximum(x - 165, 0) / 110)
    return _light(veil + sum(beams) + sum(edges))


def _pulse(x: Light) -> Light:
    """Shape a pulse 60 columns long that rises slowly and falls fast."""
    return _light(_step(x, 3) * _step(60 - x, 2) * (0.85 + 0.15 * np.clip(x / 60, 0, 1)))


_PROBE: Final = 526.5  # nm, the second harmonic of the glass laser
_EPW_CENTRE: Final = 540.0  # nm, at the middle column
_EPW_DISPERSION: Final = 0.27  # nm a column
_CRITICAL: Final = 4.02e21  # cm⁻³, the density at which the probe's ω₀ equals ω_pe
_REST_ENERGY: Final = 511.0  # keV, of the electron


def plasma_waves(rng: np.random.Generator) -> Light:
    """Make an EPW spectrometer's light: Thomson scattering off electron plasma waves, wavelength against time.

    Rows are time, columns wavelength. The two resonances stand at ω₀ ∓ ω with the Bohm-Gross dispersion
    ω² = ω_pe² + 3 k² v_th²: they follow the density as it rises and falls. A notch takes out the probe's own line.
    """
    y, x = _rows(EPW_CAMERA), _columns(EPW_CAMERA)
    wavelength = _EPW_CENTRE + (x - 512) * _EPW_DISPERSION
    on = (y - rng.uniform(480, 540)) / np.float32(190)  # -1 … 1 while the probe beam is on
    density = rng.uniform(1.0e19, 1.4e19) * np.clip(1 - 0.75 * np.square(on), 0.1, None)
    heat = rng.uniform(0.5, 0.9) * np.clip(1 - 0.3 * np.square(on), 0.1, None)
    shift = _resonance(density, heat)
    probe = _PROBE / wavelength - 1  # frequency off the probe's, as a fraction
    lines = _bell(probe, -shift, 0.008) + 0.7 * _bell(probe, shift, 0.008)
    thermal = 0.25 * _plateau(probe, 0, 0.35)
    notch = 1 - 0.98 * _plateau(wavelength, _PROBE, 14)
    drift = 1.5 * y / np.float32(1024)  # the intensifier's glow
    return _light(0.5 + drift + 130 * _plateau(on, 0, 1) * notch * (lines + thermal))


def _resonance(density: Profile, temperature: Profile) -> Light:
    """Give ω/ω₀ of the plasma wave for a density (cm⁻³) and a temperature (keV), scattering by 60° (k = k₀)."""
    thermal = 3 * temperature / _REST_ENERGY
    return _light(np.sqrt(density / _CRITICAL + thermal))


def neutron_burst(rng: np.random.Generator) -> Light:
    """Make a PTD's light: the burn as a scintillator shows it (quick rise, slow fall), under bright fiducials."""
    y, x = _rows(PTD_CAMERA), _columns(PTD_CAMERA)
    since = x - np.float32(rng.uniform(140, 160))
    burst = 2500 * _bell(y, 152, 9) * _step(since, 4) * np.exp(-np.maximum(since, 0) / 120)
    peaks = _peaks(x, 85 + 35.5 * np.arange(8), 5)
    return _light(60 * _plateau(x, 250, 240) + burst + 6000 * _bell(y, 76, 6) * peaks)


def pulse_powers(rng: np.random.Generator, time: Profile, beams: int) -> Light:
    """Make the UV power on target (TW) of many beams: float32 ``[time, beams]``, the time in ps."""
    start = rng.normal(0, 12, beams)
    since = (time[:, None] - start).astype(np.float32)
    power = rng.uniform(0.36, 0.44, beams) * _step(since, 40) * _step(1000 - since, 30)
    return _light(power + rng.normal(0, 4e-4, power.shape))
