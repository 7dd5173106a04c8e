"""DAP4's answers: each is one row of `ANSWERS`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import xarray as xr

from shotdap import __version__
from shotdap.catalog import Address
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import Asked, refuse_attributes
from shotdap.server.http.response import Reply
from shotdap.server.protocols import dap4
from shotdap.server.routes.image_request import Question
from shotdap.transforms import Hyperslab, Selection

__all__ = ["ANSWERS", "SERVICES_TYPE", "error", "services"]

_HEADERS: Final = MappingProxyType({"X-DAP": "4.0", "XDAP": "4.0", "X-DAP-Server": f"shotdap/{__version__}"})


def error(trouble: Problem) -> Reply:
    """A failure in DAP4's words."""
    body = dap4.error(trouble.status, trouble.message)
    return Reply.of(body, dap4.ERROR_MEDIA_TYPE, _HEADERS, trouble.status)


def _narrowed(question: Question) -> tuple[xr.Dataset, Selection, dap4.Request]:
    request = dap4.query(question.query)
    selection = dap4.parse(request.expression)
    return selection.apply(question.open()), selection, request


def _dmr(question: Question) -> Reply:
    dataset, selection, _ = _narrowed(question)
    refuse_attributes(dataset, question.limits)
    text = dap4.dmr(dataset, question.name, selection)
    return Reply.of(text, dap4.MEDIA_TYPES[question.suffix], _HEADERS)


def _dap(question: Question) -> Reply:
    dataset, selection, request = _narrowed(question)
    dataset = question.computed(dataset, partial(_asked, question, selection, dataset))
    if question.only_headers:
        return Reply(dap4.MEDIA_TYPES[".dap"], None, (), _HEADERS)
    if selection.parts:  # a part of the image travels without the camera's 130 attributes, which the .dmr has
        dataset = dataset.drop_attrs(deep=False)
    refuse_attributes(dataset, question.limits)
    body = dap4.body(dataset, question.name, selection, checksum=request.checksum)
    return Reply(dap4.MEDIA_TYPES[".dap"], body.size, body, _HEADERS)


def _asked(question: Question, selection: Selection, dataset: xr.Dataset) -> Asked:
    """What a question asked for, as it takes to suggest less."""
    whole = question.open()
    hyperslabs = {str(name): _ranges(whole.variables[name], str(name), selection) for name in dataset.variables}

    def url(hyperslabs: Mapping[str, Hyperslab]) -> str:
        variables = ";".join(f"/{name}{''.join(map(_written, slab))}" for name, slab in hyperslabs.items())
        return f"{question.url}{question.suffix}?dap4.ce={quote(variables, safe='/:;')}"

    return Asked(hyperslabs, url)


def _ranges(variable: xr.Variable, name: str, selection: Selection) -> Hyperslab | None:
    """The indices asked of a variable, if they are ranges."""
    given = selection.parts.get(name) or (slice(None),) * variable.ndim
    indices = [
        selection.dimensions.get(str(dim), index) if index == slice(None) else index
        for dim, index in zip(variable.dims, given, strict=True)
    ]
    return (
        tuple(index for index in indices if isinstance(index, slice))
        if all(isinstance(index, slice) for index in indices)
        else None
    )


def _written(index: object) -> str:
    if not isinstance(index, slice) or index.stop is None:
        return f"[{index.start or 0}:{index.step or 1}:]" if isinstance(index, slice) else "[]"
    return f"[{index.start}:{index.step}:{index.stop - 1}]"


def services(answered: Collection[str]) -> Callable[[Question], Reply]:
    """The answer that says what can be asked of an image, of a server that answers these suffixes."""

    def answer(question: Question) -> Reply:
        address = question.address
        file = f"{question.host}/fileServer/{quote(address.entry.path)}" if isinstance(address, Address) else ""
        text = dap4.services(question.url, _HEADERS["X-DAP-Server"], answered, file)
        return Reply.of(text, SERVICES_TYPE, {**_HEADERS, "Vary": "Accept"})

    return answer


SERVICES_TYPE: Final = dap4.MEDIA_TYPES[".dsr"]
"""A client that names it gets the services at the URL without a suffix."""

ANSWERS: Mapping[str, Callable[[Question], Reply]] = MappingProxyType({".dmr": _dmr, ".dmr.xml": _dmr, ".dap": _dap})
"""By the suffix of the URL."""
