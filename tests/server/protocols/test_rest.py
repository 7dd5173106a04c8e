"""Query strings of the REST API: their meaning, and refusals of all others."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdap.server.extraction import Extraction
from shotdap.server.pictures.levels import Display
from shotdap.server.protocols.rest import (
    DISPLAY_PARAMETERS,
    EXTRACTION_PARAMETERS,
    PARAMETERS,
    ImageParams,
    describe_parameters,
    negotiate_format,
    parse_image_params,
)
from shotdap.server.slice_text import Part
from shotdap.transforms import BadSelection, parse_variant

MEANINGS: list[tuple[str, ImageParams]] = [
    ("", ImageParams()),
    ("variable=image&variable=background", ImageParams(Extraction(("image", "background")))),
    ("y=100:400", ImageParams(Extraction(part={"y": slice(100, 400)}))),
    (
        "y=100%3A400:2&x=:5&frame=0",
        ImageParams(Extraction(part={"y": slice(100, 400, 2), "x": slice(None, 5), "frame": 0})),
    ),
    ("y=3:&x=::4", ImageParams(Extraction(part={"y": slice(3, None), "x": slice(None, None, 4)}))),
    (
        "dim.size=0:3&size=64",
        ImageParams(Extraction(part={"size": slice(0, 3)}), Display(size=64), display_parameters=("size",)),
    ),
    (
        "transform=median_filter-size-5&transform=log10",
        ImageParams(Extraction(transforms=("median_filter-size-5", "log10"))),
    ),
    ("band=rows:100:200", ImageParams(Extraction(transforms=("lineout-along-columns-first-100-last-199",)))),
    (
        "transform=log10&band=columns:0:1&variable=image",
        ImageParams(Extraction(("image",), transforms=("log10", "lineout-along-rows-first-0-last-0"))),
    ),
    ("raw=true", ImageParams(Extraction(raw=True))),
    ("raw=false&colour_bar=false", ImageParams()),
    ("format=png&download=1", ImageParams(options={"format": "png", "download": True})),
    (
        "cmap=cmocean:thermal&scaling=log&low=-1.5e2&high=.5&bits=16&quality=7&scale_bar=1",
        ImageParams(
            display=Display("cmocean:thermal", "log", -150, 0.5, bits=16, quality=7, scale_bar=True),
            display_parameters=("cmap", "scaling", "low", "high", "bits", "quality", "scale_bar"),
        ),
    ),
    ("percentiles=1,99", ImageParams(display=Display(percentiles=(1, 99)), display_parameters=("percentiles",))),
]


@pytest.mark.parametrize(("query", "sought"), MEANINGS)
def test_meaning(query: str, sought: ImageParams) -> None:
    """A query string has this meaning."""
    found = parse_image_params(query, PARAMETERS)

    assert (found.extraction.variables, dict(found.extraction.part)) == (
        sought.extraction.variables,
        dict(sought.extraction.part),
    )
    assert (found.extraction.transforms, found.extraction.raw) == (sought.extraction.transforms, sought.extraction.raw)
    assert (found.display, dict(found.options)) == (sought.display, dict(sought.options))
    assert set(found.display_parameters) == set(sought.display_parameters)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("format=png&format=jpeg", "format is given 2 times; give it once"),
        ("y=1:2&y=3:4", "'y' is given 2 times"),
        ("y=1:2&dim.y=3:4", "y and dim.y are the same dimension"),
        ("y=4:4", "holds nothing"),
        ("y=1:4:0", "holds nothing"),
        ("y=-1:4", "is no parameter .* and no part of a dimension"),
        ("y=", "and no part of a dimension"),
        ("colour=red", "'colour'='red' is no parameter (variable, transform"),
        ("size=0", "size='0': it is a whole number from 1 to 8192"),
        ("size=64.5", "it is a whole number"),
        ("bits=12", "it is 8 or 16"),
        ("low=NaN", "it is a number"),
        ("low=1e999", "it is a number"),
        ("low=5&high=5", "low must be less than high"),
        ("percentiles=99,1", "two percentages that go up"),
        ("percentiles=0,101", "two percentages that go up"),
        ("band=rows:9:9", "a range that goes up"),
        ("band=y:0:9", "it is rows or columns"),
        ("variable=../../etc/passwd%00", "it is written like background_subtracted"),
        ("transform=a~b", "it is written like median_filter-size-5"),
        ("raw=perhaps", "it is true or false"),
        ("scaling=cubic", "it is linear, sqrt or log"),
    ],
)
def test_mistakes(query: str, sentence: str) -> None:
    """A mistake is refused with a sentence that says what would be valid."""
    with pytest.raises(BadSelection, match=sentence.replace("(", r"\(")):
        parse_image_params(query, PARAMETERS)


names = st.one_of(st.sampled_from([*PARAMETERS, "y", "x", "dim.y"]), st.text(max_size=10))
texts = st.one_of(
    st.sampled_from(["1:2", "::", "0", "true", "png", "rows:1:5", "1,2", "", "9" * 30, "1e400"]), st.text(max_size=30)
)


@given(st.lists(st.tuples(names, texts), max_size=6))
def test_any_parameters(said: list[tuple[str, str]]) -> None:
    """Any parameters are accepted, within bounds, or refused in a sentence of printable characters."""
    found, refusal = _parse_or_refuse(urlencode(said, errors="replace"))

    assert refusal.isprintable()
    assert bool(found) is not bool(refusal)
    if found:
        assert all(_is_increasing(part) for part in found.extraction.part.values())
        assert found.display.size is None or 1 <= found.display.size <= 8192


def _parse_or_refuse(query: str) -> tuple[ImageParams | None, str]:
    """Return the meaning of a query string, or the reason of its refusal."""
    try:
        return parse_image_params(query, PARAMETERS), ""
    except BadSelection as error:
        return None, str(error)


def _is_increasing(part: Part) -> bool:
    return part >= 0 if isinstance(part, int) else part.stop is None or (part.start or 0) < part.stop


@given(st.text(max_size=200))
def test_any_text(query: str) -> None:
    """Any text is accepted or refused."""
    found, refusal = _parse_or_refuse(query)

    assert bool(found) is not bool(refusal)


@given(st.sampled_from(["rows", "columns"]), st.integers(0, 10**6), st.integers(1, 10**6))
def test_bands(side: str, first: int, size: int) -> None:
    """A band of a half-open range is a step of a variant, whose last row is included."""
    (step,) = parse_image_params(f"band={side}:{first}:{first + size}", EXTRACTION_PARAMETERS).extraction.transforms

    assert parse_variant(step)[0].options == {
        "along": "columns" if side == "rows" else "rows",
        "first": str(first),
        "last": str(first + size - 1),
    }


def _get_examples(described: dict[str, Any]) -> list[Any]:
    schema = described["schema"].get("items", described["schema"])
    found: list[Any] = schema["examples"]
    return found


@pytest.mark.parametrize("name", PARAMETERS)
def test_documented(name: str) -> None:
    """The example of a parameter is accepted by the parser and allowed by its own schema."""
    described = PARAMETERS[name].openapi
    (example,) = _get_examples(described)
    text = str(example).lower() if isinstance(example, bool) else str(example)

    assert parse_image_params(urlencode({name: text}), PARAMETERS) != ImageParams()
    assert "pattern" not in described["schema"] or re.search(described["schema"]["pattern"], text)


def test_documents_dimensions() -> None:
    """Dimensions are last, as an object whose members are parameters."""
    assert [each["name"] for each in describe_parameters(DISPLAY_PARAMETERS)] == [*DISPLAY_PARAMETERS, "dimensions"]
    assert describe_parameters([], dimensions=False) == []


TYPES = {"nc4": "application/x-netcdf", "png": "image/png", "jpeg": "image/jpeg"}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", None),
        ("*/*", None),
        ("application/json", None),
        ("text/html,image/png,*/*;q=0.8", None),
        ("image/png", "png"),
        ("image/avif,image/webp,image/*;q=0.8", "png"),
        ("image/png;q=0.1, image/jpeg", "jpeg"),
        ("IMAGE/PNG , text/html;q=x", "png"),
        ("application/x-netcdf", "nc4"),
    ],
)
def test_accepted(header: str, name: str | None) -> None:
    """A client that accepts JSON gets the description; another the format of its first known type."""
    assert negotiate_format(header, TYPES) == name


@pytest.mark.parametrize("header", ["text/html", ";", "image/"])
def test_not_accepted(header: str) -> None:
    """If no format is acceptable, the error says so."""
    with pytest.raises(LookupError):
        negotiate_format(header, TYPES)
