r"""Names and text as every DAP2 client can read them.

Strategy: names keep to letters, digits and the underscore, because a name with anything else, even percent-encoded,
makes one client or another refuse the whole dataset; so does a name longer than netCDF's, which is shortened.

Rule 1: text is UTF-8, in the DAS and in string data. Every client reads it so, but pydap in string data, where it
knows ASCII only: it fails, where it would show octal escapes as if they were the text.
Rule 2: a backslash becomes ``\\``, *in string data too*: netCDF-C, hence MATLAB, IDL, Octave, GDL and R, takes
backslashes for escapes in both (``C:\new`` would lose its backslash and gain a line feed). pydap and getdap show both
backslashes; no form suits all.
Rule 3: inside the quotes of a DAS or an error, ``\"`` as well. All other characters stand for themselves.
Rule 4: NUL, which ends a string in C, is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import shorten_name

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED_NAMES: Final = frozenset(
    {
        *("byte", "int16", "uint16", "int32", "uint32", "float32", "float64", "string", "url"),  # libdap's grammar
        *("structure", "sequence", "grid", "dataset", "attributes", "alias", "otherxml"),
        "nc_global",
    }
)
"""What is no name for a variable or an attribute, in any case: getdap or ncdump refuses the dataset."""

RESERVED_PREFIX: Final = "dods"
"""netCDF-C takes a DAS container whose name begins so for global attributes."""

_EXCERPT_LENGTH: Final = 40  # characters of a request's text in a message

_UNSAFE_NAME_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9_]")
_UNSAFE_DATASET_NAME_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9_.-]")


def make_safe_names(names: Iterable[str]) -> dict[str, str]:
    """A safe name for each of these names, all different: ``DATA/SHOT/image`` → ``DATA_SHOT_image``.

    A name that is safe already keeps itself, whichever order they come in; others that would collide get a number.
    """
    names = list(dict.fromkeys(names))
    safe = {name: name for name in names if _make_safe_name(name) == name}
    unique = UniqueNames(safe)
    return safe | {name: unique.claim(_make_safe_name(name)) for name in names if name not in safe}


def _make_safe_name(name: str) -> str:
    name = shorten_name(_UNSAFE_NAME_CHARACTERS.sub("_", name) or "_", name)
    if name.lower() in RESERVED_NAMES:
        return f"{name}_"
    return f"_{name}" if name.lower().startswith(RESERVED_PREFIX) else name


def make_dataset_name(name: str) -> str:
    """What stands after the closing brace of a DDS: a file's name, with ``_`` for all but ``A-Za-z0-9_.-``."""
    return _UNSAFE_DATASET_NAME_CHARACTERS.sub("_", name) or "dataset"


def quote_excerpt(text: str) -> str:
    """A client's text, as a message quotes it: its beginning."""
    return repr(text if len(text) <= _EXCERPT_LENGTH else f"{text[:_EXCERPT_LENGTH]}...")


def quote_text(text: str) -> str:
    r"""Return the text in quotes; a space follows a last backslash: pydap takes ``\\"`` for a quote that goes on."""
    inner = encode_utf8(text).decode().replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner} "' if text.endswith("\\") else f'"{inner}"'


def encode_text(value: object) -> bytes:
    """Return one value of a String variable as it is sent."""
    return encode_utf8(value).replace(b"\\", b"\\\\")


def encode_utf8(value: object) -> bytes:
    """One value of a String variable, as clients get to see it. What is not UTF-8 shows as an escape."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or value != value:  # noqa: PLR0124 - how NaN, xarray's missing string, tells itself
        return b""
    return str(value).encode("utf-8", "backslashreplace").replace(b"\0", b"")
