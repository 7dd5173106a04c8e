"""Query strings of the REST API: text → what is wanted of an image, as what, and how it is shown.

Strategy: `PARAMETERS` is the one table of what a query string may say. The parser reads by it, and the OpenAPI document
is made of it, so that neither can say what the other does not.

Rule 1: a name that is no parameter is a dimension of the image, and its value a part of it, as Python writes one:
``y=100:400``, ``y=100:400:2``, ``frame=0``. A dimension that is called like a parameter is written ``dim.size=0:3``.
Rule 2: what is there twice and means one thing is a mistake; nothing is overruled in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_args
from urllib.parse import parse_qsl

from shotdap.server.extraction import Wanted
from shotdap.server.pictures.levels import Display, Scaling
from shotdap.server.slice_text import INTEGER, PATTERN, Part, read_part
from shotdap.transforms import BadSelection

__all__ = ["LOOKS", "PARAMETERS", "PARTS", "Parameter", "Sought", "accepted", "documented", "parse"]

Schema: TypeAlias = Mapping[str, Any]

_DIM: Final = "dim."
_PART: Final = rf"^({PATTERN})$"
_BAND: Final = re.compile(rf"(rows|columns):({INTEGER}):({INTEGER})")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_NAME: Final = r"[A-Za-z0-9_./]{1,200}"
_CALLED: Final = r"[^\x00-\x1f\x7f]{1,500}"
_STEP: Final = r"[A-Za-z0-9_.-]{1,200}"
_COLOURS: Final = r"[A-Za-z0-9_:.+-]{1,60}"
_FILLED_IN: Final = frozenset({"variable", "format", "cmap"})
"""Parameters whose examples go together: forms that are made of the OpenAPI document begin with them."""
_COLOUR: Final = r"[A-Za-z]{1,30}|#[0-9a-fA-F]{6}"
_TRUTHS: Final[Mapping[str, bool]] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
_ALONG: Final[Mapping[str, str]] = MappingProxyType({"rows": "columns", "columns": "rows"})
"""A band of rows leaves a value for each column."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query string."""

    name: str
    read: Callable[[str], Any]
    """Its value of its text.

    Raises:
        ValueError: the text is none; the message says what would be right.
    """
    schema: Schema
    """Of its value, in JSON Schema."""
    sentence: str
    example: Any
    many: bool = False
    """Whether it may be there more than once."""

    @property
    def documented(self) -> dict[str, Any]:
        """As an OpenAPI document has it."""
        schema = {**self.schema, "examples": [self.example]}
        described: dict[str, Any] = {"name": self.name, "in": "query", "required": False, "description": self.sentence}
        if self.name in _FILLED_IN:
            described["example"] = [self.example] if self.many else self.example
        return {**described, "schema": {"type": "array", "items": schema, "maxItems": 100} if self.many else schema}


def _one_of(choices: Sequence[str], text: str) -> str:
    if text not in choices:
        raise ValueError(f"it is {', '.join(choices[:-1])} or {choices[-1]}")
    return text


def _truth(text: str) -> bool:
    if text not in _TRUTHS:
        raise ValueError("it is true or false")
    return _TRUTHS[text]


def _whole(least: int, most: int, text: str) -> int:
    if not re.fullmatch(INTEGER, text) or not least <= int(text) <= most:
        raise ValueError(f"it is a whole number from {least} to {most}")
    return int(text)


def _real(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not isfinite(float(text)):
        raise ValueError("it is a number")
    return float(text)


def _two_percentages(text: str) -> tuple[float, float]:
    pieces = text.split(",")
    if len(pieces) == 2 and all(map(_NUMBER.fullmatch, pieces)):  # noqa: PLR2004 — as its name says
        low, high = map(float, pieces)
        if 0 <= low < high <= 100:  # noqa: PLR2004 — per cent
            return low, high
    raise ValueError("it is two percentages that go up, such as 0.5,99.5")


def _matching(pattern: str, example: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"it is written like {example}")
    return text


def _band(text: str) -> str:
    """The step of a variant that takes the mean over a band."""
    found = _BAND.fullmatch(text)
    if not found or int(found[2]) >= int(found[3]):
        raise ValueError("it is rows or columns and a range that goes up, such as rows:100:200, the last left out")
    return f"lineout-along-{_ALONG[found[1]]}-first-{int(found[2])}-last-{int(found[3]) - 1}"


def _named(name: str, pattern: str, sentence: str, example: str, *, many: bool = False) -> Parameter:
    schema = {"type": "string", "pattern": f"^({pattern})$"}
    return Parameter(name, partial(_matching, pattern, example), schema, sentence, example, many)


def _flag(name: str, sentence: str) -> Parameter:
    return Parameter(name, _truth, {"type": "boolean"}, sentence, example=True)


def _counted(name: str, least: int, most: int, sentence: str, example: int) -> Parameter:
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Parameter(name, partial(_whole, least, most), schema, sentence, example)


def _chosen(name: str, choices: Sequence[str], sentence: str, example: str) -> Parameter:
    return Parameter(name, partial(_one_of, choices), {"type": "string", "enum": [*choices]}, sentence, example)


_PERCENTAGES: Final[Schema] = MappingProxyType(
    {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]+)?,[0-9]{1,3}(\.[0-9]+)?$"}
)

_PARTS: Final = (
    _named(
        "variable", _NAME, "A variable; all of the image's where none is named.", "background_subtracted", many=True
    ),
    _named(
        "transform",
        _STEP,
        "A transform with its options, `NAME-OPTION-VALUE`, as the step of a variant has it; several are applied one"
        " after the other. What the last one makes is the variable `result`.",
        "median_filter-size-5",
        many=True,
    ),
    Parameter(
        "band",
        _band,
        {"type": "string", "pattern": rf"^(rows|columns):{INTEGER}:{INTEGER}$"},
        "The mean over a band, a lineout: `rows:100:200` is one number for each column, made of the rows 100 to 199.",
        "rows:100:200",
    ),
    _flag("raw", "The file as it is, with its own names, rather than the labelled image."),
)
_LOOKS: Final = (
    _named("cmap", _COLOURS, "The colour map, by its name in the library `cmap`.", "viridis"),
    _chosen("scaling", get_args(Scaling), "How values become brightness between low and high.", "sqrt"),
    Parameter("low", _real, {"type": "number"}, "The value that is darkest; by default the lower percentile.", 0.0),
    Parameter(
        "high", _real, {"type": "number"}, "The value that is brightest; by default the upper percentile.", 500.0
    ),
    Parameter(
        "percentiles",
        _two_percentages,
        _PERCENTAGES,
        "Which percentiles are darkest and brightest, where low and high do not say.",
        "0.5,99.5",
    ),
    Parameter(
        "bits",
        lambda text: int(_one_of(("8", "16"), text)),
        {"type": "integer", "enum": [8, 16]},
        "Bits of a PNG's pixel: 8, in colours, or 16, in greys.",
        8,
    ),
    _counted("size", 1, 8192, "Pixels of the longer side; by default as many as the image has.", 512),
    _counted("quality", 1, 100, "Of a JPEG.", 90),
    _flag("colour_bar", "Draw a bar that says which colour is which value."),
    _named(
        "missing",
        _COLOUR,
        "The colour of what is missing; by default transparent, or white where nothing can be.",
        "red",
    ),
    _flag("scale_bar", "Draw a bar that says how long so many pixels are, where the image says it."),
)

PARTS: Final = tuple(each.name for each in _PARTS)
"""The parameters that say what is wanted of an image; dimensions do so too."""
LOOKS: Final = tuple(each.name for each in _LOOKS)
"""The parameters that say how a picture looks."""

_OTHERS: Final = (
    _named("format", r"[a-z0-9_]{1,30}", "What to have it as: see `/formats`. Without it, a description.", "png"),
    _flag("download", "Have browsers save the answer, rather than show it."),
    _named(
        "image",
        _CALLED,
        "An image of the folder, by its path below it; all where none is named.",
        "p510_2/p510_2_s103741",
        many=True,
    ),
    _named("diagnostic", _CALLED, "A diagnostic, in any case; all where none is named.", "P510_2", many=True),
    _named("member", r"[a-z0-9_]{1,20}", "The format of each file in a package: see `/formats`.", "nc4"),
    _counted("bins", 1, 1024, "Bins of the histogram.", 64),
)

PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType(
    {each.name: each for each in (*_PARTS, *_LOOKS, *_OTHERS)}
)
"""Every parameter, by its name."""

_DIMENSIONS: Final[Schema] = MappingProxyType(
    {
        "name": "dimensions",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": True,
        "description": "A part of any dimension of the image by its name, as Python slices: half-open, from 0; a single"
        " index drops the dimension. A dimension that is called like a parameter is written `dim.NAME`.",
        "schema": {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": _PART},
            "maxProperties": 16,
            "examples": [{"y": "100:400", "x": "0:600:2"}, {"frame": "0"}],
        },
        "example": {"y": "100:400"},
    }
)


def documented(names: Iterable[str], *, dimensions: bool = True) -> list[dict[str, Any]]:
    """Some parameters as an OpenAPI document has them, and after them those that are called like dimensions."""
    return [*(PARAMETERS[name].documented for name in names), *([dict(_DIMENSIONS)] if dimensions else [])]


@dataclass(frozen=True)
class Sought:
    """What a query string asks for."""

    wanted: Wanted = field(default_factory=Wanted)
    display: Display = field(default_factory=Display)
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What else was said, by the parameters' names: format, download, bins, …"""
    looks: tuple[str, ...] = ()
    """The parameters that were given and matter to pictures only."""


def parse(query: str, names: Collection[str]) -> Sought:
    """Read a query string.

    Args:
        query: as it came, percent-encoded as forms are.
        names: the parameters that count here; any other name is a dimension.

    Raises:
        BadSelection: a value cannot be read, or is there twice; the message says what would be right.
    """
    said = _said(query, names)
    part = {name: _part(name, texts, names) for name, texts in said.items() if name not in names}
    values = {name: _value(PARAMETERS[name], texts) for name, texts in said.items() if name in names}
    band = values.pop("band", None)
    wanted = Wanted(
        tuple(values.pop("variable", ())),
        MappingProxyType({name.removeprefix(_DIM): cut for name, cut in part.items()}),
        (*values.pop("transform", ()), *((band,) if band else ())),
        values.pop("raw", False),
    )
    looks = {name: values.pop(name) for name in LOOKS if name in values}
    return Sought(
        wanted, _display(looks), MappingProxyType(values), tuple(name for name in looks if looks[name] is not False)
    )


def _said(query: str, names: Collection[str]) -> dict[str, list[str]]:
    """The texts of each name, in the order of the names."""
    said: dict[str, list[str]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, errors="replace"):
        said.setdefault(name, []).append(text)
    for name in said:
        if name.removeprefix(_DIM) != name and name.removeprefix(_DIM) in said and name.removeprefix(_DIM) not in names:
            raise BadSelection(f"{name.removeprefix(_DIM)} and {name} are the same dimension; give one of them.")
    return said


def _value(parameter: Parameter, texts: Sequence[str]) -> Any:  # noqa: ANN401 — each parameter's own
    if len(texts) > 1 and not parameter.many:
        raise BadSelection(f"{parameter.name} is given {len(texts)} times; give it once.")
    try:
        values = [parameter.read(text) for text in texts]
    except ValueError as error:
        raise BadSelection(f"{parameter.name}={_short(', '.join(texts))}: {error}.") from error
    return values if parameter.many else values[0]


def _part(name: str, texts: Sequence[str], names: Collection[str]) -> Part:
    if len(texts) > 1:
        raise BadSelection(f"{_short(name)} is given {len(texts)} times; give it once.")
    (text,) = texts
    part = read_part(_short(name), text)
    if part is None:
        raise BadSelection(
            f"{_short(name)}={_short(text)} is no parameter ({', '.join(names)}), and no part of a dimension:"
            " that is written 100:400, 100:400:2, or 7."
        )
    return part


def _display(looks: Mapping[str, Any]) -> Display:
    return Display(**{"colours" if name == "cmap" else name: value for name, value in looks.items()})


def _short(text: str) -> str:
    """A client's own words, as far as they help."""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in text[:_SHOWN])
    return repr(f"{shown}…" if len(text) > _SHOWN else shown)


_SHOWN: Final = 60  # characters

_JSON: Final = frozenset({"application/json", "application/*", "*/*"})


def accepted(header: str, media_types: Mapping[str, str]) -> str | None:
    """Which format an ``Accept`` asks for where no parameter does; `None` for a description in JSON.

    Whoever takes JSON gets the description, and so does who says nothing; only who does not take it is given the format
    of the first media type of theirs that is one.

    Args:
        header: the request's ``Accept``; empty for none.
        media_types: of the formats, by their names, the most usual first.

    Raises:
        LookupError: there is neither a description nor a format that the client takes.
    """
    ranges = _ranges(header)
    if not ranges or not _JSON.isdisjoint(ranges):
        return None
    for each in ranges:
        for name, media_type in media_types.items():
            if each in {media_type, f"{media_type.partition('/')[0]}/*"}:
                return name
    raise LookupError("Accept")


def _ranges(header: str) -> list[str]:
    """The media ranges that are taken, the most wanted first."""
    weighed: list[tuple[float, str]] = []
    for each in filter(None, map(str.strip, header.lower().split(","))):
        kind, *parameters = map(str.strip, each.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        quality = float(weight) if _NUMBER.fullmatch(weight) else 0.0
        if quality > 0:
            weighed.append((quality, kind))
    return [kind for _, kind in sorted(weighed, key=lambda pair: -pair[0])]
