"""Pages for people: Jinja2 templates, escaped throughout, that need no JavaScript."""

from __future__ import annotations

from datetime import datetime
from math import log
from typing import Final

import jinja2
from markupsafe import Markup, escape

from shotdap import __version__
from shotdap.server.http.response import Reply
from shotdap.server.protocols.thredds import catalog_url

__all__ = ["page"]

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_STEP: Final = 1000


def page(template: str, status: int = 200, **values: object) -> Reply:
    """A page made of a template and the values that it names."""
    text = _ENVIRONMENT.get_template(template).render(values)
    return Reply.of(text.encode("utf-8", "replace"), "text/html; charset=utf-8", _HEADERS, status)


def _in_units(size: float) -> str:
    """A number of bytes for people: ``9.8 MB``."""
    power = min(int(log(max(size, 1), _STEP)), len(_UNITS) - 1)
    size /= _STEP**power
    return f"{size:.{1 if power and size < 100 else 0}f} {_UNITS[power]}"  # noqa: PLR2004


def _in_words(date: str) -> str:
    """A date for people, ``24 March 2022, 09:26:44``; as it came where it is none."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{moment.day} {moment:%B %Y, %H:%M:%S}"


def _marked(text: str) -> Markup:
    """The text of a docstring, with ``this`` as code."""
    return Markup("").join(  # every other piece stood between marks
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(text.split("``"))
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shotdap.server.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"in_units": _in_units, "in_words": _in_words, "marked": _marked}
    environment.globals |= {"version": __version__, "catalog_url": catalog_url}
    return environment


_ENVIRONMENT: Final = _environment()
