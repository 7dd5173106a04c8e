"""Text in ASCII, where nothing else can be: descriptions in TIFF and EXIF, and letters drawn by Pillow's own font."""

from __future__ import annotations

import unicodedata
from typing import Final

_ASCII_EQUIVALENTS: Final = str.maketrans({
    "\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x", "\N{MIDDLE DOT}": " ", "\N{DEGREE SIGN}": " deg",
})  # fmt: skip


def convert_to_ascii(text: str) -> str:
    """The text with what comes near in ASCII: ``um`` for ``µm``, ``cm-2`` for ``cm⁻²``; ``?`` where nothing does."""
    apart = unicodedata.normalize("NFKD", text.translate(_ASCII_EQUIVALENTS)).translate(
        _ASCII_EQUIVALENTS
    )  # letters and their accents
    return "".join(each for each in apart if not unicodedata.combining(each)).encode("ascii", "replace").decode()
