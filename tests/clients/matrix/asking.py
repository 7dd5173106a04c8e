"""What every client is asked for, and when its answer is right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np
from numpy.typing import NDArray
from tests import direct, samples

__all__ = [
    "ASKS",
    "ERROR",
    "PROTOCOLS",
    "RIGHT",
    "SILENT",
    "Array",
    "Ask",
    "Circumstances",
    "Part",
    "is_right",
    "judged",
    "write_files",
]

Array = NDArray[Any]

PROTOCOLS: Final = ("DAP2", "DAP4")
RIGHT: Final = "✓"
WRONG: Final = "wrong"
ERROR: Final = "error"
SILENT: Final = "no error"
LONG: Final = 8  # bytes of the integers that DAP2 has not

EVERY: Final = "every.h5"
BROKEN: Final = "broken.h5"
ABSENT: Final = "absent.h5"

# What the server says of each failure, in part: clients break lines, and cut them.
SENTENCES: Final = {ABSENT: "nothing at this path", BROKEN: "damaged or cut short", EVERY: "no variable"}

NUMBER: Final = re.compile(r"NA|[+-]?(?:nan|inf|infinity|\d+\.?\d*(?:e[+-]?\d+)?)", re.IGNORECASE)
ATTRIBUTES: Final = {
    "purpose": "one array of every type",
    "quotes": 'say "so" & <this>',
    "backslash": r"C:\new\table",
}

Part = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Start, count and stride, as netCDF has them."""


@dataclass(frozen=True)
class Ask:
    """One thing that a client is asked for.

    Attributes:
        feature: what it shows.
        file: which file on the server.
        names: variables to read, by their paths in the file; for an attribute its owner (a group ends with a slash).
        attributes: names of attributes to read, in place of values.
        part: which part of each variable; all of it where there is none.
        constraint: what the URL is constrained with.
        fails: whether the answer is an error, and the client is asked what it says.
        protocols: where there is such a thing.
    """

    feature: str
    names: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    part: Part | None = None
    file: str = EVERY
    constraint: Mapping[str, str] | None = None
    fails: bool = False
    protocols: tuple[str, ...] = PROTOCOLS


_TYPES: Final = {
    "int8": "i1", "uint8": "u1", "int16": "big_i2", "uint16": "little_u2", "int32": "big_i4", "uint32": "little_u4",
    "int64": "big_i8", "uint64": "little_u8", "float32": "big_f4", "float64": "little_f8",
}  # fmt: skip

ASKS: Final = (
    *(Ask(feature, (f"numbers/{name}",)) for feature, name in _TYPES.items()),
    Ask("strings", ("text/varying",)),
    Ask("one string", ("text/alone",)),
    Ask("one number", ("number_alone",)),
    Ask("one byte", ("byte_alone",)),
    Ask("attribute of a group", ("numbers/",), ("purpose",)),
    Ask("odd attributes", ("attributed",), ("quotes", "backslash")),
    Ask("`scale_factor`, `_FillValue`", ("packed",)),
    Ask("the same, `/raw`", ("packed",), file=f"{EVERY}/raw"),
    Ask("no elements", ("nothing/empty",), protocols=("DAP4",)),
    Ask("slice", ("numbers/little_u2",), part=((1, 2), (2, 3), (1, 1))),
    Ask("stride", ("numbers/little_u2",), part=((0, 0), (2, 3), (2, 2))),
    Ask("several variables", ("numbers/big_i2", "numbers/little_f8", "number_alone")),
    Ask("refused (400)", constraint={"DAP2": "?absent", "DAP4": "?dap4.ce=/absent"}, fails=True),
    Ask("not there (404)", file=ABSENT, fails=True),
    Ask("unreadable (500)", file=BROKEN, fails=True),
)


def write_files(folder: Path) -> None:
    """Write what the clients are asked for."""
    samples.write_hdf5(folder / EVERY)
    (folder / BROKEN).write_bytes((folder / EVERY).read_bytes()[:3000])


@dataclass(frozen=True)
class Circumstances:
    """What makes an answer right.

    Attributes:
        protocol: over which protocol it came.
        folder: where the files are.
        unpacks: whether the client applies ``scale_factor`` and its like.
        digits: how many digits of a float32 and of a float64 the client prints; all of them where there are none.
        fill: what stands for the type's default fill value, or the variable's own.
        fill_value: the variable's own, if it has one.
    """

    protocol: str
    folder: Path
    unpacks: bool = False
    digits: tuple[int, int] | None = None
    fill: str = ""
    fill_value: float | None = None


def judged(ask: Ask, said: str | None, output: str, circumstances: Circumstances) -> str:
    """What a cell of the matrix says.

    Args:
        ask: what was asked for.
        said: what the client said to it: values with spaces between them, or ``!!`` and its error; `None` if it died.
        output: all that it wrote in the meantime.
        circumstances: what it was asked in.
    """
    if said is None:
        return "crash"
    if ask.fails:
        return _failure(ask, said, output)
    if "!!" in said:
        return ERROR
    if ask.attributes:
        text = "".join(ATTRIBUTES[name] for name in ask.attributes)
        return RIGHT if _squeezed(said) == _squeezed(text) else WRONG
    expected = _expected(ask, circumstances)
    if not said and any(values.size for values in expected):
        return ERROR  # which it may have told beside its output
    return RIGHT if is_right(expected, said, circumstances) else WRONG


def _failure(ask: Ask, said: str, output: str) -> str:
    if _squeezed(SENTENCES[ask.file]) in _squeezed(output + said):
        return RIGHT
    return ERROR if "!!" in said else SILENT


def _expected(ask: Ask, circumstances: Circumstances) -> list[Array]:
    if ask.names == ("packed",):
        return [samples.UNPACKED if ask.file == EVERY or circumstances.unpacks else samples.PACKED]
    found = direct.read_arrays(circumstances.folder / EVERY)
    return [_part(np.asarray(found[name]), ask.part) for name in ask.names]


def _part(values: Array, part: Part | None) -> Array:
    if part is None:
        return values
    return values[tuple(slice(start, start + count * step, step) for start, count, step in zip(*part, strict=True))]


def is_right(expected: Sequence[Array], said: str, circumstances: Circumstances) -> bool:
    """Say whether words with spaces between them are these values, each of them."""
    if expected[0].dtype.kind in "OSU":
        texts = [text.decode() if isinstance(text, bytes) else str(text) for each in expected for text in each.flat]
        return _squeezed(said) == _squeezed("".join(texts))
    numbers = [number for each in expected for number in each.flat]
    words = said.split()
    return len(words) == len(numbers) and all(
        _is_same(number, word, circumstances) for number, word in zip(numbers, words, strict=True)
    )


def _is_same(number: Any, word: str, circumstances: Circumstances) -> bool:  # noqa: ANN401 — any NumPy number
    if word == circumstances.fill:
        fills = (netCDF4.default_fillvals[number.dtype.str[1:]], circumstances.fill_value)
        if any(fill is not None and np.array_equal(number, fill, equal_nan=True) for fill in fills):
            return True
    is_integer = number.dtype.kind in "iu"
    if is_integer and re.fullmatch(r"[+-]?\d+", word):
        return int(word) == int(number)
    if not NUMBER.fullmatch(word):
        return False
    read = float("nan" if word == "NA" else word)
    if is_integer and (circumstances.protocol == "DAP4" or number.itemsize < LONG):
        return bool(np.isfinite(read)) and Decimal(word) == int(number)
    if circumstances.digits and np.isfinite(number):
        return _is_rounded(word, number, circumstances.digits[number.itemsize == LONG])
    expected = np.float64(number) if is_integer else number
    return bool(np.array_equal(expected.dtype.type(read), expected, equal_nan=True))


def _is_rounded(word: str, number: Any, digits: int) -> bool:  # noqa: ANN401 — NumPy's floats
    """Whether a number was printed with so many digits; the greatest, rounded, is no float any more."""
    return f"{Decimal(word):.{digits - 1}e}" == f"{Decimal(float(number)):.{digits - 1}e}"


def _squeezed(text: str) -> str:
    """The text without spaces and padding, in which clients differ."""
    return re.sub(r"[\s\0]", "", text)
