"""Images of real shots, if they are beside the checkout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from pyhdf.SD import SD

from shotdap.transforms import add_variables, create_recipe

Frames = NDArray[np.uint16]


def read_hdf4(path: Path) -> Frames:
    """Read the frames of an HDF4 file by pyhdf."""
    return np.asarray(SD(str(path)).select("Streak_array").get())


def read_hdf5(path: Path) -> Frames:
    """Read the frames of an HDF5 file by h5py."""
    with h5py.File(path) as file:
        return np.asarray(file["Streak_array"])


FRAMES: Final = {
    "asbo1_s62328.hdf": read_hdf4,
    "sop_s25386.hdf": read_hdf4,
    "P510_2-s103741.h5": read_hdf5,
}

FIDUCIAL: Final = {"period": 548.24}
GENERATOR: Final = {"frequency": 2.0}
"""The camera's own comb: ``OCM_CombFrequency`` of these files is 2 (GHz)."""


def open_real(path: Path) -> xr.Dataset:
    """Open a real file with shotdap."""
    return xr.open_dataset(path, engine="shotdap")


def fit_time_axis(path: Path, band: tuple[int, int], **options: Any) -> xr.Dataset:  # noqa: ANN401 — those of comb_fit
    """Return a real file with the time axis of the comb between two rows."""
    recipes = [
        create_recipe("peaks", "comb_peaks", ["background_subtracted"], {"band": band}),
        create_recipe("fit", "comb_fit", ["peaks"], options),
        create_recipe("time", "comb_time", ["x", "fit"], coordinate=True),
    ]
    return add_variables(open_real(path).drop_vars("time", errors="ignore"), recipes)


@pytest.mark.parametrize("name", FRAMES)
def test_backgrounds_do_not_wrap(real_folder: Path, name: str) -> None:
    """The difference equals that of floating-point frames, also below zero, where uint16 would wrap around."""
    signal, background = FRAMES[name](real_folder / name)
    difference = open_real(real_folder / name)["background_subtracted"]
    wrapped = np.mean(signal < background)

    np.testing.assert_array_equal(difference, signal.astype(float) - background.astype(float))
    assert wrapped > 0.1
    assert np.mean(difference.values < 0) == wrapped


# The rows of each comb, known values, the order of the fit, and the result: peaks, and ps per pixel.
COMBS: Final = [
    pytest.param("asbo1_s62328.hdf", (800, 850), {**GENERATOR, "order": 7}, 54, 28.2, id="ASBO, comb generator"),
    pytest.param("asbo1_s62328.hdf", (60, 99), FIDUCIAL, 8, 25.9, id="ASBO, fiducial"),
    pytest.param("sop_s25386.hdf", (870, 915), {**GENERATOR, "order": 3}, 12, 6.3, id="SOP, comb generator"),
    pytest.param("sop_s25386.hdf", (85, 125), {**FIDUCIAL, "order": 3}, 8, 6.1, id="SOP, fiducial"),
    pytest.param("P510_2-s103741.h5", (0, 55), {**FIDUCIAL, "order": 3}, 8, 13.3, id="P510, upper fiducial"),
    pytest.param("P510_2-s103741.h5", (460, 511), {**FIDUCIAL, "order": 3}, 8, 13.8, id="P510, lower fiducial"),
    pytest.param("PTD_s103741_ptd.h5", (40, 110), {**FIDUCIAL, "order": 3}, 8, 15.4, id="PTD, fiducial"),
]


@pytest.mark.parametrize(("name", "band", "options", "peaks", "per_pixel"), COMBS)
def test_combs_give_time_axes(
    real_folder: Path, name: str, band: tuple[int, int], options: dict[str, Any], peaks: int, per_pixel: float
) -> None:
    """The residual is less than a pixel of time, and time increases from the first peak to the last."""
    dataset = fit_time_axis(real_folder / name, band, **options)
    residual, used, first, last = dataset["fit"].values[-4:]
    time = dataset["time"].values[int(first) : int(last) + 2]
    pixel = float(np.mean(np.diff(time)))
    found = f"{used:.0f} peaks from {first:.1f} to {last:.1f}, {pixel:.2f} ps a pixel, residual {residual:.1f} ps"
    print(f"{name}, {band}: {found}")  # noqa: T201 — pytest -rP shows it

    assert used == peaks
    assert residual < pixel
    assert pixel == pytest.approx(per_pixel, rel=0.02)
    assert (np.diff(time) > 0).all()


@pytest.mark.parametrize(
    ("name", "most"), [("asbo1_s62328.hdf", 0.5), ("sop_s25386.hdf", 0.8), ("P510_2-s103741.h5", 0.3)]
)
def test_the_shipped_time_axis(real_folder: Path, name: str, most: float) -> None:
    """The time axis that is shipped for these images increases everywhere; its residual is less than a pixel."""
    image = open_real(real_folder / name)
    time, fit = image["time"].values, image["comb_coefficients"].values

    assert "time" in image["background_subtracted"].coords
    assert (np.diff(time) > 0).all()
    assert 0 < fit[-4] < most * np.diff(time).mean()


@pytest.mark.parametrize("name", ["asbo1_s62328.hdf", "sop_s25386.hdf"])
def test_two_combs_are_never_taken_for_one_another(real_folder: Path, name: str) -> None:
    """ROSS cameras record the fiducial and their own comb; unless a band selects one, there is no axis."""
    whole = fit_time_axis(real_folder / name, (0, 1023))

    assert whole["peaks"].isnull().all()
    assert whole["fit"].values[-3] == 0
    assert whole["time"].isnull().all()


@pytest.mark.parametrize(
    ("name", "fiducial", "generator"),
    [("asbo1_s62328.hdf", (60, 99), (800, 850)), ("sop_s25386.hdf", (85, 125), (870, 915))],
)
def test_the_two_combs_tell_the_same_time(
    real_folder: Path, name: str, fiducial: tuple[int, int], generator: tuple[int, int]
) -> None:
    """With 548.24 ps at one edge and 500 ps at the other, a pixel takes the same time to 2 %; with one period, not."""
    upper = fit_time_axis(real_folder / name, fiducial, **FIDUCIAL)
    lower = fit_time_axis(real_folder / name, generator, **GENERATOR, order=5)
    first, last = (round(each) for each in upper["fit"].values[-2:])
    ratio = float(lower["time"][last] - lower["time"][first]) / float(upper["time"][last] - upper["time"][first])

    assert ratio == pytest.approx(1, abs=0.02)
    assert abs(ratio * 548.24 / 500 - 1) > 0.07


def test_thomson_spectra_have_no_comb(real_folder: Path) -> None:
    """Thomson spectra contain no comb, and none is found."""
    assert fit_time_axis(real_folder / "EPW_CCD-s112059.hdf", (0, 1023))["peaks"].isnull().all()


def test_fringes_stand_still_before_the_shock(real_folder: Path) -> None:
    """Before the shock the fringes are still, to a twentieth of a turn; then they move by more than half a turn."""
    active = {"rows": (0, 1023), "columns": (0, 1048)}
    recipes = [
        replace(create_recipe("shot", "crop", ["background_subtracted"], active), suffix="active"),
        create_recipe("level", "subtract_background", ["reference", "background"]),
        replace(create_recipe("before", "crop", ["level"], active), suffix="active"),
        create_recipe("shift", "visar_phase_shift", ["shot", "before"], {"origin": 100}),
    ]
    shift = add_variables(open_real(real_folder / "asbo1_s62328.hdf"), recipes)["shift"].values[400:550]

    assert np.median(np.abs(shift[:, 80:240])) < 2 * np.pi / 20
    assert np.median(shift[:, 440:460]) > np.pi
