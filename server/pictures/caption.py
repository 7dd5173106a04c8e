"""What a picture says of itself: the scaling that was applied, the way back to values, and the image's attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import xarray as xr

from shotdap import __version__
from shotdap.server.encoders.json_values import Json, describe_dataset, dump_json
from shotdap.server.pictures.levels import Display, Picture

SOFTWARE: Final = f"shotdap {__version__}"
"""What made the picture."""

_RAW_PATH_ATTRIBUTE: Final = "file_as_it_is"  # the dataset's attribute that tells the path of the image's file
_RAW_SUFFIX: Final = "/raw"


@dataclass(frozen=True)
class Caption:
    """The texts about one picture."""

    dataset: xr.Dataset
    name: str
    """Of the variable that is shown."""
    picture: Picture
    display: Display

    @property
    def _variable(self) -> xr.Variable:
        return self.dataset.variables[self.name]

    @property
    def units(self) -> str:
        """Of the values; empty where there are none."""
        units = str(self._variable.attrs.get("units", ""))
        return "" if units == "1" else units

    @property
    def title(self) -> str:
        """What is shown, in a few words."""
        return str(self._variable.attrs.get("long_name", self.name.rpartition("/")[2]))

    @property
    def source(self) -> str:
        """The public path of the image; empty where it does not say."""
        derived = str(self._variable.attrs.get("derived_at", "")).partition(".dap?")[0]
        return derived or str(self.dataset.attrs.get(_RAW_PATH_ATTRIBUTE, "")).removesuffix(_RAW_SUFFIX)

    @cached_property
    def description(self) -> str:
        """What is shown and how, in sentences."""
        scale = self.picture.scale
        units = f" {self.units}" if self.units else ""
        said = [f"{self.name}: {self.title}."]
        if scale.is_identity:
            said.append(f"The levels are the values{f', in {self.units}' if units else ''}.")
        else:
            said.append(f"From {scale.low:g}{units} (dark) to {scale.high:g}{units} (bright), {scale.scaling}.")
            said.append(f"Of a level from 0 to {scale.level_count - 1}, {scale.formula}.")
        if self.picture.missing is not None:
            said.append(f"Level {scale.level_count} is a missing value.")
        if self.picture.is_downsampled:
            rows, columns = self.picture.shape
            said.append(f"Each pixel is the mean of an area of the image, which has {rows} rows and {columns} columns.")
        return " ".join(said)

    @property
    def scaling(self) -> dict[str, Json]:
        """The scaling, for programs."""
        scale = self.picture.scale
        return {
            "variable": self.name,
            "units": self.units,
            "low": scale.low,
            "high": scale.high,
            "scaling": scale.scaling,
            "levels": scale.level_count,
            "missing_level": None if self.picture.missing is None else scale.level_count,
            "formula": scale.formula,
            "colours": self.display.colours if self.display.bits == 8 and not self.picture.is_coloured else "gray",  # noqa: PLR2004
            "image_shape": list(self.picture.shape),
            "picture_shape": list(self.picture.levels.shape[:2]),
        }

    def render_json(self, *, with_attributes: bool = True) -> str:
        """Everything, as JSON."""
        said: dict[str, Json] = {"software": SOFTWARE, "source": self.source, "scaling": self.scaling}
        return dump_json(said | (describe_dataset(self.dataset) if with_attributes else {})).decode()
