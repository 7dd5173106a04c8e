"""Make the image of each diagnostic: its pictures and attributes, arranged like in its files."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.server.demo import camera_attributes
from shotdap.server.demo.image_content import Scale, SyntheticImage, Variable
from shotdap.server.demo.physics import ccd, film_scan, grid, plate, pulses, streaks, thomson_scattering
from shotdap.server.demo.physics.sensitivity import compute_sensitivity, draw_lamp
from shotdap.server.demo.physics.sweep_timing import FIDUCIAL_PERIOD, SWEEPS
from shotdap.server.demo.shot_list import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from numpy.typing import NDArray

    from shotdap.server.demo.image_content import Attributes
    from shotdap.server.demo.shot_list import Facility, Shot

    ImageMaker: TypeAlias = Callable[[np.random.Generator, Shot], SyntheticImage]

_LOCATIONS: Final[Mapping[Facility, str]] = {"OMEGA": "Omega Target Bay", "OMEGA EP": "EP SPDP"}
_SOP_UNITS: Final[Mapping[Facility, str]] = {"OMEGA": "SOP 50/300/20", "OMEGA EP": "epSOP/500/200s01"}
_ASBO_SPEED: Final = 3
_SOP_SPEEDS: Final[Mapping[Facility, int]] = {"OMEGA": 2, "OMEGA EP": 4}


def make_image(diagnostic: str, shot: Shot, *, subject: Subject = Subject.SHOT, seed: int = 0) -> SyntheticImage:
    """Make the image that a diagnostic recorded of a shot, or of an object for its calibration.

    The same seed, shot, diagnostic and subject give the same image.

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


def _make_streak_variable(frames: NDArray[Any], attributes: Attributes) -> Variable:
    """Return the variable of two frames, with the name that nearly every diagnostic uses; a frame is a chunk."""
    return Variable("Streak_array", frames, attributes, chunks=(1, *frames.shape[1:]))


def _describe_asbo_file(channel: int, shot: Shot) -> Attributes:
    return camera_attributes.describe_ross_file(f"ASBO{channel} 40/20{channel}/10", _LOCATIONS[shot.facility])


def _build_asbo_maker(channel: int) -> ImageMaker:
    def make_asbo(rng: np.random.Generator, shot: Shot) -> SyntheticImage:
        light, before = streaks.draw_visar(rng, SWEEPS[_ASBO_SPEED])
        sensitivity = compute_sensitivity(shot.facility, f"ASBO{channel}")
        streak = ccd.take_frames(rng, ccd.ASBO_CAMERA, light * sensitivity)
        reference = ccd.take_frame(rng, ccd.ASBO_CAMERA, before * sensitivity)
        return SyntheticImage(
            (
                _make_streak_variable(streak, camera_attributes.describe_asbo(rng, shot.when, _ASBO_SPEED)),
                Variable("Reference", reference, chunks=reference.shape),
            ),
            _describe_asbo_file(channel, shot),
        )

    return make_asbo


def _build_asbo_flat_maker(channel: int) -> ImageMaker:
    def make_asbo_flat(rng: np.random.Generator, shot: Shot) -> SyntheticImage:
        """Make the image of the lamp, which has no reference."""
        sensitivity = compute_sensitivity(shot.facility, f"ASBO{channel}")
        streak = ccd.take_frames(rng, ccd.ASBO_CAMERA, draw_lamp(ccd.ASBO_CAMERA) * sensitivity)
        return SyntheticImage(
            (_make_streak_variable(streak, camera_attributes.describe_asbo(rng, shot.when, _ASBO_SPEED)),),
            _describe_asbo_file(channel, shot),
        )

    return make_asbo_flat


def _build_asbo_grid_maker(channel: int) -> ImageMaker:
    def make_asbo_grid(rng: np.random.Generator, shot: Shot) -> SyntheticImage:
        sensitivity = compute_sensitivity(shot.facility, f"ASBO{channel}")
        frame = ccd.take_frame(rng, ccd.ASBO_CAMERA, grid.draw_dots(ccd.ASBO_CAMERA) * sensitivity)
        return SyntheticImage(
            (Variable("Grid", frame, camera_attributes.describe_grid(grid.GRID), chunks=frame.shape),),
            _describe_asbo_file(channel, shot),
        )

    return make_asbo_grid


def _make_sop_image(rng: np.random.Generator, shot: Shot, light: NDArray[np.float32]) -> SyntheticImage:
    streak = ccd.take_frames(rng, ccd.SOP_CAMERA, light * compute_sensitivity(shot.facility, "SOP"))
    return SyntheticImage(
        (_make_streak_variable(streak, camera_attributes.describe_sop(rng, shot.when, _SOP_SPEEDS[shot.facility])),),
        camera_attributes.describe_ross_file(_SOP_UNITS[shot.facility], _LOCATIONS[shot.facility]),
    )


def _build_p510_maker(cluster: int) -> ImageMaker:
    def make_p510(rng: np.random.Generator, _shot: Shot) -> SyntheticImage:
        streak = ccd.take_frames(rng, ccd.P510_CAMERA, pulses.draw_beam_pulses(rng))
        return SyntheticImage(
            (_make_streak_variable(streak, camera_attributes.describe_p510(rng)),),
            camera_attributes.describe_p510_file(cluster),
        )

    return make_p510


def _make_epw(rng: np.random.Generator, _shot: Shot) -> SyntheticImage:
    streak = ccd.take_frames(rng, ccd.EPW_CAMERA, thomson_scattering.draw_plasma_waves(rng))
    return SyntheticImage(
        (_make_streak_variable(streak, camera_attributes.describe_epw(rng)),), camera_attributes.DISPLAY_ATTRIBUTES
    )


def _make_ptd(rng: np.random.Generator, _shot: Shot) -> SyntheticImage:
    streak = ccd.take_frames(rng, ccd.PTD_CAMERA, streaks.draw_neutron_burst(rng))
    return SyntheticImage(
        (Variable("Streak_array", streak, chunks=streak.shape),), camera_attributes.describe_ptd_file(rng)
    )


def _make_film_image(counts: NDArray[np.int16], attributes: Attributes) -> SyntheticImage:
    """Arrange a scan like the microdensitometer: the scales of both dimensions are distances on the film (um)."""
    scales = tuple(Scale(film_scan.PIXEL_SIZE * np.arange(size, dtype=np.float32), "um") for size in counts.shape)
    return SyntheticImage(
        (Variable("pds_image", counts, attributes, counts.shape, scales),), camera_attributes.describe_film_file()
    )


_SCAN_DELAY: Final = 2_700.0  # s, from the shot to the scanner


def _make_pcis(rng: np.random.Generator, shot: Shot) -> SyntheticImage:
    """Make the scan of the plate: the raw values, and the PSL that the scanner's program computes from them."""
    raw = plate.scan_plate(rng, _SCAN_DELAY)
    psl = plate.SCANNER.compute_psl(raw).astype(np.float32)
    return SyntheticImage(
        (
            Variable("PSL_per_px", psl, chunks=psl.shape),
            Variable("raw_scan", raw, camera_attributes.describe_plate(plate.SCANNER), chunks=raw.shape),
        ),
        camera_attributes.describe_plate_file(shot.number, _SCAN_DELAY, plate.PIXEL_SIZE, plate.SCANNER.latitude),
    )


_CLUSTERS: Final[Mapping[int, range]] = {cluster: range(10 * cluster, 10 * cluster + 10) for cluster in range(1, 7)}
_BEAM_NUMBERS: Final = [beam for beams in _CLUSTERS.values() for beam in beams]  # 10 … 69, as in the real files
_SAMPLE_COUNT: Final = 512


def _make_p510_summary(rng: np.random.Generator, shot: Shot) -> SyntheticImage:
    """Make the 26 arrays of a P510 summary: powers in TW, times in ps; no picture."""
    time = np.linspace(-4000, 6000, _SAMPLE_COUNT, dtype=np.float32)
    power = pulses.make_pulse_powers(rng, time, len(_BEAM_NUMBERS))
    clusters: list[Variable] = []
    for number, beams in _CLUSTERS.items():
        delays = rng.uniform(-150, 150, 2)
        fiducials = np.stack([1000 * _compute_fiducials(time, delay) for delay in delays], axis=1)
        peaks = (_FIDUCIAL_PEAKS[:, None] + delays).astype(np.float32)
        peaks[-1, number % 2] = -1  # the analysis did not find this peak
        beam_power = power[:, 10 * number - 10 : 10 * number]
        beam_attributes = camera_attributes.describe_summary_cluster(rng, number, beams)
        fiducial_attributes: Attributes = {"CLUSTER_NUM": np.int16(number), "ID": f"fidu_{number}0fidu_{number}1"}
        clusters += [
            Variable(f"DATA_CL{number}", beam_power, beam_attributes),
            Variable(f"DATA_CL{number}_FIDU", fiducials, fiducial_attributes),
            Variable(f"DATA_CL{number}_FIDU_PEAKS", peaks, fiducial_attributes),
        ]
    attributes = camera_attributes.describe_summary_beams(rng, _BEAM_NUMBERS)
    average, spread = power.mean(axis=1, keepdims=True), power.std(axis=1)
    variables = (
        Variable("CLUSTER_DATA_ALL_UV", power, attributes),
        Variable("CLUSTER_DATA_TIME", np.repeat(time[:, None], len(_BEAM_NUMBERS), axis=1), attributes),
        *clusters,
        Variable("SUMMARY_DATA_AVERAGE", average, {"SIDS": "SYN01 ", "T0": np.float32(0)}),
        Variable("SUMMARY_DATA_FIDU", _compute_fiducials(time, 0), {"BEST_CLUSTER": np.int16(4)}),
        Variable("SUMMARY_DATA_PB_0", 100 * spread / np.maximum(average[:, 0], 0.01), {"NUMBER_BEAMS": np.int32(60)}),
        Variable("SUMMARY_DATA_STDEV", np.abs(power - average), attributes),
        Variable("SUMMARY_DATA_TIME", time),
        Variable("SUMMARY_DATA_UV", power, attributes),
    )
    return SyntheticImage(variables, camera_attributes.describe_summary_file(shot.number, shot.when))


_FIDUCIAL_PEAKS: Final = 1000 * FIDUCIAL_PERIOD * np.arange(-2, 6)  # ps, the eight peaks of a fiducial


def _compute_fiducials(time: NDArray[Any], delay: float) -> NDArray[np.float32]:
    peaks = np.exp(-0.5 * ((time[:, None] - _FIDUCIAL_PEAKS - delay) / 60) ** 2)
    return np.asarray(peaks.sum(axis=1), np.float32)


DIAGNOSTICS: Final[Mapping[str, ImageMaker]] = {
    "ASBO1": _build_asbo_maker(1),
    "ASBO2": _build_asbo_maker(2),
    "SOP": lambda rng, shot: _make_sop_image(rng, shot, streaks.draw_emission(rng, SWEEPS[_SOP_SPEEDS[shot.facility]])),
    "P510": _make_p510_summary,
    **{f"P510_{cluster}": _build_p510_maker(cluster) for cluster in _CLUSTERS},
    "EPW_CCD": _make_epw,
    "PTD": _make_ptd,
    "XRFC_FILM": lambda rng, _shot: _make_film_image(
        film_scan.scan_film(rng, film_scan.draw_implosion(rng)), camera_attributes.describe_film()
    ),
    "PCIS": _make_pcis,
}
_CALIBRATIONS: Final[Mapping[tuple[str, Subject], ImageMaker]] = {
    ("ASBO1", Subject.FLAT): _build_asbo_flat_maker(1),
    ("ASBO2", Subject.FLAT): _build_asbo_flat_maker(2),
    ("SOP", Subject.FLAT): lambda rng, shot: _make_sop_image(rng, shot, draw_lamp(ccd.SOP_CAMERA)),
    ("ASBO1", Subject.GRID): _build_asbo_grid_maker(1),
    ("ASBO2", Subject.GRID): _build_asbo_grid_maker(2),
    ("XRFC_FILM", Subject.WEDGE): lambda rng, _shot: _make_film_image(
        film_scan.scan_film(rng, film_scan.WEDGE.compute_exposure()), camera_attributes.describe_wedge(film_scan.WEDGE)
    ),
}
