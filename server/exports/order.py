"""An order: which images, which variables and ranges of each, in which format and container.

A job exports the images that match a query, on Dask. A package holds the images of one folder and is streamed in the
request. Both have the same order; only the source of the images and its rules differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Final, Generic, TypeAlias, TypeVar, get_args

from shotdap.catalog import parse_query
from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.exports import Container, JobContainer, PackageContainer
from shotdap.server.extraction import Extraction
from shotdap.server.pictures.levels import Display
from shotdap.server.slice_text import Part, format_part, parse_part
from shotdap.transforms import MARK, BadSelection, parse_variant

JOB_CONTAINERS: Final[tuple[JobContainer, ...]] = get_args(JobContainer)
PACKAGE_CONTAINERS: Final[tuple[PackageContainer, ...]] = get_args(PackageContainer)

_DEFAULT_FORMAT: Final = "nc4"  # holds everything that an image has


class BadOrder(BadSelection):
    """The order contradicts itself, or no image fits it; the message says why."""


@dataclass(frozen=True)
class RequestContext:
    """The HTTP request that ordered a package."""

    request_url: str = ""
    """The URL of the request, which anybody can repeat."""
    server_url: str = ""
    """The server's URL without a final slash; public paths are below its ``/dap``."""
    display_parameters: tuple[str, ...] = ()
    """The parameters of the request that set `Order.display`."""


@dataclass(frozen=True)
class QuerySource:
    """The images that match a query: a job."""

    query: str

    @property
    def title(self) -> str:
        """The images in words, for titles."""
        return self.query

    def validate(self, order: Order[Source]) -> None:
        """Check the rules of jobs; see `Order.validate`."""
        if order.container not in JOB_CONTAINERS:
            raise BadOrder(f"There is no {order.container!r} to export to; there are {', '.join(JOB_CONTAINERS)}.")
        if order.format_name and not order.has_files:
            raise BadOrder(
                f"A format is for files, in a folder or a ZIP file; {order.container} has none. Leave it out."
            )
        if not self.query.strip():
            raise BadOrder("The query is empty; say which images, such as diagnostic:P510 shot:103700..103800.")
        _ = order.file_format
        parse_query(self.query)
        _, mark, segment = order.extraction.build_path("").partition(MARK)
        if mark:
            parse_variant(f"{mark}{segment}")

    def build_format_error(self, name: str) -> BadSelection:
        """Return the error for an unknown format."""
        return BadOrder(f"There is no format {name!r}. The formats are: {', '.join(FORMATS)}.")


@dataclass(frozen=True)
class FolderSource:
    """The images of one folder, or some of them: a package."""

    path: str
    """The public path of a folder, or of one image; empty for the root folder."""
    images: tuple[str, ...] = ()
    """Paths of the wanted images, complete or below the folder; empty for all."""
    diagnostics: tuple[str, ...] = ()
    """Diagnostics of the wanted images, as the archive names them; case is ignored; empty for all."""

    @property
    def title(self) -> str:
        """The images in words, for titles."""
        return self.path or "the archive"

    @property
    def file_stem(self) -> str:
        """The name of the package without extension: ``omega_62328``."""
        return self.path.replace("/", "_") or "images"

    def validate(self, order: Order[Source]) -> None:
        """Check the rules of packages; see `Order.validate`."""
        container = order.container
        if container not in PACKAGE_CONTAINERS:
            raise BadSelection(
                f"format={container}: a package is {', '.join(PACKAGE_CONTAINERS[:-1])} or {PACKAGE_CONTAINERS[-1]}."
            )
        if order.format_name and container != "zip":
            raise BadSelection(
                f"member={order.format_name} is for the files in a ZIP file; format={container} has none."
            )
        if order.has_archived_files and (order.extraction != Extraction(raw=True) or order.format_name):
            raise BadSelection(
                "raw=1 packs the files as they are in the archive: it goes with no variable, part, transform or member."
                " Leave out either."
            )
        if self.images and self.diagnostics:
            raise BadSelection("Name images by image=…, or their diagnostics by diagnostic=…, not both.")
        display_parameters = order.context.display_parameters
        if display_parameters and (container != "zip" or order.file_format.content_kind != "picture"):
            pictures = ", ".join(each.name for each in FORMATS.values() if each.content_kind == "picture") or "none yet"
            raise BadSelection(f"{', '.join(display_parameters)} is for pictures: member={pictures}.")
        _ = order.file_format

    def build_format_error(self, name: str) -> BadSelection:
        """Return the error for an unknown format."""
        return BadSelection(f"There is no format {name!r}; a member may be {', '.join(FORMATS)}.")


Source: TypeAlias = QuerySource | FolderSource
_SourceT_co = TypeVar("_SourceT_co", bound=Source, covariant=True)


@dataclass(frozen=True)
class Order(Generic[_SourceT_co]):
    """Images to export, and how."""

    source: _SourceT_co
    extraction: Extraction = field(default_factory=Extraction)
    """The variables and ranges of each image; in a package's ZIP file, `Extraction.raw` selects the archived files."""
    format_name: str = ""
    """The format of each file, a name of `FORMATS`; empty for netCDF-4, and where the container has no files."""
    container: Container = "zip"
    display: Display = field(default_factory=Display)
    """How pictures are rendered."""
    context: RequestContext = field(default_factory=RequestContext)
    """The request, for packages."""

    @property
    def file_format(self) -> Format:
        """The format of each file.

        Raises:
            BadSelection: the format is unknown.
        """
        name = self.format_name or _DEFAULT_FORMAT
        if name not in FORMATS:
            raise self.source.build_format_error(name)
        return FORMATS[name]

    @property
    def has_files(self) -> bool:
        """Whether each image is a file of its own in the container."""
        return self.container in {"folder", "zip"}

    @property
    def has_archived_files(self) -> bool:
        """Whether the members of the package are the unmodified files of the archive."""
        return isinstance(self.source, FolderSource) and self.container == "zip" and self.extraction.raw

    @property
    def is_folder(self) -> bool:
        """Whether the result is a folder, to which later runs can add images."""
        return self.container in {"folder", "zarr"}

    @property
    def expansion_factor(self) -> int:
        """The most bytes of a file that one byte of values becomes."""
        return self.file_format.max_expansion if self.container == "zip" else 1

    def validate(self) -> None:
        """Refuse an order that cannot be right, whatever images there are.

        Raises:
            BadSelection: the format or the container is unknown, or parts of the order exclude each other.
            BadQuery: the query has a syntax error.
            BadVariant: a transform has a syntax error.
        """
        self.source.validate(self)

    def to_json(self: Order[QuerySource]) -> str:
        """Return the order of a job as a JSON document; equal orders give equal texts."""
        extraction = self.extraction
        document = {
            "query": self.source.query,
            "variables": list(extraction.variables),
            "part": {name: format_part(part) for name, part in extraction.part.items()},
            "transforms": list(extraction.transforms),
            "raw": extraction.raw,
            "format": self.format_name,
            "container": self.container,
            "display": asdict(self.display),
        }
        return json.dumps(document, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Order[QuerySource]:
        """Parse the text that `to_json` wrote.

        Raises:
            BadOrder: the text is not such a document.
        """
        try:
            document = json.loads(text)
            display = dict(document["display"])
            display["percentiles"] = tuple(display["percentiles"])
            extraction = Extraction(
                tuple(document["variables"]),
                MappingProxyType({name: parse_part_value(name, part) for name, part in document["part"].items()}),
                tuple(document["transforms"]),
                bool(document["raw"]),
            )
            source = QuerySource(document["query"])
            return Order(source, extraction, document["format"], document["container"], Display(**display))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadOrder(f"This is no order of an export: {text[:100]!r}.") from error


JobOrder: TypeAlias = Order[QuerySource]
PackageOrder: TypeAlias = Order[FolderSource]


def parse_part_value(name: str, text: str) -> Part:
    """Parse a range or an index of a dimension: ``100:400``, ``100:400:2`` or ``5``.

    Raises:
        BadOrder: the text is neither.
        BadSelection: the range is empty.
    """
    part = parse_part(name, text)
    if part is None:
        raise BadOrder(f"{name}={text} is neither a part of a dimension, {name}=100:400, nor an index, {name}=5.")
    return part


def parse_part_options(texts: Iterable[str]) -> dict[str, Part]:
    """Parse options of the command line: ``y=100:400``.

    Raises:
        BadOrder: one is neither a range nor an index.
    """
    pairs = [text.partition("=") for text in texts]
    return {name: parse_part_value(name, value) for name, _, value in pairs}
