"""Pages about an image: a form that builds requests, the attributes, and help."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from shotdap.server.http.limits import check_attributes
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.pages.image_page import build_dataset_view, is_form_query, parse_form_query
from shotdap.server.protocols import dap2, dap4
from shotdap.server.routes.dap2 import apply_constraint
from shotdap.server.routes.image_request import ImageRequest

_SAFE_CHARACTERS: Final = "/,:=&!*()"  # in a constraint; all clients accept them unquoted


def respond_form(image_request: ImageRequest) -> HttpResponse:
    """Return the form; or, if it was submitted without a script, a redirect to the answer that it requests."""
    query = image_request.request.query
    if is_form_query(query):
        suffix, constraint = parse_form_query(query, image_request.open_dap2_dataset())
        arguments = f"?{quote(constraint, safe=_SAFE_CHARACTERS)}" if constraint else ""
        return HttpResponse.redirect(f"{image_request.url}{suffix}{arguments}", 303)
    return _render_dataset_page(image_request, "form.html")


def respond_info(image_request: ImageRequest) -> HttpResponse:
    """Return the attributes as a page."""
    return _render_dataset_page(image_request, "info.html")


def _render_dataset_page(image_request: ImageRequest, template: str) -> HttpResponse:
    constraint, _ = apply_constraint(image_request)
    dataset = image_request.open_dap2_dataset()
    check_attributes(dataset, image_request.limits)
    return render_page(
        template,
        image_request.request,
        here=image_request.suffix,
        path=image_request.image.path,
        original=image_request.original_path,
        name=image_request.dataset_name,
        url=image_request.url,
        dataset=build_dataset_view(dataset, constraint),
        constraint=quote(str(constraint), safe=_SAFE_CHARACTERS),
        limit=image_request.limits.answer,
    )


def respond_dmr_page(image_request: ImageRequest) -> HttpResponse:
    """Return the structure that DAP4 has as a page."""
    expression = dap4.parse_query(image_request.request.query).expression
    selection = dap4.parse_constraint(expression)
    dataset = selection.apply(image_request.open_dataset())
    check_attributes(dataset, image_request.limits)
    return render_page(
        "dmr.html",
        image_request.request,
        here=image_request.suffix,
        path=image_request.image.path,
        original=image_request.original_path,
        name=image_request.dataset_name,
        group=dap4.build_tree(dataset, image_request.dataset_name, selection),
        constraint=unquote(expression),
    )


def respond_help(request: HttpRequest) -> HttpResponse:
    """Return the page that explains requests."""
    return render_page("help.html", request, functions=dap2.FUNCTIONS)
