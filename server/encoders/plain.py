"""Text in ASCII, for places that hold nothing else: TIFF's and EXIF's descriptions, and letters drawn by Pillow's font."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["in_ascii"]

_WORDS: Final = str.maketrans({"µ": "u", "μ": "u", "−": "-", "×": "x", "·": " ", "°": " deg", "Å": "A", "–": "-"})


def in_ascii(text: str) -> str:
    """The text with what comes near in ASCII: ``um`` for ``µm``, ``cm-2`` for ``cm⁻²``; ``?`` where nothing does."""
    return unicodedata.normalize("NFKD", text.translate(_WORDS)).translate(_WORDS).encode("ascii", "replace").decode()
