"""The grammar of public paths: of images, their variants, and collections of images.

``/dap/omega/103741`` is a dataset with a group for each image of the shot. A segment ``~stack`` behind a folder is
a stack: ``/dap/omega/~stack-diagnostic-P510_2-shot-103700_103800~background_subtracted-clip-true``. Its options are
terms of the query language (two numbers of `shot`, or two dates, are a range), ``ragged`` and ``differing``; the steps
behind it are a variant, applied to every image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast, get_args

from shotdap.catalog.collections.stack import BadStack, DifferingPolicy, RaggedPolicy
from shotdap.catalog.entry import Entry
from shotdap.transforms import MARK, Step, parse_variant

RAW_SUFFIX: Final = "/raw"
"""Path suffix that selects the unmodified file."""

_STACK_STEP: Final = "stack"
_RANGE_FIELDS: Final = frozenset({"shot", "date"})
_OPTION_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"ragged": get_args(RaggedPolicy), "differing": get_args(DifferingPolicy)}
)
"""Options of a stack that are not terms of a query, with their values, the default first."""


@dataclass(frozen=True)
class ImageAddress:
    """The address of an image, of its unmodified file, or of a variant of either."""

    entry: Entry
    is_raw: bool = False
    variant: str = ""
    """The canonical segment of a variant; empty for none."""

    @property
    def path(self) -> str:
        """The canonical path."""
        return f"{self.image_path}/{self.variant}" if self.variant else self.image_path

    @property
    def image_path(self) -> str:
        """The path without the variant."""
        return f"{self.entry.path}{RAW_SUFFIX}" if self.is_raw else self.entry.path


@dataclass(frozen=True)
class CollectionAddress:
    """The address of many images: of a folder, or of a stack."""

    folder: str
    """The public path of the folder that contains them."""
    steps: tuple[Step, ...] = ()
    """The steps of its segment: ``stack``, then the variant of each image. Empty for a group for each image."""

    @property
    def path(self) -> str:
        """The canonical path."""
        segment = "".join(f"{MARK}{step}" for step in self.steps)
        return "/".join(filter(None, (self.folder, segment)))

    @property
    def variant(self) -> str:
        """The segment of the variant of each image; empty for none."""
        return "".join(f"{MARK}{step}" for step in self.steps[1:])

    @property
    def query(self) -> str:
        """The query for the images of a stack."""
        terms = []
        for name, value in self.steps[0].options.items() if self.steps else ():
            if name not in _OPTION_CHOICES:
                first, _, last = value.partition("_")
                terms.append(f"{name}:{first}..{last}" if name in _RANGE_FIELDS and last else f'{name}:"{value}"')
        return " ".join(terms)

    @property
    def ragged_policy(self) -> RaggedPolicy:
        """The treatment of images of different sizes.

        Raises:
            BadStack: there is no such policy.
        """
        return cast("RaggedPolicy", self._get_option("ragged"))

    @property
    def differing_policy(self) -> DifferingPolicy:
        """The treatment of variables that differ in meaning.

        Raises:
            BadStack: there is no such policy.
        """
        return cast("DifferingPolicy", self._get_option("differing"))

    def _get_option(self, option: str) -> str:
        choices = _OPTION_CHOICES[option]
        choice = self.steps[0].options.get(option, choices[0]) if self.steps else choices[0]
        if choice not in choices:
            raise BadStack(f"{option}-{choice}: it is {' or '.join(choices)}.")
        return choice


def parse_collection(folder: str, segment: str) -> CollectionAddress | None:
    """Parse a folder's path and the segment behind it; return `None` if the segment is no stack.

    Raises:
        BadVariant: the segment is not valid.
    """
    if not segment:
        return CollectionAddress(folder)
    steps = parse_variant(segment)
    return CollectionAddress(folder, steps) if steps[0].name == _STACK_STEP else None
