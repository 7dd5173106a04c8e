"""ASCII text, for descriptions in TIFF and EXIF, and for Pillow's own font, which have nothing else."""

from __future__ import annotations

import unicodedata
from typing import Final

_ASCII_EQUIVALENTS: Final = str.maketrans({
    "\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x", "\N{MIDDLE DOT}": " ", "\N{DEGREE SIGN}": " deg",
})  # fmt: skip


def convert_to_ascii(text: str) -> str:
    """Replace characters by similar ones in ASCII: ``um`` for ``µm``, ``cm-2`` for ``cm⁻²``; ``?`` if none is."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_ASCII_EQUIVALENTS)).translate(_ASCII_EQUIVALENTS)
    return "".join(each for each in decomposed if not unicodedata.combining(each)).encode("ascii", "replace").decode()
