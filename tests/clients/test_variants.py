"""Every client reads a variant, whose path selects transforms with their options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from scipy import ndimage
from tests import direct
from tests.clients.programs import CLIENTS, VariablePart
from tests.serving import Server

PATH: Final = "omega/103741/p510_2/p510_2_s103741"
PART: Final = (slice(100, 200, 3), slice(7, 330, 1))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "segment",
    [
        "~background_subtracted-scale-1.5~median_filter-size-5",
        "~background_subtracted-scale-1.500-clip-false~median_filter-size-05",
    ],
    ids=["as it is to be written", "in another way"],
)
def test_every_client(
    client: str, segment: str, demo: Server, archive: Path, require: Callable[[str], None], tmp_path: Path
) -> None:
    """A client reads SciPy's result for the file, whether or not it is redirected to the canonical URL."""
    if CLIENTS[client].program:
        require(CLIENTS[client].program)
    frames = direct.read_frames(direct.find_stored(archive, "OMEGA", "p510_2_s103741.hdf"))
    difference = frames["image"].astype("f4") - np.float32(1.5) * frames["background"].astype("f4")
    asked = [VariablePart("result", PART), VariablePart("background_subtracted", PART)]

    result, subtracted = CLIENTS[client].fetch(f"{demo.dap(PATH)}/{segment}", asked, tmp_path)

    np.testing.assert_array_equal(result, ndimage.median_filter(difference, 5)[PART])
    np.testing.assert_array_equal(subtracted, difference[PART])
