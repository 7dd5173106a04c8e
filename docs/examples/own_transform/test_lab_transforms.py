"""What every transform must do, and what this one must."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from lab_transforms import TRANSFORMS

from shotdap.transforms.testing import TransformContract

(PHOTOELECTRONS,) = TRANSFORMS


class TestPhotoelectrons(TransformContract):
    """Slices, types, units, laziness: what is asked of every transform."""

    transform = PHOTOELECTRONS
    variants = ({"gain": 0.7}, {"gain": 12})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        """Return counts as the camera gives them."""
        return (xr.DataArray(rng.integers(0, 65_536, (40, 50), dtype="u2"), dims=("y", "x")),)


def test_formula() -> None:
    """A count is as many photoelectrons as the gain says."""
    made = PHOTOELECTRONS.apply(xr.DataArray([0, 10], dims="x"), gain=1.5)

    np.testing.assert_array_equal(made, [0, 15])
