"""What the page of an image shows: the variable and the part of it, and the numbers that are computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import xarray as xr

from shotdap.catalog import Image
from shotdap.server.api.responses import quote_path
from shotdap.server.extraction import Extraction
from shotdap.server.http.limits import Limits, check_size
from shotdap.server.http.request import HttpRequest
from shotdap.server.pictures.curve_figure import CurveFigure, compute_curves
from shotdap.server.pictures.curves import are_curves, get_curves
from shotdap.server.pictures.default_display import choose_display, find_shown_variable
from shotdap.server.pictures.figure import (
    Figure,
    RegionStatistics,
    compute_figure,
    compute_region,
    make_axis,
)
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.orientation import AS_STORED, Orientation, choose_orientation
from shotdap.server.website.recipes.languages import ShownPart, Slice
from shotdap.server.website.view_params import ViewParams
from shotdap.transforms import BadSelection

IMAGE_NDIM: Final = 2
"""Dimensions of a picture: the last ones of a variable."""

RESULT: Final = "result"
"""The variable that the last transform of a variant makes."""

_MAX_PIXELS: Final = 2048 * 2048  # of which the numbers on the page are computed; of more, every nth
_PICTURE_SIZE: Final = 1024  # pixels of the longer side
_QUALITY: Final = 85
_SMALL: Final = 400  # pixels; a smaller picture is enlarged with sharp edges
_WIDE: Final = 1.3  # width by height
_STRIP: Final = 10.0


@dataclass(frozen=True)
class ShownImage:
    """A variable of an image, the part of it that is shown, and how."""

    dataset: xr.Dataset
    params: ViewParams
    limits: Limits
    name: str
    slices: Sequence[Slice]
    """For each dimension of the variable."""

    @classmethod
    def from_params(cls, dataset: xr.Dataset, params: ViewParams, limits: Limits) -> ShownImage:
        """Choose the variable and the part that a query selects.

        Args:
            dataset: the image or its variant, lazily.
            params: the query.
            limits: how much one request may ask for.

        Raises:
            BadSelection: the query does not fit the image.
        """
        wanted = params.variable_name
        if wanted and wanted not in dataset.variables:
            known = ", ".join(map(str, dataset.variables))
            raise BadSelection(f"There is no variable {wanted!r} here. There are: {known}.")
        name = wanted or (RESULT if RESULT in dataset.variables else find_shown_variable(dataset))
        variable, part = dataset.variables[name], params.rest.extraction.part
        unknown = [each for each in part if each not in variable.dims]
        if unknown:
            raise BadSelection(f"{name} has no dimension {unknown[0]!r}, only {', '.join(map(str, variable.dims))}.")
        slices = []
        for number, (dimension, size) in enumerate(variable.sizes.items()):
            is_frame = variable.ndim - number > IMAGE_NDIM
            chosen = part.get(str(dimension), 0 if is_frame else slice(None))
            if not isinstance(chosen, slice):
                chosen = slice(chosen, chosen + 1 or None)
            start, stop, step = chosen.indices(size)
            if step != 1:
                raise BadSelection(f"{dimension}: a page shows every pixel; leave out the step {step}.")
            if start >= stop:
                raise BadSelection(f"{dimension} has {size:,} values; nothing is left of {dimension}={start}:{stop}.")
            slices.append(Slice(str(dimension), start, stop, size))
        return cls(dataset, params, limits, name, slices)

    @property
    def whole_variable(self) -> xr.Variable:
        """The variable, lazily and whole."""
        return self.dataset.variables[self.name]

    @property
    def units(self) -> str:
        """The units of the values; empty if they have none."""
        units = str(self.whole_variable.attrs.get("units", ""))
        return "" if units == "1" else units

    @property
    def shape_class(self) -> str:
        """The class of the picture's frame by its shape, as the style sheet knows no sizes of images."""
        if len(self.slices) < IMAGE_NDIM:
            return "wide"
        rows, columns = self.slices[-IMAGE_NDIM:]
        ratio = rows.count / columns.count if self.orientation.is_swapped else columns.count / rows.count
        kind = "strip" if ratio > _STRIP or ratio < 1 / _STRIP else "wide" if ratio >= _WIDE else "tall"
        return f"{kind} sharp" if max(rows.count, columns.count) < _SMALL else kind

    @property
    def display(self) -> Display:
        """The parameters of its picture."""
        return self.params.rest.change_display(choose_display(self.whole_variable))

    @property
    def orientation(self) -> Orientation:
        """The orientation of the rows and columns in the picture."""
        return choose_orientation(self.dataset.attrs, self.whole_variable, self.display)

    @property
    def part_query(self) -> dict[str, str]:
        """The parameters of the REST API that select what is shown."""
        parts = {each.name: f"{each.start}:{each.stop}" for each in self.slices if not each.is_whole}
        return {"variable": self.name, **parts}

    def build_picture_query(self, figure: Figure | None, display: Display) -> dict[str, str]:
        """Build the parameters of the REST API for the picture of what is shown."""
        longest = max(each.count for each in self.slices[-IMAGE_NDIM:])
        query = {**self.part_query, "format": "webp", "cmap": display.colours, "scaling": display.scaling}
        query["quality"] = str(_QUALITY)
        if self.orientation != AS_STORED:
            query["orientation"] = "displayed"
        if figure is not None:
            query |= {"low": repr(figure.scale.low), "high": repr(figure.scale.high)}
        return query if longest <= _PICTURE_SIZE else {**query, "size": str(_PICTURE_SIZE)}

    def load(self, changes: Mapping[str, slice]) -> xr.Variable:
        """Load the values of the part that is shown, with other slices of some dimensions.

        Raises:
            TooLarge: it exceeds a limit.
            Unreadable: the file cannot be read.
        """
        part = {each.name: slice(each.start, each.stop) for each in self.slices}
        extracted = Extraction((self.name,), {**part, **changes}).apply(self.dataset)
        check_size(extracted, self.limits)
        return extracted.compute().variables[self.name]

    def compute_figure(self, display: Display) -> Figure:
        """Compute the figure of an image; see `load`."""
        rows, columns = self.slices[-IMAGE_NDIM:]
        step = max(1, int(np.ceil(np.sqrt(rows.count * columns.count / _MAX_PIXELS))))
        values = self.load({each.name: slice(each.start, each.stop, step) for each in (rows, columns)}).values
        orientation, params = self.orientation, self.params
        shown = [(rows, params.row), (columns, params.column)]
        (down, down_band), (across, across_band) = shown[::-1] if orientation.is_swapped else shown
        return compute_figure(
            orientation.turn_pixels(values.reshape(values.shape[-IMAGE_NDIM:])),
            axes=(
                make_axis(self.dataset, down.name, down.start, down.stop, is_reversed=orientation.is_upwards),
                make_axis(self.dataset, across.name, across.start, across.stop, is_reversed=orientation.is_leftwards),
            ),
            is_swapped=orientation.is_swapped,
            units=self.units,
            display=display,
            bands=(down_band, across_band),
        )

    def compute_region(self) -> RegionStatistics | None:
        """Compute statistics of the region, at full resolution; `None` without one.

        Raises:
            BadSelection: it is outside the image.
        """
        if self.params.region is None:
            return None
        changes = {}
        for each, (start, stop) in zip(self.slices[-IMAGE_NDIM:], self.params.region, strict=True):
            if start >= each.size:
                raise BadSelection(f"region: {each.name} has {each.size:,} values, and no {start}:{stop}.")
            changes[each.name] = slice(start, min(stop, each.size))
        return compute_region(self.load(changes).values)

    def compute_curves(self) -> CurveFigure:
        """Compute the curves of a variable that is no image; see `load`.

        Raises:
            BadSelection: there is no curve of the index that the query has.
        """
        along = max(self.slices, key=lambda each: each.count)
        index = self.curve_index
        chosen = None if index is None or self.params.curve is None else self.params.curve - index.start
        axis = make_axis(self.dataset, along.name, along.start, along.stop)
        return compute_curves(get_curves(self.load({})), axis, index.start if index else 0, chosen)

    @property
    def curve_index(self) -> Slice | None:
        """The dimension that counts the curves; `None` of one curve.

        Raises:
            BadSelection: there is no curve of the index that the query has.
        """
        wanted = self.params.curve
        if len(self.slices) < IMAGE_NDIM:
            if wanted is not None:
                raise BadSelection(f"curve={wanted}: {self.name} is one curve.")
            return None
        index = min(self.slices, key=lambda each: each.count)
        if wanted is not None and not index.start <= wanted < index.stop:
            raise BadSelection(f"curve={wanted}: there are the curves {index.start} to {index.stop - 1}.")
        return index

    def describe_part(self, request: HttpRequest, image: Image) -> ShownPart:
        """Describe what recipes open: the region or the curve if one is chosen, else the part that is shown."""
        path, slices = quote_path(image.path), list(self.slices)
        if self.params.curve is not None and are_curves(self.whole_variable) and (index := self.curve_index):
            wanted = self.params.curve
            slices[slices.index(index)] = replace(index, start=wanted, stop=wanted + 1)
        for place, (start, stop) in enumerate(self.params.region or (), len(slices) - IMAGE_NDIM):
            slices[place] = replace(slices[place], start=start, stop=min(stop, slices[place].size))
        return ShownPart(f"{request.base_url}/dap/{path}", f"{request.base_url}/zarr/{path}", self.name, slices)
