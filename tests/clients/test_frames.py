"""Every client reads a camera's frames, and their difference, as in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from tests import direct
from tests.clients.programs import CLIENTS, OPENERS, VariablePart
from tests.serving import Server

FRAMES: Final = ("image", "background", "background_subtracted")
PART: Final = (slice(100, 200, 3), slice(7, 330, 1))  # one stop is on the stride's grid, and one is not
THIN: Final = (slice(5, 340, 4), slice(300, 302, 1))

REAL: Final = (
    "asbo1_s62328.hdf",
    "sop_s25386.hdf",
    "EPW_CCD-s112059.hdf",
    "IAW-s101675.hdf",
    "P510_2-s103741.h5",
    "p510_2_s103741.h5",
    "PTD_s103741_ptd.h5",
)
SUMMARY: Final = "P510-p510_data_103741.h5"
SYNTHETIC: Final = {
    "omega/62328/asbo1/asbo1_s62328": ("OMEGA", "asbo1_s62328.hdf"),
    "omega/25386/sop/sop_s25386": ("OMEGA", "sop_s25386.hdf"),
    "omega-ep/25386/sop/sop_s25386": ("OMEGA EP", "sop_s25386.hdf"),
    "omega/103741/p510_2/p510_2_s103741": ("OMEGA", "p510_2_s103741.hdf"),
    "omega/103741/p510_2/P510_2-s103741": ("OMEGA", "P510_2-s103741.h5"),
    "omega/103741/ptd/PTD_s103741_ptd": ("OMEGA", "PTD_s103741_ptd.h5"),
    "omega/112059/epw_ccd/EPW_CCD-s112059": ("OMEGA", "EPW_CCD-s112059.hdf"),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client(client: str, demo: Server, archive: Path, require: Callable[[str], None], tmp_path: Path) -> None:
    """A client reads each frame, whole and strided, with the numbers that pyhdf and NumPy find in the file."""
    if CLIENTS[client].program:
        require(CLIENTS[client].program)
    path = "omega/103741/p510_2/p510_2_s103741"
    expected = direct.read_frames(direct.find_stored(archive, *SYNTHETIC[path]))
    asked = [VariablePart(name, part) for name in FRAMES for part in ((), PART, THIN)]

    found = CLIENTS[client].fetch(demo.dap(path), asked, tmp_path)

    assert len(found) == len(asked)
    for ask, values in zip(asked, found, strict=True):
        np.testing.assert_array_equal(values, ask.select(expected[ask.name]), str(ask), strict=False)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("path", SYNTHETIC)
def test_every_synthetic_image(path: str, opener: str, demo: Server, archive: Path) -> None:
    """Xarray opens every image of the synthetic archive, by each engine and protocol, with the file's numbers."""
    expected = direct.read_frames(direct.find_stored(archive, *SYNTHETIC[path]))
    with OPENERS[opener](demo.dap(path)) as dataset:
        for name, values in expected.items():
            np.testing.assert_array_equal(dataset[name][PART], values[PART])


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("name", REAL)
def test_every_real_image(name: str, opener: str, real: Server, real_folder: Path) -> None:
    """Xarray opens every real image, by each engine and protocol: frames and difference, whole and strided."""
    expected = direct.read_frames(real_folder / name)
    with OPENERS[opener](real.dap(name)) as dataset:
        assert set(dataset.data_vars) >= set(expected)
        for variable, values in expected.items():
            np.testing.assert_array_equal(dataset[variable], values)
            np.testing.assert_array_equal(dataset[variable][PART], values[PART])


@pytest.mark.parametrize("opener", OPENERS)
def test_summary(opener: str, real: Server, real_folder: Path) -> None:
    """The summary of a real shot has 26 arrays; each equals the file's, whole and strided."""
    expected = direct.read_arrays(real_folder / SUMMARY)
    with OPENERS[opener](real.dap(SUMMARY)) as dataset:
        for variable, values in expected.items():
            np.testing.assert_array_equal(dataset[variable], values)
            np.testing.assert_array_equal(dataset[variable][..., 1::2], values[..., 1::2])

    assert len(expected) == 26
