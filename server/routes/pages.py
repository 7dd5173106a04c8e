"""Pages about an image, for people: a form that builds requests, its attributes, and help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from shotdap.catalog import Address
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import refuse_attributes
from shotdap.server.http.response import Reply
from shotdap.server.pages import page
from shotdap.server.pages.dataset import asked_by_form, is_form, shown
from shotdap.server.protocols import dap2, dap4
from shotdap.server.routes.dap2 import narrowed
from shotdap.server.routes.image_request import Question

__all__ = ["ANSWERS", "error"]

_SAFE: Final = "/,:=&!*()"  # in a constraint; all clients take these as they are


def error(trouble: Problem, root: str) -> Reply:
    """A failure as a page."""
    return page("problem.html", trouble.status, trouble=trouble, root=root)


def _form(question: Question) -> Reply:
    """The form; or, sent without a script, the way to the answer that it asks for."""
    if is_form(question.query):
        answer, constraint = asked_by_form(question.query, question.open_adapted())
        location = f"{question.url}{answer}" + (f"?{quote(constraint, safe=_SAFE)}" if constraint else "")
        return Reply("", 0, (), {"Location": location}, 303)
    return _about(question, "form.html")


def _info(question: Question) -> Reply:
    return _about(question, "info.html")


def _about(question: Question, template: str) -> Reply:
    constraint, _ = narrowed(question)
    refuse_attributes(question.open_adapted(), question.limits)
    dataset = shown(question.open_adapted(), constraint)
    return page(
        template,
        here=question.suffix,
        root=question.root,
        path=question.path,
        original=_original(question),
        name=question.name,
        url=question.url,
        dataset=dataset,
        constraint=quote(str(constraint), safe=_SAFE),
        limit=question.limits.answer,
    )


def _original(question: Question) -> str:
    """The path of the file that was archived; empty where many images are meant."""
    return question.address.entry.path if isinstance(question.address, Address) else ""


def _dmr(question: Question) -> Reply:
    request = dap4.query(question.query)
    selection = dap4.parse(request.expression)
    dataset = selection.apply(question.open())
    refuse_attributes(dataset, question.limits)
    group = dap4.arrange(dataset, question.name, selection)
    return page(
        "dmr.html",
        here=question.suffix,
        root=question.root,
        path=question.path,
        original=_original(question),
        name=question.name,
        group=group,
        constraint=unquote(request.expression),
    )


def _help(question: Question) -> Reply:
    return page("help.html", root=question.root, host=question.host, functions=dap2.FUNCTIONS)


ANSWERS: Mapping[str, Callable[[Question], Reply]] = MappingProxyType(
    {".html": _form, ".info": _info, ".dmr.html": _dmr, ".help": _help}
)
"""By the suffix of the URL."""
