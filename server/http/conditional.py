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
from shotdap.catalog import Catalog, State
from shotdap.server.http.response import Reply
from shotdap.server.routes.image_request import Question

__all__ = ["Validator", "known", "validator", "validator_of"]

_TAG_BYTES: Final = 16
_SECOND: Final = 10**9  # nanoseconds
_KEPT: Final = MappingProxyType({"Cache-Control": "no-cache", "Vary": "Accept-Encoding"})
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
        return {"ETag": tag, "Last-Modified": format_datetime(self.modified, usegmt=True), **_KEPT}

    def knows(self, asked: Mapping[str, str]) -> bool:
        """Whether the client has the answer; its date counts only where it sent no tag (RFC 9110, 13.2.2)."""
        tags = asked.get("if-none-match")
        if tags is not None:
            return known(tags, self.tag)
        since = asked.get("if-modified-since")
        return since is not None and self.modified <= _moment(since)

    def not_modified(self) -> Reply:
        """The answer to a client that has it."""
        return Reply("", None, (), self.headers, 304)

    def on(self, reply: Reply) -> Reply:
        """A reply with its validators."""
        return replace(reply, headers={**reply.headers, **self.headers}) if reply.status == 200 else reply  # noqa: PLR2004


def validator(question: Question) -> Validator:
    """The validator of the answer to a question; a look at the file, which is not opened.

    Raises:
        NotFound: there is no such image.
        Missing: its file is not there.
        Unreadable: its file cannot be looked at.
    """
    return validator_of(question.catalog, question.state, question.suffix, question.query, question.host)


def validator_of(catalog: Catalog, state: State, *asked: str) -> Validator:
    """The validator of an answer that depends on the state of an image, and on what is asked for."""
    made_of = (__version__, catalog.descriptions, state.text, *asked)
    tag = blake2b(repr(made_of).encode("utf-8", "replace"), digest_size=_TAG_BYTES).hexdigest()
    modified = datetime.fromtimestamp(state.modified // _SECOND, UTC)
    return Validator(tag, min(modified, datetime.now(UTC).replace(microsecond=0)))  # RFC 9110, 8.8.2.1: never later


def known(tags: str | None, tag: str) -> bool:
    """Whether a tag is among those of ``If-None-Match``."""
    return tags is not None and any(_plain(each) in {tag, "*"} for each in tags.split(","))


def _plain(tag: str) -> str:
    """A tag without its quotes, whether weak or of the same answer compressed."""
    return tag.strip().removeprefix("W/").strip('"').removesuffix("-gzip")


def _moment(text: str) -> datetime:
    """The moment that a header names; the beginning of time where it names none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
