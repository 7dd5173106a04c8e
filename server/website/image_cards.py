"""Images as lists show them: a picture, a name, what is wrong, and a few facts; no file is opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import Final
from urllib.parse import quote, urlencode

from shotdap.catalog import Catalog, Entry, Health
from shotdap.catalog.entry import FAILED_HEALTHS
from shotdap.catalog.index.records import extract_column_facts
from shotdap.server.api.facility_names import format_facility_segment
from shotdap.server.api.responses import quote_path
from shotdap.server.api.thumbnails import THUMBNAIL_SIZES, build_thumbnail_url, compute_thumbnail_fingerprint
from shotdap.server.http.request import HttpRequest
from shotdap.server.pages.formatting import TIMES

_WORD_SEPARATOR: Final = re.compile(r"[_-]+")
_SHAPE: Final = re.compile(r"\w+\[([\d,]+)\]")
_MAX_ATTRIBUTES: Final = 2
_MAX_ATTRIBUTE_LENGTH: Final = 24
_DISTINGUISHED: Final = ("flat", "grid", "wedge", "dark")  # in a file's name: not the image of the shot itself
_KNOWN_FACTS: Final = frozenset({"facility", "shot", "date", "diagnostic", "name"})


@dataclass(frozen=True)
class ImageCard:
    """An image in a list."""

    entry: Entry
    url: str
    """Of its page, without the host."""
    name: str
    """Its diagnostic; of several images of one diagnostic with what distinguishes them."""
    title: str
    """The diagnostic in words; empty if no description matches."""
    picture: str
    """URL of the thumbnail; empty if the file cannot be read."""
    large_picture: str
    fingerprint: str
    shape: str
    attributes: Sequence[str]

    @property
    def diagnostic(self) -> str:
        """Its diagnostic; empty if its row names none."""
        return get_diagnostic(self.entry)

    @property
    def path(self) -> str:
        """The public path."""
        return self.entry.path

    @property
    def shot(self) -> int | None:
        """The number of its shot."""
        return get_shot(self.entry)

    @property
    def date(self) -> str:
        """The date in the archive's row; empty if it has none."""
        return str(self.entry.facts.get("date", ""))

    @property
    def reason(self) -> str:
        """The reason why it cannot be read; empty if it can."""
        return self.entry.reason

    @property
    def is_missing(self) -> bool:
        """True if there is no file."""
        return self.entry.health is Health.MISSING

    @property
    def is_unreadable(self) -> bool:
        """True if the file cannot be read."""
        return self.entry.health is Health.UNREADABLE

    @property
    def is_changed(self) -> bool:
        """True if the file is not the one that was inspected first."""
        return self.entry.health is Health.CHANGED

    @property
    def needs_attention(self) -> bool:
        """True if something is wrong with it."""
        return self.entry.health in {*FAILED_HEALTHS, Health.CHANGED}

    @property
    def alt(self) -> str:
        """The text in place of the picture."""
        return self.name if self.shot is None else f"{self.name}, shot {self.shot}"


def build_image_cards(request: HttpRequest, catalog: Catalog, entries: Sequence[Entry]) -> list[ImageCard]:
    """Build the cards of images in a list."""
    groups: dict[tuple[str, str, int | None], list[str]] = {}
    kinds = [(get_facility(entry), get_diagnostic(entry), get_shot(entry)) for entry in entries]
    for entry, kind in zip(entries, kinds, strict=True):
        groups.setdefault(kind, []).append(_get_file_name(entry))
    return [
        build_image_card(request, catalog, entry, distinguish_name(_get_file_name(entry), groups[kind]))
        for entry, kind in zip(entries, kinds, strict=True)
    ]


def build_image_card(request: HttpRequest, catalog: Catalog, entry: Entry, distinction: str = "") -> ImageCard:
    """Build the card of one image.

    Args:
        request: with the path at which the application is mounted.
        catalog: with the descriptions of diagnostics.
        entry: the image.
        distinction: from other images of its diagnostic and shot in the list.
    """
    diagnostic = get_diagnostic(entry)
    inspection = entry.last_good_inspection
    said = [(name, str(value)) for name, value in entry.facts.items() if name not in _KNOWN_FACTS]
    said += [(name, ", ".join(values)) for name, values in (inspection.attributes.items() if inspection else ())]
    attributes = [f"{name} {value}" for name, value in said if value and len(value) <= _MAX_ATTRIBUTE_LENGTH]
    fingerprint = compute_thumbnail_fingerprint(catalog, entry)
    picture, large_picture = (
        "" if entry.health in FAILED_HEALTHS else build_thumbnail_url(request, fingerprint, entry.path, size)
        for size in THUMBNAIL_SIZES
    )
    return ImageCard(
        entry,
        build_image_url(request, entry.path),
        f"{diagnostic} {distinction}".rstrip() if diagnostic else _get_file_name(entry),
        find_title(catalog, entry),
        picture,
        large_picture,
        fingerprint,
        format_shape(inspection.structure.values()) if inspection else "",
        attributes[:_MAX_ATTRIBUTES],
    )


def _get_file_name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


def distinguish_name(name: str, names: Sequence[str]) -> str:
    """Return the words of a name that not all names of its group have; the whole name if these do not suffice."""
    if len(names) == 1:
        return ""
    words = {each: _WORD_SEPARATOR.split(each) for each in names}
    common = set.intersection(*({word.lower() for word in each} for each in words.values()))
    own = {each: " ".join(word for word in words[each] if word.lower() not in common) for each in names}
    return own[name] if len(set(own.values())) == len(names) else name


def build_image_url(request: HttpRequest, path: str) -> str:
    """Build the URL of the page of an image, without the host."""
    return f"{request.root_path}/images/{quote_path(path)}"


def build_shot_url(request: HttpRequest, facility: str, shot: int) -> str:
    """Build the URL of the page of a shot, without the host."""
    return f"{request.root_path}/shots/{quote_path(format_facility_segment(facility))}/{shot}"


def build_diagnostic_url(request: HttpRequest, name: str, **parameters: str) -> str:
    """Build the URL of the page of a diagnostic, without the host; empty parameters are left out."""
    query = urlencode({key: value for key, value in parameters.items() if value}, safe=":.,", quote_via=quote)
    return f"{request.root_path}/diagnostics/{quote_path(name)}{f'?{query}' if query else ''}"


def get_shot(entry: Entry) -> int | None:
    """Return the number of the shot of an image; `None` if it has none."""
    number = extract_column_facts(entry.facts)["shot"]
    return None if number is None else int(number)


def get_diagnostic(entry: Entry) -> str:
    """Return the diagnostic of an image; empty if its row names none."""
    return str(entry.facts.get("diagnostic", ""))


def get_facility(entry: Entry) -> str:
    """Return the facility of an image; empty if its row names none."""
    return str(entry.facts.get("facility", ""))


def rank_entry(entry: Entry) -> tuple[bool, bool, str]:
    """Return the sort key of images of one diagnostic: the first is the one to show."""
    name = _get_file_name(entry).lower()
    return bool(entry.reason), any(word in name for word in _DISTINGUISHED), entry.path


def find_title(catalog: Catalog, entry: Entry) -> str:
    """Find the title that an image's row suggests, as far as it holds for all files of its diagnostic; or empty."""
    facts = {name: str(value).lower() for name, value in entry.facts.items()}
    for each in catalog.diagnostics:
        for clue in each.match.clues:
            if all(name in facts and fnmatchcase(facts[name], pattern.lower()) for name, pattern in clue.items()):
                name, _, rest = each.title.partition(", ")  # ASBO, velocity interferometer, streaked
                is_prefixed = rest and get_diagnostic(entry).upper().startswith(name.upper())
                return rest.partition(", ")[0] if is_prefixed else name
    return ""


def format_shape(structures: Iterable[str]) -> str:
    """Format the shape of the largest array of a file, without its frames: ``1100 × 1100``."""
    shapes = [tuple(map(int, match[1].split(","))) for each in structures if (match := _SHAPE.fullmatch(each))]
    largest = max(shapes, key=lambda shape: prod(shape[-2:]), default=())
    return f" {TIMES} ".join(map(str, reversed(largest[-2:])))
