"""The transforms a recipe can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import xarray as xr

from shotdap.transforms.background import subtract_background

__all__ = ["TRANSFORMS", "Transform"]

Transform: TypeAlias = Callable[..., xr.DataArray]
"""A pure function: DataArrays and options in, a DataArray out."""

TRANSFORMS: Mapping[str, Transform] = MappingProxyType({"subtract_background": subtract_background})
