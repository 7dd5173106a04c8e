"""The picture of a transform, before and after."""

from __future__ import annotations

from docs.make.examples import EXAMPLES
from docs.make.style import new_figure, png

from shotdap.catalog import Catalog

__all__ = ["picture"]


def picture(catalog: Catalog, name: str) -> bytes:
    """Draw a PNG of the effect of a transform: the same bytes for the same archive, on one machine.

    Args:
        catalog: of the demonstration archive.
        name: of the transform.
    """
    example = EXAMPLES[name]
    figure = new_figure()
    example.draw(figure, example.shown(catalog, name))
    return png(figure)
