"""What the API's JSON documents hold: of these classes the OpenAPI document's schemas are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

__all__ = [
    "Attributes",
    "ChangeFeed",
    "DiagnosticCount",
    "DiagnosticDescription",
    "Diagnostics",
    "Dimension",
    "Document",
    "FacetCounts",
    "Facilities",
    "Facility",
    "Facts",
    "FormatDocument",
    "Formats",
    "HealthStatus",
    "Histogram",
    "Image",
    "ImageChange",
    "ImageSummary",
    "Images",
    "JsonNumber",
    "Option",
    "Percentile",
    "Shot",
    "ShotSummary",
    "Shots",
    "Statistics",
    "TransformDocument",
    "Transforms",
    "Values",
    "VariableDocument",
    "Version",
]

JsonNumber: TypeAlias = int | float | Literal["NaN", "Infinity", "-Infinity"]
Facts: TypeAlias = Mapping[str, str | int | float]
JsonAttributes: TypeAlias = Mapping[str, Any]
"""Attributes, as strict JSON has them: see `encoders.document`."""


@dataclass(frozen=True)
class Document:
    """A JSON document that has these members and no others."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Version(Document):
    """What answers."""

    name: str
    version: str
    """Of shotdap; the API's own stands in its path."""
    links: dict[str, str]
    """URLs of the documentation and of the resources to begin with."""


@dataclass(frozen=True)
class HealthStatus(Document):
    """That the server answers."""

    status: str
    """`ok`; what is not is a problem document."""


@dataclass(frozen=True)
class Facility(Document):
    """A facility, as the archive's rows call it."""

    name: str
    images: int
    """How many images of it the catalog knows."""
    links: dict[str, str]


@dataclass(frozen=True)
class Facilities(Document):
    """The facilities that there are images of."""

    facilities: list[Facility]


@dataclass(frozen=True)
class DiagnosticCount(Document):
    """A diagnostic, as the archive's rows call it."""

    name: str
    """Empty where the archive does not say."""
    images: int
    links: dict[str, str]


@dataclass(frozen=True)
class DiagnosticDescription(Document):
    """How the files of one kind of camera are read; see docs/diagnostics.md."""

    name: str
    title: str
    instrument: str
    variables: list[str]
    """Those that are in its files."""
    virtual: list[str]
    """Those that are computed of them."""


@dataclass(frozen=True)
class Diagnostics(Document):
    """The diagnostics that there are images of, and the descriptions by which their files are read."""

    diagnostics: list[DiagnosticCount]
    """As the archive's rows call them, with the numbers of their images."""
    descriptions: list[DiagnosticDescription]


@dataclass(frozen=True)
class ImageSummary(Document):
    """An image, as far as the catalog knows it without looking at its file."""

    path: str
    """Its public path, which never changes."""
    facts: Facts
    """What the archive's row says of it: facility, shot, date, diagnostic, …"""
    health: str
    """What the last inspection found: `unseen`, `ok`, `missing`, `unreadable` or `changed`."""
    reason: str | None
    """Why the file cannot be read, where it cannot."""
    links: dict[str, str]


@dataclass(frozen=True)
class Images(Document):
    """A page of images, the newest first."""

    images: list[ImageSummary]
    """May be fewer than were asked for, even none, and yet be followed by more."""
    next: str | None
    """The URL of the page that follows; null on the last. It stands in the header `Link`, too."""


@dataclass(frozen=True)
class ShotSummary(Document):
    """A shot of a facility."""

    facility: str
    shot: int
    images: int
    """How many images of it the catalog knows; of more than 1,000, so many."""
    date: str | None
    """Of the first of its images, as the archive writes it."""
    links: dict[str, str]


@dataclass(frozen=True)
class Shots(Document):
    """A page of shots, the greatest number first."""

    shots: list[ShotSummary]
    """May be fewer than were asked for, even none, and yet be followed by more."""
    next: str | None
    """The URL of the page that follows; null on the last. It stands in the header `Link`, too."""


@dataclass(frozen=True)
class Shot(Document):
    """A shot with all its images."""

    facility: str
    shot: int
    diagnostics: dict[str, int]
    """How many images each diagnostic took."""
    images: list[ImageSummary]
    links: dict[str, str]


@dataclass(frozen=True)
class FacetCounts(Document):
    """How many images a query finds, by facility, diagnostic, year and health."""

    total: int
    complete: bool
    """Whether all that match are counted, or only the newest of them."""
    counts: dict[str, dict[str, int]]
    """For each facet the values that there are; what the archive does not say is an empty text."""


@dataclass(frozen=True)
class ImageChange(Document):
    """The last thing that happened to one path."""

    path: str
    image: ImageSummary | None
    """As it is now; null where it was removed."""


@dataclass(frozen=True)
class ChangeFeed(Document):
    """What has changed, the oldest first."""

    changes: list[ImageChange]
    token: int
    """What to ask with, as `since`, for those that come after."""
    more: bool
    """Whether there are some already."""


@dataclass(frozen=True)
class Dimension(Document):
    """A dimension of a variable, or of an image."""

    name: str
    size: int


@dataclass(frozen=True)
class VariableDocument(Document):
    """A variable."""

    name: str
    dtype: str
    """As NumPy calls it: `uint16`, `float32`, `object` for texts."""
    dimensions: list[Dimension]
    """The slowest first."""
    nbytes: int
    """Of its values, uncompressed."""
    coordinate: bool
    virtual: bool
    """Whether it is computed, rather than in the file."""
    units: str | None
    long_name: str | None
    attributes: JsonAttributes


@dataclass(frozen=True)
class Image(Document):
    """An image: what is known of it, what it holds, and where its values are."""

    path: str
    """Its public path; a variant's in the one way to write it."""
    facts: Facts
    health: str
    reason: str | None
    sha256: str | None
    """Of the file when it was inspected."""
    attributes: JsonAttributes
    """The dataset's."""
    dimensions: list[Dimension]
    variables: list[VariableDocument]
    links: dict[str, str]
    """URLs: the image over DAP, its file, pictures, statistics, …"""
    formats: dict[str, str]
    """For each format the URL of the values that are described here in it."""


@dataclass(frozen=True)
class Values(Document):
    """What `format=json` gives: the values, in lists within lists, with all that is said of them."""

    attributes: JsonAttributes
    dimensions: dict[str, int]
    variables: Mapping[str, JsonAttributes]
    """Of each `build_dimensions`, `shape`, `dtype`, `attributes` and `values`."""
    coordinates: list[str]


@dataclass(frozen=True)
class Attributes(Document):
    """The attributes of an image and of its variables."""

    path: str
    attributes: JsonAttributes
    """The dataset's."""
    variables: Mapping[str, JsonAttributes]


@dataclass(frozen=True)
class Percentile(Document):
    """The value below which so many per cent of the values lie."""

    level: float
    value: JsonNumber


@dataclass(frozen=True)
class Histogram(Document):
    """How many values lie in bins of equal width; a bin holds its lower edge and not its upper, the last holds both."""

    low: JsonNumber
    high: JsonNumber
    counts: list[int]


@dataclass(frozen=True)
class Statistics(Document):
    """Statistics of a variable, or of a part of it: of all its values that are finite numbers, each counting once.

    Packed numbers count as what they mean: scale factor and offset are applied. What equals the fill value is missing.
    """

    path: str
    variable: str
    dimensions: list[Dimension]
    units: str | None
    count: int
    """How many values there are, whatever they are."""
    missing: int
    """How many of them are NaN, or the fill value."""
    infinite: int
    negative: int
    """How many are below 0."""
    saturated: int | None
    """At how many the camera could count no further; null where it is not known from which count on that is so."""
    minimum: JsonNumber
    maximum: JsonNumber
    mean: JsonNumber
    standard_deviation: JsonNumber
    """The sum is divided by the number of values (ddof=0)."""
    percentiles: list[Percentile]
    """Between two values interpolated linearly."""
    histogram: Histogram | None
    """Null where there is no finite value."""


@dataclass(frozen=True)
class Option(Document):
    """An option of a transform, in JSON Schema."""

    name: str
    schema: JsonAttributes


@dataclass(frozen=True)
class TransformDocument(Document):
    """A transform: what can be asked for by `transform=NAME-OPTION-VALUE`."""

    name: str
    summary: str
    inputs: list[str]
    """The first is the variable that it is applied to."""
    options: list[Option]


@dataclass(frozen=True)
class Transforms(Document):
    """Every transform."""

    transforms: list[TransformDocument]


@dataclass(frozen=True)
class FormatDocument(Document):
    """A format that images can be had in."""

    name: str
    """What to ask for by `format`."""
    media_type: str
    ending: str
    """Of the names of its files."""
    holds: str
    """`dataset`, `image`, `lineout` or `render_picture`."""
    description: str


@dataclass(frozen=True)
class Formats(Document):
    """Every format."""

    formats: list[FormatDocument]
