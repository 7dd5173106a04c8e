"""Notebook of what a page shows: the image in words, the Python recipe, and a cell that draws the values.

Its format is nbformat 4.5 (https://nbformat.readthedocs.io). A notebook contains no token and no output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from shotdap.server.pictures.curves import are_curves
from shotdap.server.pictures.default_display import COLOUR_MAPS
from shotdap.server.pictures.figure import Axis, Figure
from shotdap.server.pictures.levels import Scaling
from shotdap.server.website.recipes.languages import Recipe, ShownPart
from shotdap.server.website.shown_image import ShownImage

MEDIA_TYPE: Final = "application/x-ipynb+json"

_MARKUP: Final = re.compile(r"([\\`*_\[\]<>#&|$])")
_INVERTED: Final = "_r"
_NORMS: Final[dict[Scaling, tuple[str, str]]] = {
    "linear": ("from matplotlib.colors import Normalize", "Normalize(low, high)"),
    "sqrt": ("from matplotlib.colors import PowerNorm", "PowerNorm(0.5, low, high)"),
    "log": (
        "import numpy as np\nfrom matplotlib.colors import FuncNorm",
        """\
FuncNorm(
    (
        lambda value: np.log1p(1000 * np.maximum(value - low, 0) / (high - low)),
        lambda place: low + (high - low) * np.expm1(place) / 1000,
    ),
    low,
    high,
    clip=True,
)""",
    ),
}
"""For a scaling: what is imported, and the norm of matplotlib that makes the same picture."""


def build_notebook(  # noqa: PLR0913 — keywords
    *, title: str, page_url: str, recipe: Recipe, shown: ShownImage, part: ShownPart, figure: Figure | None
) -> bytes:
    """Build the notebook, encoded.

    Args:
        title: names the image.
        page_url: of the page, with the host.
        recipe: in Python; it assigns ``values``.
        shown: what the page shows.
        part: what the recipe opens.
        figure: of an image; `None` for curves.
    """
    drawing = _draw_curves(shown) if figure is None else _draw_picture(shown, part, figure)
    cells: Sequence[tuple[str, str]] = (
        ("markdown", _describe(title, page_url, recipe, part)),
        ("code", recipe.code),
        ("code", drawing),
    )
    document = {
        "cells": [_make_cell(number, kind, text) for number, (kind, text) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _make_cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell


def _describe(title: str, page_url: str, recipe: Recipe, part: ShownPart) -> str:
    chosen = [f"{each.name} {each.start} – {each.stop - 1}" for each in part.slices if not each.is_whole]  # noqa: RUF001 — as on the page
    heading, what = _MARKUP.sub(r"\\\1", title), ", ".join((f"Variable `{part.variable}`", *chosen))
    return f"""\
# {heading}

{what}. [The page]({page_url}) shows it. This needs xarray, netCDF4 and matplotlib.

Where the server asks for a token:

```
{recipe.sign_in}
```"""


def _draw_picture(shown: ShownImage, part: ShownPart, figure: Figure) -> str:
    """Return the lines that draw the picture of the page, in its range and orientation, along rows and columns."""
    scale, orientation = figure.scale, shown.orientation
    colours = shown.display.colours
    if colours not in COLOUR_MAPS and colours.removesuffix(_INVERTED) not in COLOUR_MAPS:
        colours = COLOUR_MAPS[0]  # matplotlib does not know all of them
    backwards = ["::-1" if each else ":" for each in (orientation.is_upwards, orientation.is_leftwards)]
    turn = (".T" if orientation.is_swapped else "") + (f"[{', '.join(backwards)}]" if "::-1" in backwards else "")
    limits = {each.name: (each.start, each.stop) for each in part.slices}
    left, right = _get_edges(figure.across, limits)
    top, bottom = _get_edges(figure.down, limits)
    imports, norm = _NORMS[scale.scaling]
    label = f"{shown.name} / {shown.units}" if shown.units else shown.name
    xlabel, ylabel = (f"{axis.dimension} / pixel" for axis in (figure.across, figure.down))
    reason = "  # as the camera displays it" if turn else ""
    return f"""\
import matplotlib.pyplot as plt
{imports}

low, high = {scale.low!r}, {scale.high!r}  # the range on the page
norm = {norm}
pixels = values.reshape(values.shape[-2:]){turn}{reason}
figure, axes = plt.subplots()
picture = axes.imshow(pixels, cmap={colours!r}, norm=norm, extent=({left}, {right}, {bottom}, {top}))
axes.set(xlabel={xlabel!r}, ylabel={ylabel!r})
figure.colorbar(picture, label={label!r});"""


def _get_edges(axis: Axis, limits: dict[str, tuple[int, int]]) -> tuple[float, float]:
    """Return the pixels at the left and the right edge, or at the top and the bottom one."""
    start, stop = limits[axis.dimension]
    first, last = start - 0.5, stop - 0.5
    return (last, first) if axis.is_reversed else (first, last)


def _draw_curves(shown: ShownImage) -> str:
    """Return the lines that draw curves, each along the longer side of its array."""
    variable = shown.whole_variable
    is_turned = variable.ndim > 1 and are_curves(variable) and variable.shape[0] <= variable.shape[1]
    along = max(shown.slices, key=lambda each: each.count)
    label = f"{shown.name} / {shown.units}" if shown.units else shown.name
    curves = "values.T" if is_turned else "values"
    return f"""\
import matplotlib.pyplot as plt

figure, axes = plt.subplots()
axes.plot(range({along.start}, {along.stop}), {curves})
axes.set(xlabel={along.name!r}, ylabel={label!r});"""
