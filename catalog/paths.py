"""What a public path leads to: an image, or a collection of many.

``/dap/omega/103741`` is a dataset with a group for each image of the shot. A segment ``~stack`` behind a folder asks
for a stack: ``/dap/omega/~stack-diagnostic-P510_2-shot-103700_103800~background_subtracted-clip-true``. Its options are
words of the query language (two numbers of `shot`, or two dates, are a range), `ragged_policy` and `differing_policy`; the steps
behind it are those of a variant, of every image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast, get_args

from shotdap.catalog.collections.stack import BadStack, DifferingPolicy, RaggedPolicy
from shotdap.catalog.entry import Entry
from shotdap.transforms import MARK, Step, parse_variant

__all__ = ["RAW_SUFFIX", "ImageAddress", "ImageCollection", "parse_collection"]

RAW_SUFFIX: Final = "/raw"
"""What stands behind an image's path where its file as it is is meant."""

_STACK_STEP: Final = "stack"
_RANGE_FIELDS: Final = frozenset({"shot", "date"})
_OPTION_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"ragged": get_args(RaggedPolicy), "differing": get_args(DifferingPolicy)}
)
"""Options of a stack that are no words of a query, and what each may be, the default first."""


@dataclass(frozen=True)
class ImageAddress:
    """What a path leads to: an image, its file as it is, or a variant of either."""

    entry: Entry
    is_raw: bool = False
    variant: str = ""
    """The segment that asks for a variant, in the one way to write it."""

    @property
    def path(self) -> str:
        """The one path that leads here."""
        return f"{self.image_path}/{self.variant}" if self.variant else self.image_path

    @property
    def image_path(self) -> str:
        """The path without the variant."""
        return f"{self.entry.path}{RAW_SUFFIX}" if self.is_raw else self.entry.path


@dataclass(frozen=True)
class ImageCollection:
    """What a path leads to that is no image: many of them."""

    folder: str
    """The public path of the folder that they are in."""
    steps: tuple[Step, ...] = ()
    """Those of its segment: first ``stack``, then the variant of each image. None: a group for each image."""

    @property
    def path(self) -> str:
        """The path that leads here."""
        segment = "".join(f"{MARK}{step}" for step in self.steps)
        return "/".join(filter(None, (self.folder, segment)))

    @property
    def variant(self) -> str:
        """The segment that asks for the variant of each image; empty for none."""
        return "".join(f"{MARK}{step}" for step in self.steps[1:])

    @property
    def query(self) -> str:
        """What is stacked, in the query language."""
        options = self.steps[0].options if self.steps else {}
        return " ".join(_format_term(name, value) for name, value in options.items() if name not in _OPTION_CHOICES)

    @property
    def ragged_policy(self) -> RaggedPolicy:
        """What becomes of images of different sizes.

        Raises:
            BadStack: there is no such way.
        """
        return cast("RaggedPolicy", self._get_option("ragged"))

    @property
    def differing_policy(self) -> DifferingPolicy:
        """What becomes of variables that differ in meaning.

        Raises:
            BadStack: there is no such way.
        """
        return cast("DifferingPolicy", self._get_option("differing"))

    def _get_option(self, option: str) -> str:
        ways = _OPTION_CHOICES[option]
        way = self.steps[0].options.get(option, ways[0]) if self.steps else ways[0]
        if way not in ways:
            raise BadStack(f"{option}-{way}: it is {' or '.join(ways)}.")
        return way


def _format_term(name: str, value: str) -> str:
    first, _, last = value.partition("_")
    return f"{name}:{first}..{last}" if name in _RANGE_FIELDS and last else f'{name}:"{value}"'


def parse_collection(folder: str, segment: str) -> ImageCollection | None:
    """The collection that a folder's path and the segment behind it ask for; `None` if that is no stack.

    Raises:
        BadVariant: the segment cannot be read.
    """
    if not segment:
        return ImageCollection(folder)
    steps = parse_variant(segment)
    return ImageCollection(folder, steps) if steps[0].name == _STACK_STEP else None
