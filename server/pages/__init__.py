"""HTML pages: Jinja2 templates, with everything escaped, that need no JavaScript."""

from __future__ import annotations

from datetime import datetime
from math import log
from typing import Final

import jinja2
from markupsafe import Markup, escape

from shotdap import __version__
from shotdap.server.http.response import HttpResponse
from shotdap.server.http.security_headers import PAGE_POLICY
from shotdap.server.protocols.thredds_catalog import build_catalog_url

__all__ = ["render_page"]

_HEADERS: Final = {"Content-Security-Policy": PAGE_POLICY}
_SIZE_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_UNIT_STEP: Final = 1000


def render_page(template: str, status: int = 200, **values: object) -> HttpResponse:
    """Render a template with the values that it uses."""
    text = _ENVIRONMENT.get_template(template).render(values)
    return HttpResponse.from_body(text.encode("utf-8", "replace"), "text/html; charset=utf-8", _HEADERS, status)


def _format_size(size: float) -> str:
    """Format a number of bytes: ``9.8 MB``."""
    power = min(int(log(max(size, 1), _UNIT_STEP)), len(_SIZE_UNITS) - 1)
    size /= _UNIT_STEP**power
    return f"{size:.{1 if power and size < 100 else 0}f} {_SIZE_UNITS[power]}"  # noqa: PLR2004


def _format_date(date: str) -> str:
    """Format a date: ``24 March 2022, 09:26:44``; return a text that is no date unchanged."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{moment.day} {moment:%B %Y, %H:%M:%S}"


def _mark_code(text: str) -> Markup:
    """Convert the text of a docstring to HTML, with ``this`` as code."""
    return Markup("").join(  # every second piece was between marks
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(text.split("``"))
    )


_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("shotdap.server.pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"in_units": _format_size, "in_words": _format_date, "marked": _mark_code}
_ENVIRONMENT.globals |= {"version": __version__, "catalog_url": build_catalog_url}
