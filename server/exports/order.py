"""What is ordered: which images, what of each, in which format, in what they are to lie."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

from shotdap.catalog import parse_query
from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.extraction import Extraction
from shotdap.server.pictures.levels import Display
from shotdap.server.slice_text import Part, format_part, parse_part
from shotdap.transforms import MARK, BadSelection, parse_variant

__all__ = ["CONTAINERS", "BadOrder", "Container", "Order", "parse_part_options", "parse_part_value"]

Container: TypeAlias = Literal["folder", "zip", "zarr", "zarr-zip", "nc4", "icechunk"]
"""A folder of files, or a ZIP file of them; a Zarr store with a group for each image, as a folder or as one file; a
netCDF-4 file likewise; or an Icechunk repository, which gets a new version."""

CONTAINERS: Final[tuple[Container, ...]] = get_args(Container)

_FILE_CONTAINERS: Final = ("folder", "zip")
_FOLDER_CONTAINERS: Final = ("folder", "zarr")
_DEFAULT_FORMAT: Final = "nc4"  # holds all that an image is


class BadOrder(BadSelection):
    """The order does not hold together, or no image fits it; the message says what was wrong."""


@dataclass(frozen=True)
class Order:
    """What is to be exported."""

    query: str
    """Which images, in the query language."""
    extraction: Extraction = field(default_factory=Extraction)
    """What of each."""
    format_name: str = ""
    """Of each file, a name of `FORMATS`; empty for netCDF-4, and where the container has no files."""
    container: Container = "zip"
    display: Display = field(default_factory=Display)
    """How pictures are shown."""

    @property
    def has_files(self) -> bool:
        """Whether each image is a file of its own in the container."""
        return self.container in _FILE_CONTAINERS

    @property
    def is_folder(self) -> bool:
        """Whether what is made is a folder that images can be added to."""
        return self.container in _FOLDER_CONTAINERS

    @property
    def file_format(self) -> Format:
        """The format of the files.

        Raises:
            BadOrder: there is none of this name.
        """
        name = self.format_name or _DEFAULT_FORMAT
        if name not in FORMATS:
            raise BadOrder(f"There is no format {name!r}. The formats are: {', '.join(FORMATS)}.")
        return FORMATS[name]

    def validate(self) -> None:
        """Refuse what cannot be right, whatever images there are.

        Raises:
            BadOrder: the format or the container is unknown, or one does not go with the other.
            BadQuery: the query cannot be understood.
            BadSelection: transforms are asked for, of more than one variable.
            BadVariant: a transform cannot be read.
        """
        if self.container not in CONTAINERS:
            raise BadOrder(f"There is no {self.container!r} to export to; there are {', '.join(CONTAINERS)}.")
        if self.format_name and not self.has_files:
            raise BadOrder(
                f"A format is for files, in a folder or a ZIP file; {self.container} has none. Leave it out."
            )
        if not self.query.strip():
            raise BadOrder("The query is empty; say which images, such as diagnostic:P510 shot:103700..103800.")
        _ = self.file_format
        parse_query(self.query)
        _, mark, segment = self.extraction.build_path("").partition(MARK)
        if mark:
            parse_variant(f"{mark}{segment}")

    def to_json(self) -> str:
        """The order as a JSON document; the same order gives the same text."""
        wanted = self.extraction
        document = {
            "query": self.query,
            "variables": list(wanted.variables),
            "part": {name: format_part(each) for name, each in wanted.part.items()},
            "transforms": list(wanted.transforms),
            "raw": wanted.raw,
            "format": self.format_name,
            "container": self.container,
            "display": asdict(self.display),
        }
        return json.dumps(document, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The order that `to_json` has written.

        Raises:
            BadOrder: it is no such text.
        """
        try:
            return _build_order(json.loads(text))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadOrder(f"This is no order of an export: {text[:100]!r}.") from error


def _build_order(document: Mapping[str, Any]) -> Order:
    display = dict(document["display"])
    display["percentiles"] = tuple(display["percentiles"])
    wanted = Extraction(
        tuple(document["variables"]),
        MappingProxyType({name: parse_part_value(name, text) for name, text in document["part"].items()}),
        tuple(document["transforms"]),
        bool(document["raw"]),
    )
    return Order(document["query"], wanted, document["format"], document["container"], Display(**display))


def parse_part_value(name: str, text: str) -> Part:
    """A part of a dimension as text has it: ``100:400``, ``100:400:2``, or a single index, ``5``.

    Raises:
        BadOrder: it is none.
        BadSelection: it holds nothing.
    """
    found = parse_part(name, text)
    if found is None:
        raise BadOrder(f"{name}={text} is neither a part of a dimension, {name}=100:400, nor an index, {name}=5.")
    return found


def parse_part_options(texts: Iterable[str]) -> dict[str, Part]:
    """Parts of dimensions as a command line has them: ``y=100:400``.

    Raises:
        BadOrder: one is none.
    """
    pairs = [text.partition("=") for text in texts]
    return {name: parse_part_value(name, value) for name, _, value in pairs}
