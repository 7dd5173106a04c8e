"""Conditional requests: ``304`` to a client that has the response already, before any file is opened.

A tag is a hash of everything that the response depends on: the version of each file, the archive's row, the description
of the diagnostic, the version of shotdap, and the request. So it is strong: equal tags mean equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import blake2b
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from shotdap import __version__
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse

_TAG_SIZE: Final = 16  # bytes
_NANOSECONDS_PER_SECOND: Final = 10**9
_CACHE_HEADERS: Final = MappingProxyType({"Cache-Control": "no-cache", "Vary": "Accept-Encoding"})
"""A client may store a response, and has to ask each time whether it is still valid."""


@dataclass(frozen=True)
class Validator:
    """The entity tag and the date by which a client recognises a response."""

    tag: str
    """Without quotes."""
    modified: datetime | None = None
    is_weak: bool = False
    """Whether equal tags mean equal content, but not equal bytes, as of a file that contains its date of creation."""

    @classmethod
    def from_dependencies(cls, modified: int, *dependencies: object, is_weak: bool = False) -> Validator:
        """Create the validator of a response from everything that it depends on.

        Args:
            modified: time of the last change, in nanoseconds since 1970.
            dependencies: what the response depends on besides the version of shotdap; each with a `repr` of its value.
            is_weak: see the class.
        """
        date = datetime.fromtimestamp(modified // _NANOSECONDS_PER_SECOND, UTC)
        now = datetime.now(UTC).replace(microsecond=0)
        tag = _compute_tag(repr((__version__, *dependencies)).encode("utf-8", "replace"))
        return cls(tag, min(date, now), is_weak)  # RFC 9110, 8.8.2.1: never later than now

    @classmethod
    def from_response(cls, response: HttpResponse) -> Validator:
        """Create the validator of a response from its body."""
        return cls(_compute_tag(b"".join(response.blocks)))

    @property
    def etag(self) -> str:
        """The value of the header ``ETag``."""
        return f'W/"{self.tag}"' if self.is_weak else f'"{self.tag}"'

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response, and of a 304 in its place."""
        date = {"Last-Modified": format_datetime(self.modified, usegmt=True)} if self.modified else {}
        return {"ETag": self.etag, **date, **_CACHE_HEADERS}

    def is_not_modified(self, request: HttpRequest) -> bool:
        """Check whether the client has the response; its date counts only if it sent no tag (RFC 9110, 13.2.2)."""
        tags = request.headers.get("if-none-match")
        if tags is not None:  # a tag counts without its quotes, weak or of the compressed response
            known = {tag.strip().removeprefix("W/").strip('"').removesuffix("-gzip") for tag in tags.split(",")}
            return not known.isdisjoint({self.tag, "*"})
        since = request.headers.get("if-modified-since")
        return since is not None and self.modified is not None and self.modified <= _parse_http_date(since)

    def prepare_not_modified(self) -> HttpResponse:
        """Return the response to a client that has it."""
        return HttpResponse("", None, (), self.headers, 304)

    def add_headers(self, response: HttpResponse) -> HttpResponse:
        """Return a response with the validators, unless it is an error or a redirect; headers of its own stay."""
        is_valid = response.status == HTTPStatus.OK
        return replace(response, headers={**self.headers, **response.headers}) if is_valid else response

    def respond(self, request: HttpRequest, prepare: Callable[[], HttpResponse]) -> HttpResponse:
        """Return a 304 if the client has the response; otherwise prepare it, and add the validators."""
        return self.prepare_not_modified() if self.is_not_modified(request) else self.add_headers(prepare())


def _compute_tag(content: bytes) -> str:
    return blake2b(content, digest_size=_TAG_SIZE).hexdigest()


def _parse_http_date(text: str) -> datetime:
    """Parse the date of a header; return the earliest date if it is none."""
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)
