"""HTML pages: Jinja2 templates, with everything escaped, that need no JavaScript."""

from __future__ import annotations

from functools import partial
from typing import Final
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from shotdap import __version__
from shotdap.server.access.principal import get_principal
from shotdap.server.http.errors import Problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.http.security_headers import PAGE_POLICY
from shotdap.server.pages import formatting
from shotdap.server.pages.assets import ASSETS_HASH, build_asset_url
from shotdap.server.protocols.thredds_catalog import build_catalog_url

__all__ = ["describe_page_version", "render_page", "render_problem_page"]

_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cache-Control": "no-cache",
    "Vary": "Accept, Accept-Encoding",
}
_PATH_CHARACTERS: Final = "/~!$&'()*+,;=:@"  # in a path (RFC 3986, 3.3)
_STATUS_TITLES: Final = {
    401: "Sign in",
    403: "Not allowed",
    404: "Not here, or not yours to see",
    413: "Too much at once",
    429: "Too many requests",
    500: "Cannot be shown",
    503: "Not now",
}


def render_page(template: str, request: HttpRequest, status: int = 200, **values: object) -> HttpResponse:
    """Render a template with the values that it uses.

    Args:
        template: its name.
        request: for whom, and below which path.
        status: of the response.
        values: what the template needs beside `root`, `host`, `principal`, and `query` and `section` of the bar.
    """
    common = {
        "root": request.root_path,
        "host": request.base_url,
        "principal": get_principal(request.state),
        "query": "",
        "section": "",
    }
    body = _ENVIRONMENT.get_template(template).render(common | values)
    return HttpResponse.from_body(body.encode("utf-8", "replace"), "text/html; charset=utf-8", _HEADERS, status)


def render_problem_page(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Render a problem as a page."""
    title = _STATUS_TITLES.get(problem.status, "This did not work")
    return render_page("problem.html", request, problem.status, problem=problem, title=title)


def describe_page_version(request: HttpRequest) -> str:
    """Describe what a page depends on beside its content: who reads it, and the files that it loads."""
    return f"{get_principal(request.state).name} {ASSETS_HASH}"


def _mark_code(documentation: str) -> Markup:
    """Convert the text of a docstring to HTML, with ``this`` as code."""
    return Markup("").join(  # every second piece was between marks
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(documentation.split("``"))
    )


_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("shotdap.server.pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "in_units": formatting.format_size,
    "in_words": formatting.format_date,
    "as_day": formatting.format_day,
    "as_long_date": partial(formatting.format_date, weekday=True),
    "as_age": formatting.format_age,
    "as_moment": formatting.format_moment,
    "as_clock": formatting.format_clock,
    "as_elapsed": formatting.format_elapsed,
    "as_number": formatting.format_number,
    "as_count": formatting.format_count,
    "as_path": partial(quote, safe=_PATH_CHARACTERS, errors="replace"),
    "marked": _mark_code,
}
_ENVIRONMENT.globals |= {"version": __version__, "catalog_url": build_catalog_url, "asset": build_asset_url}
