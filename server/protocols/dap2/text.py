r"""Names and text that every DAP2 client can read.

Strategy: names consist of letters, digits and underscores, because a name with anything else, even percent-encoded,
makes some client refuse the whole dataset; so does a name longer than the limit of netCDF, which is shortened.

Rule 1: text is UTF-8, in the DAS and in string data. Every client reads it, except pydap,
which fails on string data beyond ASCII. Octal escapes would be worse: pydap would show them as the text.
Rule 2: a backslash becomes ``\\``, *in string data, too*: netCDF-C, hence MATLAB, IDL, Octave, GDL and R, interprets
backslashes as escapes in both (``C:\new`` would lose its backslash and gain a line feed). pydap and getdap show both
backslashes; no form suits all.
Rule 3: inside the quotes of a DAS or an error, a quote becomes ``\"``. All other characters are unchanged.
Rule 4: NUL, which ends a string in C, is removed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shotdap.server.protocols.variable_names import make_unique_names
from shotdap.transforms.renaming import shorten_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_RESERVED_NAMES: Final = frozenset(
    {
        *("byte", "int16", "uint16", "int32", "uint32", "float32", "float64", "string", "url"),  # libdap's grammar
        *("structure", "sequence", "grid", "dataset", "attributes", "alias", "otherxml"),
        "nc_global",
    }
)
"""Names, in upper or lower case, of a variable or attribute for which getdap or ncdump refuses the dataset."""

_RESERVED_PREFIX: Final = "dods"
"""netCDF-C treats a DAS container whose name begins with this as global attributes."""

_EXCERPT_LENGTH: Final = 40  # characters of a request's text in a message

_UNSAFE_NAME_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9_]")
_UNSAFE_DATASET_NAME_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9_.-]")


def make_safe_names(names: Iterable[str]) -> dict[str, str]:
    """Return a safe name for each of these names, all different: ``DATA/SHOT/image`` → ``DATA_SHOT_image``."""

    def make_safe(name: str) -> str:
        name = shorten_name(_UNSAFE_NAME_CHARACTERS.sub("_", name) or "_", name)
        if name.lower() in _RESERVED_NAMES:
            return f"{name}_"
        return f"_{name}" if name.lower().startswith(_RESERVED_PREFIX) else name

    return make_unique_names(names, make_safe)


def make_dataset_name(name: str) -> str:
    """Return the name after the closing brace of a DDS: that of the file, with ``_`` for all but ``A-Za-z0-9_.-``."""
    return _UNSAFE_DATASET_NAME_CHARACTERS.sub("_", name) or "dataset"


def quote_excerpt(text: str) -> str:
    """Quote the beginning of a client's text, for a message."""
    return repr(text if len(text) <= _EXCERPT_LENGTH else f"{text[:_EXCERPT_LENGTH]}...")


def quote_text(text: str) -> str:
    r"""Quote a text; a space follows a last backslash, because pydap does not end the text at ``\\"``."""
    inner = encode_utf8(text).decode().replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner} "' if text.endswith("\\") else f'"{inner}"'


def encode_text(value: object) -> bytes:
    """Encode a value of a String variable for the wire."""
    return encode_utf8(value).replace(b"\\", b"\\\\")


def encode_utf8(value: object) -> bytes:
    """Encode a value of a String variable as clients show it. Bytes that are not UTF-8 become escapes."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or value != value:  # noqa: PLR0124 - the test for NaN, xarray's missing string
        return b""
    return str(value).encode("utf-8", "backslashreplace").replace(b"\0", b"")
