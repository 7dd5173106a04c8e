"""Pages about an image, for people: a form that builds requests, its attributes, and help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from shotdap.catalog import ImageAddress
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import refuse_attributes
from shotdap.server.http.response import PreparedResponse
from shotdap.server.pages import render_page
from shotdap.server.pages.dataset import build_dataset_view, is_form_query, parse_form_query
from shotdap.server.protocols import dap2, dap4
from shotdap.server.routes.dap2 import apply_constraint
from shotdap.server.routes.image_request import ImageRequest

__all__ = ["HANDLERS", "prepare_error_page"]

_SAFE_CHARACTERS: Final = "/,:=&!*()"  # in a constraint; all clients take these as they are


def prepare_error_page(trouble: Problem, root: str) -> PreparedResponse:
    """A failure as a page."""
    return render_page("problem.html", trouble.status, trouble=trouble, root=root)


def _respond_form(question: ImageRequest) -> PreparedResponse:
    """The form; or, sent without a script, the way to the answer that it asks for."""
    if is_form_query(question.query):
        answer, constraint = parse_form_query(question.query, question.open_dap2_dataset())
        location = f"{question.url}{answer}" + (f"?{quote(constraint, safe=_SAFE_CHARACTERS)}" if constraint else "")
        return PreparedResponse("", 0, (), {"Location": location}, 303)
    return _render_dataset_page(question, "form.html")


def _respond_info(question: ImageRequest) -> PreparedResponse:
    return _render_dataset_page(question, "info.html")


def _render_dataset_page(question: ImageRequest, template: str) -> PreparedResponse:
    constraint, _ = apply_constraint(question)
    refuse_attributes(question.open_dap2_dataset(), question.limits)
    dataset = build_dataset_view(question.open_dap2_dataset(), constraint)
    return render_page(
        template,
        here=question.suffix,
        root=question.root_path,
        path=question.path,
        original=_find_original_path(question),
        name=question.dataset_name,
        url=question.url,
        dataset=dataset,
        constraint=quote(str(constraint), safe=_SAFE_CHARACTERS),
        limit=question.limits.answer,
    )


def _find_original_path(question: ImageRequest) -> str:
    """The path of the file that was archived; empty where many images are meant."""
    return question.address.entry.path if isinstance(question.address, ImageAddress) else ""


def _respond_dmr_page(question: ImageRequest) -> PreparedResponse:
    request = dap4.parse_query(question.query)
    selection = dap4.parse_constraint(request.expression)
    dataset = selection.apply(question.open_dataset())
    refuse_attributes(dataset, question.limits)
    group = dap4.build_tree(dataset, question.dataset_name, selection)
    return render_page(
        "dmr.html",
        here=question.suffix,
        root=question.root_path,
        path=question.path,
        original=_find_original_path(question),
        name=question.dataset_name,
        group=group,
        constraint=unquote(request.expression),
    )


def _respond_help(question: ImageRequest) -> PreparedResponse:
    return render_page("help.html", root=question.root_path, host=question.base_url, functions=dap2.FUNCTIONS)


HANDLERS: Mapping[str, Callable[[ImageRequest], PreparedResponse]] = MappingProxyType(
    {".html": _respond_form, ".info": _respond_info, ".dmr.html": _respond_dmr_page, ".help": _respond_help}
)
"""By the suffix of the URL."""
