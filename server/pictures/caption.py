"""The texts in a picture's file: the scaling, the formula from levels to values, and the image's attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import xarray as xr

from shotdap import __version__
from shotdap.server.encoders.json_values import Json, describe_dataset, dump_json
from shotdap.server.pictures.levels import Display, Picture

SOFTWARE: Final = f"shotdap {__version__}"
"""The program that made the picture."""

_RAW_PATH_ATTRIBUTE: Final = "file_as_it_is"  # attribute of the dataset: the path of the image's file
_RAW_SUFFIX: Final = "/raw"


@dataclass(frozen=True)
class Caption:
    """The texts about one picture."""

    dataset: xr.Dataset
    name: str
    """Name of the variable that is shown."""
    picture: Picture
    display: Display

    @property
    def _variable(self) -> xr.Variable:
        return self.dataset.variables[self.name]

    @property
    def units(self) -> str:
        """Units of the values; empty if they have none."""
        units = str(self._variable.attrs.get("units", ""))
        return "" if units == "1" else units

    @property
    def title(self) -> str:
        """A short title of the variable."""
        return str(self._variable.attrs.get("long_name", self.name.rpartition("/")[2]))

    @property
    def source(self) -> str:
        """The public path of the image; empty if the dataset does not have it."""
        derived = str(self._variable.attrs.get("derived_at", "")).partition(".dap?")[0]
        return derived or str(self.dataset.attrs.get(_RAW_PATH_ATTRIBUTE, "")).removesuffix(_RAW_SUFFIX)

    @cached_property
    def description(self) -> str:
        """Sentences about the variable and its scaling."""
        scale = self.picture.scale
        units = f" {self.units}" if self.units else ""
        sentences = [f"{self.name}: {self.title}."]
        if scale.is_identity:
            sentences.append(f"The levels are the values{f', in {self.units}' if units else ''}.")
        else:
            sentences.append(f"From {scale.low:g}{units} (dark) to {scale.high:g}{units} (bright), {scale.scaling}.")
            sentences.append(f"Of a level from 0 to {scale.level_count - 1}, {scale.formula}.")
        if self.picture.missing is not None:
            sentences.append(f"Level {scale.level_count} is a missing value.")
        if self.picture.is_downsampled:
            rows, columns = self.picture.shape
            sentences.append(
                f"Each pixel is the mean of an area of the image, which has {rows} rows and {columns} columns."
            )
        return " ".join(sentences)

    @property
    def scaling(self) -> dict[str, Json]:
        """The scaling, as JSON for programs."""
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
        """Render the scaling and, if wanted, all attributes as JSON."""
        document: dict[str, Json] = {"software": SOFTWARE, "source": self.source, "scaling": self.scaling}
        return dump_json(document | (describe_dataset(self.dataset) if with_attributes else {})).decode()
