"""The features that every client is tested for, and the check of its answers."""

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
    "ERROR",
    "FEATURES",
    "PROTOCOLS",
    "RIGHT",
    "SILENT",
    "Array",
    "Conditions",
    "Feature",
    "Part",
    "is_right",
    "judge",
    "write_files",
]

Array = NDArray[Any]

PROTOCOLS: Final = ("DAP2", "DAP4")
RIGHT: Final = "✓"
WRONG: Final = "wrong"
ERROR: Final = "error"
SILENT: Final = "no error"
LONG: Final = 8  # bytes of the integers that DAP2 lacks

EVERY: Final = "every.h5"
BROKEN: Final = "broken.h5"
ABSENT: Final = "absent.h5"

# A part of the server's sentence for each failure: clients wrap and truncate lines.
SENTENCES: Final = {ABSENT: "nothing at this path", BROKEN: "damaged or cut short", EVERY: "no variable"}

NUMBER: Final = re.compile(r"NA|[+-]?(?:nan|inf|infinity|\d+\.?\d*(?:e[+-]?\d+)?)", re.IGNORECASE)
ATTRIBUTES: Final = {
    "purpose": "one array of every type",
    "quotes": 'say "so" & <this>',
    "backslash": r"C:\new\table",
}

Part = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Start, count and stride, as in netCDF."""


@dataclass(frozen=True)
class Feature:
    """A feature that a client is tested for.

    Attributes:
        name: its name in the matrix.
        file: the file on the server.
        names: variables to read, by their paths in the file; for an attribute its owner (a group ends with a slash).
        attributes: names of attributes to read, in place of values.
        part: the part of each variable; by default all of it.
        constraint: the constraint in the URL.
        fails: whether the response is an error, whose message the client is asked for.
        protocols: the protocols with this feature.
    """

    name: str
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

FEATURES: Final = (
    *(Feature(feature, (f"numbers/{name}",)) for feature, name in _TYPES.items()),
    Feature("strings", ("text/varying",)),
    Feature("one string", ("text/alone",)),
    Feature("one number", ("number_alone",)),
    Feature("one byte", ("byte_alone",)),
    Feature("attribute of a group", ("numbers/",), ("purpose",)),
    Feature("odd attributes", ("attributed",), ("quotes", "backslash")),
    Feature("`scale_factor`, `_FillValue`", ("packed",)),
    Feature("the same, `/raw`", ("packed",), file=f"{EVERY}/raw"),
    Feature("no elements", ("nothing/empty",), protocols=("DAP4",)),
    Feature("slice", ("numbers/little_u2",), part=((1, 2), (2, 3), (1, 1))),
    Feature("stride", ("numbers/little_u2",), part=((0, 0), (2, 3), (2, 2))),
    Feature("several variables", ("numbers/big_i2", "numbers/little_f8", "number_alone")),
    Feature("refused (400)", constraint={"DAP2": "?absent", "DAP4": "?dap4.ce=/absent"}, fails=True),
    Feature("not there (404)", file=ABSENT, fails=True),
    Feature("unreadable (500)", file=BROKEN, fails=True),
)


def write_files(folder: Path) -> None:
    """Write the files that the clients read."""
    samples.write_hdf5(folder / EVERY)
    (folder / BROKEN).write_bytes((folder / EVERY).read_bytes()[:3000])


@dataclass(frozen=True)
class Conditions:
    """The conditions under which an answer is right.

    Attributes:
        protocol: the protocol of the answer.
        folder: the folder of the files.
        unpacks: whether the client applies ``scale_factor`` and its like.
        digits: how many digits of a float32 and of a float64 the client prints; by default all of them.
        fill: the word for the type's default fill value, or the variable's own.
        fill_value: the variable's own fill value, if it has one.
    """

    protocol: str
    folder: Path
    unpacks: bool = False
    digits: tuple[int, int] | None = None
    fill: str = ""
    fill_value: float | None = None


def judge(feature: Feature, answer: str | None, output: str, conditions: Conditions) -> str:
    """Return the text of a cell of the matrix.

    Args:
        feature: the tested feature.
        answer: the client's answer: values with spaces between them, or ``!!`` and its error; `None` if it died.
        output: all output of the client meanwhile.
        conditions: the conditions of the test.
    """
    if answer is None:
        return "crash"
    if feature.fails:
        return _judge_failure(feature, answer, output)
    if "!!" in answer:
        return ERROR
    if feature.attributes:
        text = "".join(ATTRIBUTES[name] for name in feature.attributes)
        return RIGHT if _strip_spaces(answer) == _strip_spaces(text) else WRONG
    expected = _read_expected(feature, conditions)
    if not answer and any(values.size for values in expected):
        return ERROR  # the client may have printed it in its other output
    return RIGHT if is_right(expected, answer, conditions) else WRONG


def _judge_failure(feature: Feature, answer: str, output: str) -> str:
    if _strip_spaces(SENTENCES[feature.file]) in _strip_spaces(output + answer):
        return RIGHT
    return ERROR if "!!" in answer else SILENT


def _read_expected(feature: Feature, conditions: Conditions) -> list[Array]:
    if feature.names == ("packed",):
        return [samples.UNPACKED if feature.file == EVERY or conditions.unpacks else samples.PACKED]
    found = direct.read_arrays(conditions.folder / EVERY)
    return [_select_part(np.asarray(found[name]), feature.part) for name in feature.names]


def _select_part(values: Array, part: Part | None) -> Array:
    if part is None:
        return values
    return values[tuple(slice(start, start + count * step, step) for start, count, step in zip(*part, strict=True))]


def is_right(expected: Sequence[Array], answer: str, conditions: Conditions) -> bool:
    """Check whether words with spaces between them are these values, each of them."""
    if expected[0].dtype.kind in "OSU":
        texts = [text.decode() if isinstance(text, bytes) else str(text) for each in expected for text in each.flat]
        return _strip_spaces(answer) == _strip_spaces("".join(texts))
    numbers = [number for each in expected for number in each.flat]
    words = answer.split()
    return len(words) == len(numbers) and all(
        _is_same(number, word, conditions) for number, word in zip(numbers, words, strict=True)
    )


def _is_same(number: Any, word: str, conditions: Conditions) -> bool:  # noqa: ANN401 — any NumPy number
    if word == conditions.fill:
        fills = (netCDF4.default_fillvals[number.dtype.str[1:]], conditions.fill_value)
        if any(fill is not None and np.array_equal(number, fill, equal_nan=True) for fill in fills):
            return True
    is_integer = number.dtype.kind in "iu"
    if is_integer and re.fullmatch(r"[+-]?\d+", word):
        return int(word) == int(number)
    if not NUMBER.fullmatch(word):
        return False
    read = float("nan" if word == "NA" else word)
    if is_integer and (conditions.protocol == "DAP4" or number.itemsize < LONG):
        return bool(np.isfinite(read)) and Decimal(word) == int(number)
    if conditions.digits and np.isfinite(number):
        return _is_rounded(word, number, conditions.digits[number.itemsize == LONG])
    expected = np.float64(number) if is_integer else number
    return bool(np.array_equal(expected.dtype.type(read), expected, equal_nan=True))


def _is_rounded(word: str, number: Any, digits: int) -> bool:  # noqa: ANN401 — NumPy's floats
    """Check whether a number was printed with some digits; the maximum, rounded, is not a float any more."""
    return f"{Decimal(word):.{digits - 1}e}" == f"{Decimal(float(number)):.{digits - 1}e}"


def _strip_spaces(text: str) -> str:
    """Return the text without spaces and padding, in which clients differ."""
    return re.sub(r"[\s\0]", "", text)
