"""One function for each diagnostic: its picture and its attributes, put together as its files have them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.server.demo import camera_attributes
from shotdap.server.demo.image_content import Image, Scale, Variable
from shotdap.server.demo.physics import ccd, film_scan, grid, plate, pulses, streaks, thomson_scattering
from shotdap.server.demo.physics.sensitivity import lamp, sensitivity
from shotdap.server.demo.physics.sweep import FIDUCIAL_PERIOD, SWEEPS
from shotdap.server.demo.shot_list import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from numpy.typing import NDArray

    from shotdap.server.demo.image_content import Attributes
    from shotdap.server.demo.shot_list import Facility, Shot

    Maker: TypeAlias = Callable[[np.random.Generator, Shot], Image]

_LOCATIONS: Final[Mapping[Facility, str]] = {"OMEGA": "Omega Target Bay", "OMEGA EP": "EP SPDP"}
_SOP_UNITS: Final[Mapping[Facility, str]] = {"OMEGA": "SOP 50/300/20", "OMEGA EP": "epSOP/500/200s01"}
_ASBO_SPEED: Final = 3
_SOP_SPEEDS: Final[Mapping[Facility, int]] = {"OMEGA": 2, "OMEGA EP": 4}


def synthesise(diagnostic: str, shot: Shot, *, subject: Subject = Subject.SHOT, seed: int = 0) -> Image:
    """Make the image that a diagnostic took of a shot, or of what it was calibrated with.

    It is the same one whenever the seed, the shot, the diagnostic and the subject are the same.

    Raises:
        LookupError: the diagnostic is neither in `DIAGNOSTICS` nor, with this subject, among the calibrations.
    """
    name = f"{shot.facility}/{shot.number}/{diagnostic}"
    if subject is Subject.SHOT:
        make = DIAGNOSTICS[diagnostic]
    else:
        make = _CALIBRATIONS[diagnostic, subject]
        name += f"/{subject.name}"
    return make(np.random.default_rng([seed, zlib.crc32(name.encode())]), shot)


def _streak(frames: NDArray[Any], described: Attributes) -> Variable:
    """Name the two frames as nearly every diagnostic does, one chunk a frame."""
    return Variable("Streak_array", frames, described, chunks=(1, *frames.shape[1:]))


def _asbo_file(channel: int, shot: Shot) -> Attributes:
    return camera_attributes.ross_file(f"ASBO{channel} 40/20{channel}/10", _LOCATIONS[shot.facility])


def _asbo(channel: int) -> Maker:
    def make(rng: np.random.Generator, shot: Shot) -> Image:
        light, before = streaks.visar(rng, SWEEPS[_ASBO_SPEED])
        seen = sensitivity(shot.facility, f"ASBO{channel}")
        streak = ccd.frames(rng, ccd.ASBO_CAMERA, light * seen)
        reference = ccd.expose(rng, ccd.ASBO_CAMERA, before * seen)
        return Image(
            (
                _streak(streak, camera_attributes.asbo(rng, shot.when, _ASBO_SPEED)),
                Variable("Reference", reference, chunks=reference.shape),
            ),
            _asbo_file(channel, shot),
        )

    return make


def _asbo_flat(channel: int) -> Maker:
    def make(rng: np.random.Generator, shot: Shot) -> Image:
        """Take the lamp: no reference is taken before it."""
        seen = sensitivity(shot.facility, f"ASBO{channel}")
        streak = ccd.frames(rng, ccd.ASBO_CAMERA, lamp(ccd.ASBO_CAMERA) * seen)
        return Image(
            (_streak(streak, camera_attributes.asbo(rng, shot.when, _ASBO_SPEED)),),
            _asbo_file(channel, shot),
        )

    return make


def _asbo_grid(channel: int) -> Maker:
    def make(rng: np.random.Generator, shot: Shot) -> Image:
        seen = sensitivity(shot.facility, f"ASBO{channel}")
        frame = ccd.expose(rng, ccd.ASBO_CAMERA, grid.dots(ccd.ASBO_CAMERA) * seen)
        return Image(
            (Variable("Grid", frame, camera_attributes.grid(grid.GRID), chunks=frame.shape),),
            _asbo_file(channel, shot),
        )

    return make


def _sop(rng: np.random.Generator, shot: Shot) -> Image:
    return _sop_of(rng, shot, streaks.emission(rng, SWEEPS[_SOP_SPEEDS[shot.facility]]))


def _sop_flat(rng: np.random.Generator, shot: Shot) -> Image:
    return _sop_of(rng, shot, lamp(ccd.SOP_CAMERA))


def _sop_of(rng: np.random.Generator, shot: Shot, light: NDArray[np.float32]) -> Image:
    streak = ccd.frames(rng, ccd.SOP_CAMERA, light * sensitivity(shot.facility, "SOP"))
    return Image(
        (_streak(streak, camera_attributes.sop(rng, shot.when, _SOP_SPEEDS[shot.facility])),),
        camera_attributes.ross_file(_SOP_UNITS[shot.facility], _LOCATIONS[shot.facility]),
    )


def _p510(cluster: int) -> Maker:
    def make(rng: np.random.Generator, _shot: Shot) -> Image:
        streak = ccd.frames(rng, ccd.P510_CAMERA, pulses.beam_pulses(rng))
        return Image((_streak(streak, camera_attributes.p510(rng)),), camera_attributes.p510_file(cluster))

    return make


def _epw(rng: np.random.Generator, _shot: Shot) -> Image:
    streak = ccd.frames(rng, ccd.EPW_CAMERA, thomson_scattering.plasma_waves(rng))
    return Image((_streak(streak, camera_attributes.epw(rng)),), camera_attributes.DISPLAY)


def _ptd(rng: np.random.Generator, _shot: Shot) -> Image:
    streak = ccd.frames(rng, ccd.PTD_CAMERA, streaks.neutron_burst(rng))
    return Image((Variable("Streak_array", streak, chunks=streak.shape),), camera_attributes.ptd_file(rng))


def _xrfc_film(rng: np.random.Generator, _shot: Shot) -> Image:
    return _film(film_scan.scan(rng, film_scan.implosion(rng)), camera_attributes.film())


def _xrfc_wedge(rng: np.random.Generator, _shot: Shot) -> Image:
    return _film(film_scan.scan(rng, film_scan.WEDGE.exposure()), camera_attributes.wedge(film_scan.WEDGE))


def _film(counts: NDArray[np.int16], described: Attributes) -> Image:
    """Lay a scan out as the microdensitometer does, both dimensions scaled by the distance on the film (um)."""
    scales = tuple(Scale(film_scan.PIXEL * np.arange(size, dtype=np.float32), "um") for size in counts.shape)
    return Image((Variable("pds_image", counts, described, counts.shape, scales),), camera_attributes.film_file())


_SCAN_DELAY: Final = 2_700.0  # s, from the shot to the scanner


def _pcis(rng: np.random.Generator, shot: Shot) -> Image:
    """Scan the plate, and give both what the scanner says and the PSL that its own program makes of it."""
    raw = plate.scan(rng, _SCAN_DELAY)
    psl = plate.SCANNER.psl(raw).astype(np.float32)
    return Image(
        (
            Variable("PSL_per_px", psl, chunks=psl.shape),
            Variable("raw_scan", raw, camera_attributes.plate(plate.SCANNER), chunks=raw.shape),
        ),
        camera_attributes.plate_file(shot.number, _SCAN_DELAY, plate.PIXEL, plate.SCANNER.latitude),
    )


_CLUSTERS: Final[Mapping[int, range]] = {cluster: range(10 * cluster, 10 * cluster + 10) for cluster in range(1, 7)}
_BEAMS: Final = [beam for beams in _CLUSTERS.values() for beam in beams]  # numbered 10 … 69, as in the real files
_SAMPLES: Final = 512


def _p510_summary(rng: np.random.Generator, shot: Shot) -> Image:
    """Make the 26 arrays of a P510 summary: powers in TW, times in ps; no picture."""
    time = np.linspace(-4000, 6000, _SAMPLES, dtype=np.float32)
    power = pulses.pulse_powers(rng, time, len(_BEAMS))
    clusters = [_cluster(rng, number, time, power[:, 10 * number - 10 : 10 * number]) for number in _CLUSTERS]
    every = camera_attributes.summary_beams(rng, _BEAMS)
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
    return Image(variables, camera_attributes.summary_file(shot.number, shot.when))


def _cluster(rng: np.random.Generator, number: int, time: NDArray[Any], power: NDArray[Any]) -> tuple[Variable, ...]:
    """Make a cluster's three arrays: the power of its ten beams, its two fiducials, and their peaks."""
    delays = rng.uniform(-150, 150, 2)
    fiducials = np.stack([1000 * _fiducials(time, delay) for delay in delays], axis=1)
    peaks = (_PEAKS[:, None] + delays).astype(np.float32)
    peaks[-1, number % 2] = -1  # missing: the analysis did not find it
    described: Attributes = {"CLUSTER_NUM": np.int16(number), "ID": f"fidu_{number}0fidu_{number}1"}
    return (
        Variable(f"DATA_CL{number}", power, camera_attributes.summary_cluster(rng, number, _CLUSTERS[number])),
        Variable(f"DATA_CL{number}_FIDU", fiducials, described),
        Variable(f"DATA_CL{number}_FIDU_PEAKS", peaks, described),
    )


_PEAKS: Final = 1000 * FIDUCIAL_PERIOD * np.arange(-2, 6)  # ps, the eight peaks of a fiducial


def _fiducials(time: NDArray[Any], delay: float) -> NDArray[np.float32]:
    peaks = np.exp(-0.5 * ((time[:, None] - _PEAKS - delay) / 60) ** 2)
    return np.asarray(peaks.sum(axis=1), np.float32)


DIAGNOSTICS: Final[Mapping[str, Maker]] = {
    "ASBO1": _asbo(1),
    "ASBO2": _asbo(2),
    "SOP": _sop,
    "P510": _p510_summary,
    **{f"P510_{cluster}": _p510(cluster) for cluster in _CLUSTERS},
    "EPW_CCD": _epw,
    "PTD": _ptd,
    "XRFC_FILM": _xrfc_film,
    "PCIS": _pcis,
}
_CALIBRATIONS: Final[Mapping[tuple[str, Subject], Maker]] = {
    ("ASBO1", Subject.FLAT): _asbo_flat(1),
    ("ASBO2", Subject.FLAT): _asbo_flat(2),
    ("SOP", Subject.FLAT): _sop_flat,
    ("ASBO1", Subject.GRID): _asbo_grid(1),
    ("ASBO2", Subject.GRID): _asbo_grid(2),
    ("XRFC_FILM", Subject.WEDGE): _xrfc_wedge,
}
