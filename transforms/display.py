"""How an image is shown: which of its variables, in which colours, over which range of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import xarray as xr

from shotdap.transforms.selection import BadSelection

__all__ = ["Display", "Scaling", "shown"]

Scaling: TypeAlias = Literal["linear", "sqrt", "log"]
"""How values become brightness between the ends of the range."""

_PREFERRED: Final = ("result", "background_subtracted", "image")
"""What is shown of an image where nobody says what, the first that there is."""

_IMAGE: Final = 2  # dimensions


@dataclass(frozen=True)
class Display:
    """How values become a picture."""

    colours: str = "gray"
    """A colour map, as `cmap` knows it: ``viridis``, ``gray``, ``cmocean:thermal``."""
    scaling: Scaling = "linear"
    low: float | None = None
    """The value that is darkest; `None` for the lower percentile."""
    high: float | None = None
    """The value that is brightest; `None` for the upper percentile."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    bits: Literal[8, 16] = 8
    """Of each pixel of a PNG: 8, in colours, or 16, in greys."""
    size: int | None = None
    """Pixels of the longer side; `None` for as many as the image has."""
    quality: int = 90
    """Of a JPEG, of 100."""
    colour_bar: bool = False
    scale_bar: bool = False


def shown(dataset: xr.Dataset) -> str:
    """The name of the variable that is shown of an image where nobody says which.

    Raises:
        BadSelection: it has no variable with two dimensions.
    """
    images = [str(name) for name, variable in dataset.variables.items() if _is_image(variable)]
    for name in (*_PREFERRED, *images):
        if name in images:
            return name
    raise BadSelection("There is no image here: no variable has rows and columns of numbers.")


def _is_image(variable: xr.Variable) -> bool:
    return variable.ndim >= _IMAGE and variable.dtype.kind in "biuf" and min(variable.shape[-_IMAGE:]) > 1
