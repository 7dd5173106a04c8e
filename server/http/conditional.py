"""Answers that a client has already: ``304``, before any file is opened.

A tag is made of all that an answer is made of: the version of each file, the archive's row, how its diagnostic is
described, the version of shotdap, and the request. So it is strong: what has the same tag is the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

from shotdap import __version__
from shotdap.catalog import Catalog, ContentState
from shotdap.server.http.response import PreparedResponse
from shotdap.server.routes.image_request import ImageRequest

__all__ = ["Validator", "create_request_validator", "create_validator", "has_matching_tag"]

_TAG_BYTES: Final = 16
_NANOSECONDS_PER_SECOND: Final = 10**9  # nanoseconds
_CACHE_HEADERS: Final = MappingProxyType({"Cache-Control": "no-cache", "Vary": "Accept-Encoding"})
"""An answer may be kept, if it is asked for each time whether it still is the answer."""


@dataclass(frozen=True)
class Validator:
    """What tells whether an answer is still the same."""

    tag: str
    """Without its quotes."""
    modified: datetime
    is_weak: bool = False
    """Whether what has the same tag only means the same, as what says when it was made."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with the answer, and with a 304 in its place."""
        tag = f'W/"{self.tag}"' if self.is_weak else f'"{self.tag}"'
        return {"ETag": tag, "Last-Modified": format_datetime(self.modified, usegmt=True), **_CACHE_HEADERS}

    def is_not_modified(self, asked: Mapping[str, str]) -> bool:
        """Whether the client has the answer; its date counts only where it sent no tag (RFC 9110, 13.2.2)."""
        tags = asked.get("if-none-match")
        if tags is not None:
            return has_matching_tag(tags, self.tag)
        since = asked.get("if-modified-since")
        return since is not None and self.modified <= _parse_http_date(since)

    def prepare_not_modified(self) -> PreparedResponse:
        """The answer to a client that has it."""
        return PreparedResponse("", None, (), self.headers, 304)

    def add_headers(self, reply: PreparedResponse) -> PreparedResponse:
        """A reply with its validators."""
        return replace(reply, headers={**reply.headers, **self.headers}) if reply.status == 200 else reply  # noqa: PLR2004


def create_request_validator(question: ImageRequest) -> Validator:
    """The validator of the answer to a question; a look at the file, which is not opened.

    Raises:
        NotFound: there is no such image.
        Missing: its file is not there.
        Unreadable: its file cannot be looked at.
    """
    return create_validator(question.catalog, question.state, question.suffix, question.query, question.base_url)


def create_validator(catalog: Catalog, state: ContentState, *asked: str) -> Validator:
    """The validator of an answer that depends on the state of an image, and on what is asked for."""
    made_of = (__version__, catalog.diagnostics_fingerprint, state.fingerprint, *asked)
    tag = blake2b(repr(made_of).encode("utf-8", "replace"), digest_size=_TAG_BYTES).hexdigest()
    modified = datetime.fromtimestamp(state.modified // _NANOSECONDS_PER_SECOND, UTC)
    return Validator(tag, min(modified, datetime.now(UTC).replace(microsecond=0)))  # RFC 9110, 8.8.2.1: never later


def has_matching_tag(tags: str | None, tag: str) -> bool:
    """Whether a tag is among those of ``If-None-Match``."""
    return tags is not None and any(_strip_tag(each) in {tag, "*"} for each in tags.split(","))


def _strip_tag(tag: str) -> str:
    """A tag without its quotes, whether weak or of the same answer compressed."""
    return tag.strip().removeprefix("W/").strip('"').removesuffix("-gzip")


def _parse_http_date(text: str) -> datetime:
    """The moment that a header names; the beginning of time where it names none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
