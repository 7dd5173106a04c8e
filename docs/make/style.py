"""How all pictures look, and how they are written: the same bytes each time."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["ACCENT", "BEFORE", "INK", "MOST_BYTES", "new_figure", "palette", "png"]

MOST_BYTES: Final = 60_000
"""Of a picture in the repository."""

INK: Final = "#2b2b33"
"""Text and frames."""
BEFORE: Final = "#7d8597"
"""Lines of what was there before."""
ACCENT: Final = "#d1495b"
"""What the transform found or made."""

_MISSING: Final = "#c9d6df"  # NaN: a colour of none of the maps
_SIZE: Final = (7.6, 3.0)  # inches
_DPI: Final = 100
_LEVELS: Final = 64  # of a map: colours that are few compress well, and these cannot be told from more
_COLOURS: Final = (256, 192, 128, 96, 64, 48, 32)

_LOOK: Final[dict[Any, Any]] = {  # matplotlib lists the names that it knows as a type, which it does not export
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "image.interpolation": "auto",
    "image.interpolation_stage": "data",  # a mixture of two colours of a map need not be one of it
}


def new_figure() -> Figure:
    """Return an empty figure in the common style."""
    mpl.rcdefaults()
    mpl.rcParams.update(_LOOK)
    return Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")


def palette(name: str) -> Colormap:
    """Return a colour map of matplotlib with a separate colour for missing values."""
    return mpl.colormaps[name].resampled(_LEVELS).with_extremes(bad=_MISSING)


def png(figure: Figure) -> bytes:
    """Encode the figure as a PNG of at most `MOST_BYTES`, with as many colours as fit.

    Raises:
        ValueError: it is larger even with the fewest colours.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    full = Image.open(drawn).convert("RGB")
    for small in (_reduced(full, colours) for colours in _COLOURS):
        if len(small) <= MOST_BYTES:
            return small
    raise ValueError(f"The picture has more than {MOST_BYTES} bytes even with {_COLOURS[-1]} colours.")


def _reduced(picture: Image.Image, colours: int) -> bytes:
    written = BytesIO()
    picture.quantize(colours, dither=Image.Dither.NONE).save(written, format="png", optimize=True)
    return written.getvalue()
