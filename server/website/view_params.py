"""The query string of an image's page: what is shown of the image, and how.

Its parameters are those of the REST API, and ``row``, ``column`` and ``region`` beside them. Parameters stand in a
fixed order, and defaults are left out, so that equal views have equal URLs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

from shotdap.server.protocols.rest import ImageParams, parse_image_params
from shotdap.transforms import BadSelection

_REST_NAMES: Final = ("variable", "cmap", "scaling", "low", "high")
_BAND_NAMES: Final = ("row", "column")
_REGION: Final = "region"
_CURVE: Final = "curve"
_ORIENTATION: Final = "orientation"
_VIEWER_NAMES: Final = ("percentiles", "mark", "shape", "compare", "show")
"""Only the viewer knows these: they change the picture, not what is opened or downloaded."""

_STEP_NAMES: Final = ("add", "options")
_INDEX: Final = re.compile(r"\d{1,6}")
_RANGE: Final = re.compile(r"(\d{1,9}):(\d{1,9})")
_SAFE: Final = ":,"

Band: TypeAlias = tuple[int, int]
"""The first pixel and the one after the last."""


@dataclass(frozen=True)
class ViewParams:
    """A parsed query string."""

    rest: ImageParams
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """All parameters as they were sent, without empty ones."""
    row: Band | None = None
    """Rows over which the lineout along the columns is the mean: half-open."""
    column: Band | None = None
    region: tuple[Band, Band] | None = None
    """Rows and columns."""
    curve: int | None = None
    """The index of a curve among several, which is drawn before the others."""

    @property
    def variable_name(self) -> str:
        """The name of the variable; empty for the usual one."""
        return (*self.rest.extraction.variables, "")[0]

    @property
    def new_step(self) -> str:
        """A step to add to the chain; empty for none."""
        name, options = self.texts.get("add", ""), self.texts.get("options", "").strip("- ")
        return f"{name}-{options}" if name and options else name

    def build_query(self, **changes: str | None) -> str:
        """Build a query with some parameters changed, or left out if they are `None`; with its question mark."""
        texts = {**{name: text for name, text in self.texts.items() if name not in _STEP_NAMES}, **changes}
        order = (
            *_REST_NAMES,
            *(name for name in texts if name not in {*_REST_NAMES, *_BAND_NAMES, _REGION}),
            *_BAND_NAMES,
            _REGION,
        )
        pairs = {name: texts[name] for name in order if texts.get(name)}
        return f"?{urlencode(pairs, safe=_SAFE, quote_via=quote)}" if pairs else ""


def parse_view(query: str) -> ViewParams:
    """Parse a query string.

    Raises:
        BadSelection: a value is invalid; the message describes valid ones.
    """
    pairs = [(name, text.strip()) for name, text in parse_qsl(query, keep_blank_values=True, errors="replace")]
    texts = {name: text for name, text in reversed(pairs) if text}  # of several regions, the first
    texts = {name: texts[name] for name, text in pairs if text}
    own = {*_BAND_NAMES, _REGION, _CURVE, *_STEP_NAMES, *_VIEWER_NAMES}
    others = urlencode({name: text for name, text in texts.items() if name not in own})
    rest = parse_image_params(others, (*_REST_NAMES, _ORIENTATION))
    row, column = (_parse_band(name, texts[name]) if name in texts else None for name in _BAND_NAMES)
    region = None
    if _REGION in texts:
        rows, comma, columns = texts[_REGION].partition(",")
        if not comma:
            raise BadSelection(f"{_REGION}={texts[_REGION]!r}: it is rows and columns, such as 330:520,110:310.")
        region = (_parse_band(_REGION, rows), _parse_band(_REGION, columns))
    curve = texts.get(_CURVE)
    if curve is not None and not _INDEX.fullmatch(curve):
        raise BadSelection(f"{_CURVE}={curve[:60]!r}: it is the index of a curve, from 0.")
    return ViewParams(rest, MappingProxyType(texts), row, column, region, None if curve is None else int(curve))


def has_noise(query: str) -> bool:
    """Check whether a query has empty parameters, as a form sends them: the view has a shorter URL."""
    return any(not text.strip() for _, text in parse_qsl(query, keep_blank_values=True, errors="replace"))


def _parse_band(name: str, text: str) -> Band:
    match = _RANGE.fullmatch(text.strip())
    if match is None or int(match[1]) >= int(match[2]):
        raise BadSelection(f"{name}={text[:60]!r}: it is a range that goes up, such as 416:432, the last left out.")
    return int(match[1]), int(match[2])
