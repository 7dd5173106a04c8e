"""Orientation of a picture: as the array is stored, or turned as the camera displays it.

The attributes ``display_rotation`` and ``display_flip`` of an image tell it. They mean what the transform
``rotate_flip`` means. The viewer reads them in the same way (``server/viewer/src/values/orientation.ts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.server.pictures.levels import BAND_DIMENSION, IMAGE_NDIM, Display
from shotdap.transforms.geometry import Flip, Rotation, rotate_dimensions

_ROTATIONS: Final[Mapping[int, Rotation]] = {0: 0, 90: 90, 180: 180, 270: 270}
_FLIPS: Final[Mapping[tuple[str, ...], Flip]] = {(): "none", ("x",): "x", ("y",): "y", ("x", "y"): "xy"}
_ROWS, _COLUMNS = "rows", "columns"


@dataclass(frozen=True)
class Orientation:
    """The places of the stored rows and columns in a picture."""

    is_swapped: bool = False
    """True if stored rows are shown as columns."""
    is_upwards: bool = False
    """True if the stored dimension down the picture runs upwards."""
    is_leftwards: bool = False
    """True if the stored dimension across the picture runs to the left."""

    @classmethod
    def from_attributes(cls, attributes: Mapping[Any, Any]) -> Orientation:
        """Return the orientation that the attributes of an image tell; as stored if they tell none."""
        texts = [np.ravel(np.asarray(attributes.get(f"display_{name}", ""))) for name in ("rotation", "flip")]
        rotation, flip = (str(values[0]) if values.size == 1 else "" for values in texts)
        axes = tuple(axis for axis in "xy" if axis in flip.lower())
        degrees = _ROTATIONS.get(int(rotation) if rotation.isdecimal() else 0, 0)
        turned = rotate_dimensions((_ROWS, _COLUMNS), degrees, _FLIPS[axes])
        return cls(next(iter(turned)) == _COLUMNS, *turned.values())

    def turn_pixels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn an array ``[rows, columns]``; the result is a view."""
        turned = pixels.T if self.is_swapped else pixels
        return turned[:: -1 if self.is_upwards else 1, :: -1 if self.is_leftwards else 1]

    def turn_dataset(self, dataset: xr.Dataset, name: str) -> xr.Dataset:
        """Turn a variable of a dataset, and its coordinates: dimensions keep their names and change their order.

        Args:
            dataset: in memory.
            name: of a variable with rows and columns, perhaps with bands of colours behind them.
        """
        dims = dataset.variables[name].dims
        bands = dims[-1:] if dims[-1] == BAND_DIMENSION else ()
        first, second = dims[: len(dims) - len(bands)][-IMAGE_NDIM:]
        down, across = (second, first) if self.is_swapped else (first, second)
        backwards = {down: self.is_upwards, across: self.is_leftwards}
        turned = dataset.isel({dim: slice(None, None, -1) for dim, is_backwards in backwards.items() if is_backwards})
        return turned.assign({name: turned.variables[name].transpose(..., down, across, *bands)})


AS_STORED: Final = Orientation()
"""The first row on top, the first column at the left."""


def choose_orientation(attributes: Mapping[Any, Any], variable: xr.Variable, display: Display) -> Orientation:
    """Choose the orientation of the picture of a variable.

    Args:
        attributes: of the image.
        variable: what is shown.
        display: the parameters of the picture.
    """
    is_image = variable.ndim > IMAGE_NDIM or (variable.ndim == IMAGE_NDIM and variable.dims[-1] != BAND_DIMENSION)
    return Orientation.from_attributes(attributes) if is_image and display.orientation == "displayed" else AS_STORED
