"""Query strings of the REST API: text → the extraction from an image, the format, and the display.

Strategy: `PARAMETERS` is the only table of parameters. The parser uses it, and the OpenAPI document is generated from
it, so that they cannot differ.

Rule 1: a name that is no parameter is a dimension of the image, and its value a slice in the syntax of Python:
``y=100:400``, ``y=100:400:2``, ``frame=0``. A dimension with the name of a parameter is written ``dim.size=0:3``.
Rule 2: two values for one parameter are an error; no value is ignored silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_args
from urllib.parse import parse_qsl

from shotdap.server.extraction import Extraction
from shotdap.server.pictures.levels import Autoscale, Display, DisplayOrientation, Scaling
from shotdap.server.slice_text import INTEGER_PATTERN, PART_PATTERN, Part, parse_part
from shotdap.transforms import BadSelection

Schema: TypeAlias = Mapping[str, Any]

_FIELD_NAMES: Final = {"cmap": "colours"}  # of `Display`, where a parameter has another name
_DIMENSION_PREFIX: Final = "dim."
_EXCERPT_LENGTH: Final = 60  # characters
_SLICE_PATTERN: Final = rf"^({PART_PATTERN})$"
_BAND_PATTERN: Final = re.compile(rf"(rows|columns):({INTEGER_PATTERN}):({INTEGER_PATTERN})")
_NUMBER_PATTERN: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_VARIABLE_PATTERN: Final = r"[A-Za-z0-9_./]{1,200}"
_LABEL_PATTERN: Final = r"[^\x00-\x1f\x7f]{1,500}"
_STEP_PATTERN: Final = r"[A-Za-z0-9_.-]{1,200}"
_COLOUR_MAP_PATTERN: Final = r"[A-Za-z0-9_:.+-]{1,60}"
_PREFILLED_PARAMETERS: Final = frozenset({"variable", "format", "cmap"})
"""Parameters whose examples are the initial values of forms that are generated from the OpenAPI document."""
_COLOUR_PATTERN: Final = r"[A-Za-z]{1,30}|#[0-9a-fA-F]{6}"
_BOOLEANS: Final[Mapping[str, bool]] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
_LINEOUT_AXES: Final[Mapping[str, str]] = MappingProxyType({"rows": "columns", "columns": "rows"})
"""The mean over a band of rows has a value for each column."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query string."""

    name: str
    parse: Callable[[str], Any]
    """Parses its text.

    Raises:
        ValueError: the text is invalid; the message describes valid ones.
    """
    schema: Schema
    """JSON Schema of its value."""
    description: str
    example: Any
    is_repeatable: bool = False
    """True if it can appear more than once."""

    @property
    def openapi(self) -> dict[str, Any]:
        """Its description in an OpenAPI document."""
        schema = {**self.schema, "examples": [self.example]}
        document: dict[str, Any] = {
            "name": self.name,
            "in": "query",
            "required": False,
            "description": self.description,
        }
        if self.name in _PREFILLED_PARAMETERS:
            document["example"] = [self.example] if self.is_repeatable else self.example
        return {
            **document,
            "schema": {"type": "array", "items": schema, "maxItems": 100} if self.is_repeatable else schema,
        }


def _parse_choice(choices: Sequence[str], text: str) -> str:
    if text not in choices:
        raise ValueError(f"it is {', '.join(choices[:-1])} or {choices[-1]}")
    return text


def _parse_number(text: str) -> float:
    if not _NUMBER_PATTERN.fullmatch(text) or not isfinite(float(text)):
        raise ValueError("it is a number")
    return float(text)


def _parse_percentiles(text: str) -> tuple[float, float]:
    pieces = text.split(",")
    if len(pieces) == 2 and all(map(_NUMBER_PATTERN.fullmatch, pieces)):  # noqa: PLR2004 — a low and a high one
        low, high = map(float, pieces)
        if 0 <= low < high <= 100:  # noqa: PLR2004 — per cent
            return low, high
    raise ValueError("it is two percentages that go up, such as 0.5,99.5")


def _parse_band(text: str) -> str:
    """Return the step of a variant for the mean over a band."""
    match = _BAND_PATTERN.fullmatch(text)
    if not match or int(match[2]) >= int(match[3]):
        raise ValueError("it is rows or columns and a range that goes up, such as rows:100:200, the last left out")
    return f"lineout-along-{_LINEOUT_AXES[match[1]]}-first-{int(match[2])}-last-{int(match[3]) - 1}"


def _make_text_parameter(name: str, pattern: str, sentence: str, example: str, *, many: bool = False) -> Parameter:
    def check_pattern(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"it is written like {example}")
        return text

    return Parameter(name, check_pattern, {"type": "string", "pattern": f"^({pattern})$"}, sentence, example, many)


def _make_boolean_parameter(name: str, sentence: str) -> Parameter:
    def parse_boolean(text: str) -> bool:
        if text not in _BOOLEANS:
            raise ValueError("it is true or false")
        return _BOOLEANS[text]

    return Parameter(name, parse_boolean, {"type": "boolean"}, sentence, example=True)


def _make_integer_parameter(name: str, least: int, most: int, sentence: str, example: int) -> Parameter:
    def parse_integer(text: str) -> int:
        if not re.fullmatch(INTEGER_PATTERN, text) or not least <= int(text) <= most:
            raise ValueError(f"it is a whole number from {least} to {most}")
        return int(text)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Parameter(name, parse_integer, schema, sentence, example)


_PERCENTILES_SCHEMA: Final[Schema] = MappingProxyType(
    {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]+)?,[0-9]{1,3}(\.[0-9]+)?$"}
)

_EXTRACTION_PARAMETERS: Final = (
    _make_text_parameter(
        "variable",
        _VARIABLE_PATTERN,
        "A variable; all of the image's where none is named.",
        "background_subtracted",
        many=True,
    ),
    _make_text_parameter(
        "transform",
        _STEP_PATTERN,
        "A transform with its options, `NAME-OPTION-VALUE`, as the step of a variant has it; several are applied one"
        " after the other. What the last one makes is the variable `result`.",
        "median_filter-size-5",
        many=True,
    ),
    Parameter(
        "band",
        _parse_band,
        {"type": "string", "pattern": rf"^(rows|columns):{INTEGER_PATTERN}:{INTEGER_PATTERN}$"},
        "The mean over a band, a lineout: `rows:100:200` is one number for each column, made of the rows 100 to 199.",
        "rows:100:200",
    ),
    _make_boolean_parameter("raw", "The file as it is, with its own names, rather than the labelled image."),
)
_DISPLAY_PARAMETERS: Final = (
    _make_text_parameter("cmap", _COLOUR_MAP_PATTERN, "The colour map, by its name in the library `cmap`.", "viridis"),
    Parameter(
        "scaling",
        partial(_parse_choice, get_args(Scaling)),
        {"type": "string", "enum": [*get_args(Scaling)]},
        "How values become brightness between low and high.",
        "sqrt",
    ),
    Parameter(
        "low", _parse_number, {"type": "number"}, "The value that is darkest; by default the lower percentile.", 0.0
    ),
    Parameter(
        "high",
        _parse_number,
        {"type": "number"},
        "The value that is brightest; by default the upper percentile.",
        500.0,
    ),
    Parameter(
        "percentiles",
        _parse_percentiles,
        _PERCENTILES_SCHEMA,
        "Which percentiles are darkest and brightest, where low and high do not say.",
        "0.5,99.5",
    ),
    Parameter(
        "autoscale",
        partial(_parse_choice, get_args(Autoscale)),
        {"type": "string", "enum": [*get_args(Autoscale)]},
        "The rule for the range where low and high do not say: percentiles, or from the top of the noise, so that what"
        " is empty is black.",
        "noise",
    ),
    Parameter(
        "bits",
        lambda text: int(_parse_choice(("8", "16"), text)),
        {"type": "integer", "enum": [8, 16]},
        "Bits of a PNG's pixel: 8, in colours, or 16, in greys.",
        8,
    ),
    _make_integer_parameter("size", 1, 8192, "Pixels of the longer side; by default as many as the image has.", 512),
    _make_integer_parameter("quality", 1, 100, "Of a JPEG or a WebP.", 90),
    _make_boolean_parameter("colour_bar", "Draw a bar that says which colour is which value."),
    _make_text_parameter(
        "missing",
        _COLOUR_PATTERN,
        "The colour of what is missing; by default transparent, or white where nothing can be.",
        "red",
    ),
    Parameter(
        "orientation",
        partial(_parse_choice, get_args(DisplayOrientation)),
        {"type": "string", "enum": [*get_args(DisplayOrientation)]},
        "Whether the picture is as the array is stored, or turned as `display_rotation` and `display_flip` tell.",
        "displayed",
    ),
    _make_boolean_parameter("scale_bar", "Draw a bar that says how long so many pixels are, where the image says it."),
)

EXTRACTION_PARAMETERS: Final = tuple(each.name for each in _EXTRACTION_PARAMETERS)
"""The parameters of an extraction; dimensions also belong to it."""
DISPLAY_PARAMETERS: Final = tuple(each.name for each in _DISPLAY_PARAMETERS)
"""The parameters of a picture."""

_OTHER_PARAMETERS: Final = (
    _make_text_parameter(
        "format", r"[a-z0-9_]{1,30}", "What to have it as: see `/formats`. Without it, a description.", "png"
    ),
    _make_boolean_parameter("download", "Have browsers save the answer, rather than show it."),
    _make_text_parameter(
        "image",
        _LABEL_PATTERN,
        "An image of the folder, by its path below it; all where none is named.",
        "p510_2/p510_2_s103741",
        many=True,
    ),
    _make_text_parameter(
        "diagnostic", _LABEL_PATTERN, "A diagnostic, in any case; all where none is named.", "P510_2", many=True
    ),
    _make_text_parameter("member", r"[a-z0-9_]{1,20}", "The format of each file in a package: see `/formats`.", "nc4"),
    _make_text_parameter(
        "fingerprint",
        r"[0-9a-f]{1,64}",
        "The version of the picture that a page has named; the answer to the present one may be kept for good.",
        "5d41402abc4b2a76",
    ),
    _make_integer_parameter("bins", 1, 1024, "Bins of the histogram.", 64),
)

PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType(
    {each.name: each for each in (*_EXTRACTION_PARAMETERS, *_DISPLAY_PARAMETERS, *_OTHER_PARAMETERS)}
)
"""Every parameter, by its name."""

_DIMENSIONS_PARAMETER: Final[Schema] = MappingProxyType(
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
            "additionalProperties": {"type": "string", "pattern": _SLICE_PATTERN},
            "maxProperties": 16,
            "examples": [{"y": "100:400", "x": "0:600:2"}, {"frame": "0"}],
        },
        "example": {"y": "100:400"},
    }
)


def describe_parameters(names: Iterable[str], *, dimensions: bool = True) -> list[dict[str, Any]]:
    """Return the OpenAPI descriptions of some parameters, and then that of the dimensions."""
    return [*(PARAMETERS[name].openapi for name in names), *([dict(_DIMENSIONS_PARAMETER)] if dimensions else [])]


@dataclass(frozen=True)
class ImageParams:
    """The parsed parameters of a query string."""

    extraction: Extraction = field(default_factory=Extraction)
    display: Display = field(default_factory=Display)
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Other parameters by their names: format, download, bins, …"""
    display_parameters: tuple[str, ...] = ()
    """Names of the parameters in the query that matter for pictures only."""

    def change_display(self, display: Display) -> Display:
        """Return a display with the parameters that the query has."""
        names = [_FIELD_NAMES.get(name, name) for name in self.display_parameters]
        return replace(display, **{name: getattr(self.display, name) for name in names})


def parse_image_params(query: str, names: Collection[str]) -> ImageParams:
    """Parse a query string.

    Args:
        query: the raw query, percent-encoded like a form.
        names: the supported parameters; any other name is a dimension.

    Raises:
        BadSelection: a value is invalid, or appears twice; the message describes valid ones.
    """
    texts_by_name: dict[str, list[str]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, errors="replace"):
        texts_by_name.setdefault(name, []).append(text)
    for name in texts_by_name:
        dimension = name.removeprefix(_DIMENSION_PREFIX)
        if dimension != name and dimension in texts_by_name and dimension not in names:
            raise BadSelection(f"{dimension} and {name} are the same dimension; give one of them.")
    part: dict[str, Part] = {}
    for name, texts in texts_by_name.items():
        if name in names:
            continue
        if len(texts) > 1:
            raise BadSelection(f"{_quote_excerpt(name)} is given {len(texts)} times; give it once.")
        cut = parse_part(_quote_excerpt(name), texts[0])
        if cut is None:
            raise BadSelection(
                f"{_quote_excerpt(name)}={_quote_excerpt(texts[0])} is no parameter ({', '.join(names)}), and no part"
                " of a dimension: that is written 100:400, 100:400:2, or 7."
            )
        part[name.removeprefix(_DIMENSION_PREFIX)] = cut
    values = {name: _parse_value(PARAMETERS[name], texts) for name, texts in texts_by_name.items() if name in names}
    band = values.pop("band", None)
    extraction = Extraction(
        tuple(values.pop("variable", ())),
        MappingProxyType(part),
        (*values.pop("transform", ()), *((band,) if band else ())),
        values.pop("raw", False),
    )
    display_values = {name: values.pop(name) for name in DISPLAY_PARAMETERS if name in values}
    display = Display(**{_FIELD_NAMES.get(name, name): value for name, value in display_values.items()})
    used = tuple(name for name, value in display_values.items() if value is not False)
    return ImageParams(extraction, display, MappingProxyType(values), used)


def _parse_value(parameter: Parameter, texts: Sequence[str]) -> Any:  # noqa: ANN401 — the type of the parameter
    if len(texts) > 1 and not parameter.is_repeatable:
        raise BadSelection(f"{parameter.name} is given {len(texts)} times; give it once.")
    try:
        values = [parameter.parse(text) for text in texts]
    except ValueError as error:
        raise BadSelection(f"{parameter.name}={_quote_excerpt(', '.join(texts))}: {error}.") from error
    return values if parameter.is_repeatable else values[0]


def _quote_excerpt(text: str) -> str:
    """Quote the beginning of a client's text, for a message; characters that cannot be printed are replaced."""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in text[:_EXCERPT_LENGTH])
    return repr(f"{shown}…" if len(text) > _EXCERPT_LENGTH else shown)


_JSON_MEDIA_RANGES: Final = frozenset({"application/json", "application/*", "*/*"})


def negotiate_format(header: str, media_types: Mapping[str, str]) -> str | None:
    """Return the format that an ``Accept`` header requests; `None` for a description in JSON.

    A client that accepts JSON, or sends no header, gets the description; any other gets the format of its most
    preferred media type that has one.

    Args:
        header: the ``Accept`` of the request; empty for none.
        media_types: the media types of the formats by their names, the most usual first.

    Raises:
        LookupError: the client accepts neither a description nor any format.
    """
    weighted: list[tuple[float, str]] = []
    for each in filter(None, map(str.strip, header.lower().split(","))):
        kind, *parameters = map(str.strip, each.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        quality = float(weight) if _NUMBER_PATTERN.fullmatch(weight) else 0.0
        if quality > 0:
            weighted.append((quality, kind))
    ranges = [kind for _, kind in sorted(weighted, key=lambda pair: -pair[0])]
    if not ranges or not _JSON_MEDIA_RANGES.isdisjoint(ranges):
        return None
    for each in ranges:
        for name, media_type in media_types.items():
            if each in {media_type, f"{media_type.partition('/')[0]}/*"}:
                return name
    raise LookupError("Accept")
