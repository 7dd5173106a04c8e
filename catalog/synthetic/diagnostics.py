"""One function for each diagnostic: its picture and its attributes, put together as its files have them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.catalog.synthetic import attributes, pictures
from shotdap.catalog.synthetic.image import Image, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from shotdap.catalog.synthetic.image import Attributes
    from shotdap.catalog.synthetic.shots import Facility, Shot

_LOCATIONS: Final[Mapping[Facility, str]] = {"OMEGA": "Omega Target Bay", "OMEGA EP": "EP SPDP"}
_ASBO_SPEED: Final = 3
_SOP_SPEEDS: Final[Mapping[Facility, int]] = {"OMEGA": 2, "OMEGA EP": 4}


def synthesise(diagnostic: str, shot: Shot, *, seed: int = 0) -> Image:
    """Make the image that a diagnostic took of a shot: the same one whenever the seed, the shot and it are the same.

    Raises:
        LookupError: there is no such diagnostic in `DIAGNOSTICS`.
    """
    name = f"{shot.facility}/{shot.number}/{diagnostic}"
    return DIAGNOSTICS[diagnostic](np.random.default_rng([seed, zlib.crc32(name.encode())]), shot)


def _streak(frames: NDArray[Any], described: Attributes) -> Variable:
    """Name the two frames as nearly every diagnostic does, one chunk a frame."""
    return Variable("Streak_array", frames, described, chunks=(1, *frames.shape[1:]))


def _asbo(channel: int) -> Callable[[np.random.Generator, Shot], Image]:
    def make(rng: np.random.Generator, shot: Shot) -> Image:
        light, before = pictures.visar(rng, pictures.SWEEPS[_ASBO_SPEED])
        streak = pictures.frames(rng, pictures.ASBO_CAMERA, light)
        reference = pictures.expose(rng, pictures.ASBO_CAMERA, before)
        return Image(
            (
                _streak(streak, attributes.asbo(rng, shot.when, _ASBO_SPEED)),
                Variable("Reference", reference, chunks=reference.shape),
            ),
            attributes.ross_file(f"ASBO{channel} 40/20{channel}/10", _LOCATIONS[shot.facility]),
        )

    return make


def _sop(rng: np.random.Generator, shot: Shot) -> Image:
    speed = _SOP_SPEEDS[shot.facility]
    light = pictures.emission(rng, pictures.SWEEPS[speed])
    streak = pictures.frames(rng, pictures.SOP_CAMERA, light)
    unit = {"OMEGA": "SOP 50/300/20", "OMEGA EP": "epSOP/500/200s01"}[shot.facility]
    return Image(
        (_streak(streak, attributes.sop(rng, shot.when, speed)),),
        attributes.ross_file(unit, _LOCATIONS[shot.facility]),
    )


def _p510(cluster: int) -> Callable[[np.random.Generator, Shot], Image]:
    def make(rng: np.random.Generator, _shot: Shot) -> Image:
        streak = pictures.frames(rng, pictures.P510_CAMERA, pictures.beam_pulses(rng))
        return Image((_streak(streak, attributes.p510(rng)),), attributes.p510_file(cluster))

    return make


def _epw(rng: np.random.Generator, _shot: Shot) -> Image:
    streak = pictures.frames(rng, pictures.EPW_CAMERA, pictures.plasma_waves(rng))
    return Image((_streak(streak, attributes.epw(rng)),), attributes.DISPLAY)


def _ptd(rng: np.random.Generator, _shot: Shot) -> Image:
    streak = pictures.frames(rng, pictures.PTD_CAMERA, pictures.neutron_burst(rng))
    return Image((Variable("Streak_array", streak, chunks=streak.shape),), attributes.ptd_file(rng))


_CLUSTERS: Final[Mapping[int, range]] = {cluster: range(10 * cluster, 10 * cluster + 10) for cluster in range(1, 7)}
_BEAMS: Final = [beam for beams in _CLUSTERS.values() for beam in beams]  # numbered 10 … 69, as in the real files
_SAMPLES: Final = 512


def _p510_summary(rng: np.random.Generator, shot: Shot) -> Image:
    """Make the 26 arrays of a P510 summary: powers in TW, times in ps; no picture."""
    time = np.linspace(-4000, 6000, _SAMPLES, dtype=np.float32)
    power = pictures.pulse_powers(rng, time, len(_BEAMS))
    clusters = [_cluster(rng, number, time, power[:, 10 * number - 10 : 10 * number]) for number in _CLUSTERS]
    every = attributes.summary_beams(rng, _BEAMS)
    average, spread = power.mean(axis=1, keepdims=True), power.std(axis=1)
    variables = (
        Variable("CLUSTER_DATA_ALL_UV", power, every),
        Variable("CLUSTER_DATA_TIME", np.repeat(time[:, None], len(_BEAMS), axis=1), every),
        *(variable for cluster in clusters for variable in cluster),
        Variable("SUMMARY_DATA_AVERAGE", average, {"SIDS": "SYN01 ", "T0": np.float32(0)}),
        Variable("SUMMARY_DATA_FIDU", _fiducials(time, 0), {"BEST_CLUSTER": np.int16(4)}),
        Variable("SUMMARY_DATA_PB_0", 100 * spread / np.maximum(average[:, 0], 0.01), {"NUMBER_BEAMS": np.int32(60)}),
        Variable("SUMMARY_DATA_STDEV", np.abs(power - average), every),
        Variable("SUMMARY_DATA_TIME", time),
        Variable("SUMMARY_DATA_UV", power, every),
    )
    return Image(variables, attributes.summary_file(shot.number, shot.when))


def _cluster(rng: np.random.Generator, number: int, time: NDArray[Any], power: NDArray[Any]) -> tuple[Variable, ...]:
    """Make a cluster's three arrays: the power of its ten beams, its two fiducials, and their peaks."""
    delays = rng.uniform(-150, 150, 2)
    fiducials = np.stack([1000 * _fiducials(time, delay) for delay in delays], axis=1)
    peaks = (_PEAKS[:, None] + delays).astype(np.float32)
    peaks[-1, number % 2] = -1  # missing: the analysis did not find it
    described: Attributes = {"CLUSTER_NUM": np.int16(number), "ID": f"fidu_{number}0fidu_{number}1"}
    return (
        Variable(f"DATA_CL{number}", power, attributes.summary_cluster(rng, number, _CLUSTERS[number])),
        Variable(f"DATA_CL{number}_FIDU", fiducials, described),
        Variable(f"DATA_CL{number}_FIDU_PEAKS", peaks, described),
    )


_PEAKS: Final = 1000 * pictures.FIDUCIAL_PERIOD * np.arange(-2, 6)  # ps, the eight peaks of a fiducial


def _fiducials(time: NDArray[Any], delay: float) -> NDArray[np.float32]:
    peaks = np.exp(-0.5 * ((time[:, None] - _PEAKS - delay) / 60) ** 2)
    return np.asarray(peaks.sum(axis=1), np.float32)


DIAGNOSTICS: Final[Mapping[str, Callable[[np.random.Generator, Shot], Image]]] = {
    "ASBO1": _asbo(1),
    "ASBO2": _asbo(2),
    "SOP": _sop,
    "P510": _p510_summary,
    **{f"P510_{cluster}": _p510(cluster) for cluster in _CLUSTERS},
    "EPW_CCD": _epw,
    "PTD": _ptd,
}
