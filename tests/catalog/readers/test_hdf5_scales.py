"""HDF5 datasets that look like dimension scales."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from shotdap.catalog.readers import read


@pytest.mark.parametrize("text", ["DIMENSION_SCALF", "IMAGE", "DIMENSION_SCALE"])
def test_class(tmp_path: Path, text: str) -> None:
    """A CLASS attribute of any text, also as long as a scale's, is read; only one value makes a scale."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(text) + 1)
    with h5py.File(tmp_path / "image", "w") as file:
        file["time"] = np.arange(3)
        scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file["time"].id, b"CLASS", kind, scalar).write(np.array(text.encode(), kind.dtype), mtype=kind)

    assert (read(tmp_path / "image")["time"].dims == ("time",)) == (text == "DIMENSION_SCALE")
