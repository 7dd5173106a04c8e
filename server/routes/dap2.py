"""DAP2's answers: each is one row of `ANSWERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import xarray as xr

from shotdap import __version__
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import Asked, refuse_attributes
from shotdap.server.http.response import Reply
from shotdap.server.protocols import dap2
from shotdap.server.routes.image_request import Question
from shotdap.transforms import Hyperslab

__all__ = ["ANSWERS", "asked", "error", "narrowed"]

_SERVER: Final = f"shotdap/{__version__}"
_ASCII_SHARE: Final = 8  # a number takes so many times its bytes as text, while it is made


def narrowed(question: Question) -> tuple[dap2.Constraint, xr.Dataset]:
    """The constraint of a question, and what it leaves of the image, lazily.

    Raises:
        BadSelection: the query is no constraint, or does not fit the image.
    """
    constraint = dap2.parse(question.query)
    return constraint, constraint.narrow(question.open_adapted())


def asked(question: Question, constraint: dap2.Constraint, dataset: xr.Dataset) -> Asked:
    """What a question asked for, as it takes to suggest less."""
    parts = constraint.selection.parts
    chosen = parts or ({} if constraint.calls else dict.fromkeys(map(str, dataset.variables), ()))

    def url(hyperslabs: Mapping[str, Hyperslab]) -> str:
        less = dap2.Constraint(replace(constraint.selection, parts=hyperslabs), (), constraint.filters)
        return f"{question.url}{question.suffix}?{quote(str(less), safe='/,:=&!*')}"

    return Asked(chosen, url)


def error(trouble: Problem) -> Reply:
    """A failure in DAP2's words."""
    return _reply("error", dap2.error(trouble.status, trouble.message), trouble.status)


def _reply(kind: str, body: str | bytes, status: int = 200) -> Reply:
    answer = dap2.ANSWERS[kind]
    return Reply.of(body, answer.media_type, _headers(answer.description), status)


def _headers(description: str) -> dict[str, str]:
    return {"XDAP": dap2.VERSION, "XDODS-Server": _SERVER, "Content-Description": description}


def _dds(question: Question) -> Reply:
    return _reply("dds", dap2.dds(narrowed(question)[1], question.name))


def _das(question: Question) -> Reply:
    """All attributes, whatever variables the constraint names: that is how DAP2 has it. Results of functions too."""
    adapted = question.open_adapted()
    constraint = dap2.parse(question.query)
    results = constraint.narrow(adapted) if constraint.calls else xr.Dataset()
    new = {name: variable for name, variable in results.variables.items() if name not in adapted.variables}
    described = adapted.assign(new) if new else adapted
    refuse_attributes(described, question.limits)
    return _reply("das", dap2.das(described))


def _dods(question: Question) -> Reply:
    constraint, dataset = narrowed(question)
    dataset = question.computed(dataset, partial(asked, question, constraint, dataset))
    answer = dap2.ANSWERS["dods"]
    return Reply(
        answer.media_type,
        dap2.body_size(dataset, question.name),
        () if question.only_headers else dap2.body(dataset, question.name),
        _headers(answer.description),
    )


def _ascii(question: Question) -> Reply:
    limits = replace(question.limits, answer=question.limits.answer // _ASCII_SHARE)
    question = question.asking(limits=limits)
    constraint, dataset = narrowed(question)
    dataset = question.computed(dataset, partial(asked, question, constraint, dataset))
    if question.only_headers:
        return Reply(dap2.ANSWERS["ascii"].media_type, None, (), _headers(dap2.ANSWERS["ascii"].description))
    return _reply("ascii", dap2.ascii_text(dataset, question.name))


def _version(_question: Question) -> Reply:
    return _reply("ver", f"Core version: DAP/{dap2.VERSION} DAP/4.0\nServer version: {_SERVER}\n")


ANSWERS: Mapping[str, Callable[[Question], Reply]] = MappingProxyType(
    {".dds": _dds, ".das": _das, ".dods": _dods, ".ascii": _ascii, ".asc": _ascii, ".ver": _version}
)
"""By the suffix of the URL."""
