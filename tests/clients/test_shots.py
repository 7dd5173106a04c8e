"""Real clients open a whole shot, and stacks of shots."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import xarray as xr
from tests import direct
from tests.clients.programs import OPENERS
from tests.serving import Server

SHOT: Final = "omega/62328"
GROUP: Final = "asbo1/asbo1_s62328"
PART: Final = (slice(100, 200, 3), slice(7, 330))
STACK: Final = "~stack-diagnostic-SOP-name-sop_s25386.hdf~background_subtracted"
FILES: Final = (("OMEGA EP", "sop_s25386.hdf"), ("OMEGA", "sop_s25386.hdf"))


@pytest.mark.parametrize(("engine", "ending"), [("netcdf4", "#dap4"), ("pydap", "?dap4.ce=/")])
def test_datatree(engine: str, ending: str, demo: Server, archive: Path) -> None:
    """``xr.open_datatree`` opens a shot as a tree, lazily: each image a group, with the numbers of its file."""
    expected = direct.frames(direct.stored(archive, "OMEGA", "asbo1_s62328.hdf"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = xr.open_datatree(f"{demo.dap(SHOT)}{ending}", engine=engine)
    image = tree[GROUP].to_dataset()

    assert {"/asbo1/asbo1_s62328", "/asbo2/asbo2_s62328"} <= set(tree.groups)
    assert not image["background_subtracted"].variable._in_memory  # noqa: SLF001 — no public way to ask
    np.testing.assert_array_equal(image["background_subtracted"][PART].values, expected["background_subtracted"][PART])
    tree.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_stack(opener: str, demo: Server, archive: Path) -> None:
    """Xarray opens a stack by each engine and protocol, with the numbers of the files, one after the other."""
    expected = np.stack([direct.frames(direct.stored(archive, *file))["background_subtracted"][PART] for file in FILES])
    with OPENERS[opener](demo.dap(STACK)) as stack:
        found = stack["background_subtracted"][(slice(None), *PART)].values

    np.testing.assert_array_equal(found, expected)
