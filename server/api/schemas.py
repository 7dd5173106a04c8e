"""The JSON documents of the API. The schemas of the OpenAPI document are built from these classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

JsonNumber: TypeAlias = int | float | Literal["NaN", "Infinity", "-Infinity"]
Facts: TypeAlias = Mapping[str, str | int | float]
JsonAttributes: TypeAlias = Mapping[str, Any]
"""Attributes as strict JSON, see `encoders.json_values`."""


@dataclass(frozen=True)
class Document:
    """A JSON document that has these members and no others."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Version(Document):
    """Name and version of the server."""

    name: str
    version: str
    """Version of shotdap; that of the API is in its path."""
    links: dict[str, str]
    """URLs of the documentation and of the resources to begin with."""


@dataclass(frozen=True)
class SignInDescription(Document):
    """Ways for users to sign in; the empty texts and lists are for modes without an identity provider."""

    mode: str
    """`open`: nobody has to; `token`: with a token; `oidc`: with a token, or with the identity provider."""
    issuer: str
    """Issuer of the identity provider; its own documents are below it, at `/.well-known/openid-configuration`."""
    client_id: str
    """Client of the identity provider for programs that a user signs in with (device flow, RFC 8628)."""
    scopes: list[str]
    """Scopes that they request there."""
    resource: str
    """Resource that they request there (RFC 8707); empty for none."""
    page: str
    """Page on which a browser signs in."""


@dataclass(frozen=True)
class HealthStatus(Document):
    """Health of the server."""

    status: str
    """`ok`; otherwise the response is a problem document."""


@dataclass(frozen=True)
class Facility(Document):
    """A facility, named as in the archive's rows."""

    name: str
    images: int
    """Number of its images in the catalog."""
    links: dict[str, str]


@dataclass(frozen=True)
class Facilities(Document):
    """The facilities of all images."""

    facilities: list[Facility]


@dataclass(frozen=True)
class DiagnosticCount(Document):
    """A diagnostic, named as in the archive's rows."""

    name: str
    """Empty if the archive does not name it."""
    images: int
    links: dict[str, str]


@dataclass(frozen=True)
class DiagnosticDescription(Document):
    """The description by which files of one kind of camera are read; see docs/diagnostics.md."""

    name: str
    title: str
    instrument: str
    variables: list[str]
    """Variables in the files."""
    virtual: list[str]
    """Variables computed from them."""


@dataclass(frozen=True)
class Diagnostics(Document):
    """The diagnostics of all images, and the descriptions by which their files are read."""

    diagnostics: list[DiagnosticCount]
    """Named as in the archive's rows, with the numbers of their images."""
    descriptions: list[DiagnosticDescription]


@dataclass(frozen=True)
class ImageSummary(Document):
    """An image as the catalog knows it; its file is not looked at."""

    path: str
    """Public path, which never changes."""
    facts: Facts
    """Facts from the archive's row: facility, shot, date, diagnostic, …"""
    health: str
    """Result of the last inspection: `unseen`, `ok`, `missing`, `unreadable` or `changed`."""
    reason: str | None
    """Why the file cannot be read; null if it can."""
    links: dict[str, str]


@dataclass(frozen=True)
class Images(Document):
    """A page of images, the newest first."""

    images: list[ImageSummary]
    """A page may have fewer than `limit`, even none, and more may follow."""
    next: str | None
    """URL of the next page; null on the last. The header `Link` has it, too."""


@dataclass(frozen=True)
class ShotSummary(Document):
    """A shot of a facility."""

    facility: str
    shot: int
    images: int
    """Number of its images in the catalog, capped at 1,000."""
    date: str | None
    """Date of its first image, as the archive writes it."""
    links: dict[str, str]


@dataclass(frozen=True)
class Shots(Document):
    """A page of shots, the greatest number first."""

    shots: list[ShotSummary]
    """A page may have fewer than `limit`, even none, and more may follow."""
    next: str | None
    """URL of the next page; null on the last. The header `Link` has it, too."""


@dataclass(frozen=True)
class Shot(Document):
    """A shot with all its images."""

    facility: str
    shot: int
    diagnostics: dict[str, int]
    """Number of images of each diagnostic."""
    images: list[ImageSummary]
    links: dict[str, str]


@dataclass(frozen=True)
class FacetCounts(Document):
    """Number of images that a query finds, by facility, diagnostic, year and health."""

    total: int
    complete: bool
    """Whether all matches are counted, or only the newest."""
    counts: dict[str, dict[str, int]]
    """Counts of each value of each facet; a value that the archive does not have is an empty text."""


@dataclass(frozen=True)
class ImageChange(Document):
    """The last change of one path."""

    path: str
    image: ImageSummary | None
    """The image as it is now; null if it was removed."""


@dataclass(frozen=True)
class ChangeFeed(Document):
    """Changes of the catalog, the oldest first."""

    changes: list[ImageChange]
    token: str
    """Value of `since` that selects the changes after these."""
    more: bool
    """Whether there are more changes already."""


@dataclass(frozen=True)
class StreamedChanges(ChangeFeed):
    """Changes as they happen."""

    lag_seconds: float | None
    """The longest time from the writing of a new file until this was sent; null if no file is new."""


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
    """Name in NumPy: `uint16`, `float32`, `object` for texts."""
    dimensions: list[Dimension]
    """In C order: the last one varies fastest."""
    nbytes: int
    """Size of its values, uncompressed."""
    coordinate: bool
    virtual: bool
    """Whether it is computed, and not in the file."""
    units: str | None
    long_name: str | None
    attributes: JsonAttributes


@dataclass(frozen=True)
class Image(Document):
    """An image: what is known of it, its contents, and the URLs of its values."""

    path: str
    """Public path; of a variant in its canonical form."""
    facts: Facts
    health: str
    reason: str | None
    sha256: str | None
    """Hash of the file when it was inspected."""
    attributes: JsonAttributes
    """Attributes of the dataset."""
    dimensions: list[Dimension]
    variables: list[VariableDocument]
    links: dict[str, str]
    """URLs of the image over DAP, its file, pictures, statistics, …"""
    formats: dict[str, str]
    """For each format, the URL of the values that are described here."""


@dataclass(frozen=True)
class Values(Document):
    """Response to `format=json`: the values as nested lists, with their attributes."""

    attributes: JsonAttributes
    dimensions: dict[str, int]
    variables: Mapping[str, JsonAttributes]
    """For each variable `dimensions`, `shape`, `dtype`, `attributes` and `values`."""
    coordinates: list[str]


@dataclass(frozen=True)
class Attributes(Document):
    """The attributes of an image and of its variables."""

    path: str
    attributes: JsonAttributes
    """Attributes of the dataset."""
    variables: Mapping[str, JsonAttributes]


@dataclass(frozen=True)
class Percentile(Document):
    """The value that `level` per cent of the values do not exceed."""

    level: float
    value: JsonNumber


@dataclass(frozen=True)
class Histogram(Document):
    """Counts of values in bins of equal width. A bin contains its lower edge, not its upper; the last contains both."""

    low: JsonNumber
    high: JsonNumber
    counts: list[int]


@dataclass(frozen=True)
class Statistics(Document):
    """Statistics of the finite values of a variable, or of a part of it.

    Packed numbers are decoded: scale factor and offset are applied. The fill value is missing.
    """

    path: str
    variable: str
    dimensions: list[Dimension]
    units: str | None
    count: int
    """Number of all values."""
    missing: int
    """Number of values that are NaN, or the fill value."""
    infinite: int
    negative: int
    """Number of values below 0."""
    saturated: int | None
    """Number of values at which the camera is saturated; null if its limit is unknown."""
    minimum: JsonNumber
    maximum: JsonNumber
    mean: JsonNumber
    standard_deviation: JsonNumber
    """Of the population: the sum is divided by the number of values (ddof=0)."""
    percentiles: list[Percentile]
    """Interpolated linearly between two values."""
    histogram: Histogram | None
    """Null if no value is finite."""


@dataclass(frozen=True)
class Option(Document):
    """An option of a transform, in JSON Schema."""

    name: str
    schema: JsonAttributes


@dataclass(frozen=True)
class TransformDocument(Document):
    """A transform, as in `transform=NAME-OPTION-VALUE`."""

    name: str
    summary: str
    inputs: list[str]
    """Names of its inputs; the first is the variable that it is applied to."""
    options: list[Option]


@dataclass(frozen=True)
class Transforms(Document):
    """Every transform."""

    transforms: list[TransformDocument]


@dataclass(frozen=True)
class FormatDocument(Document):
    """A format of images."""

    name: str
    """Value of `format`."""
    media_type: str
    ending: str
    """Extension of its files."""
    holds: str
    """`dataset`, `image`, `lineout` or `picture`."""
    description: str


@dataclass(frozen=True)
class Formats(Document):
    """Every format."""

    formats: list[FormatDocument]


@dataclass(frozen=True)
class FailureDocument(Document):
    """A request of yours that failed."""

    time: str
    """When it was answered: ISO 8601, in UTC."""
    method: str
    url: str
    """What was asked for, without secrets."""
    status: int
    message: str
    """Why it failed, and what would be right."""
    suggestion: str | None
    """The URL that would work; null if none is known."""
    explanation: str | None
    """In words, where that URL differs."""


@dataclass(frozen=True)
class Failures(Document):
    """Your last requests that failed, the newest first."""

    failures: list[FailureDocument]
