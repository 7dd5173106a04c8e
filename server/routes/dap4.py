"""DAP4's answers: each is one row of `HANDLERS`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import xarray as xr

from shotdap import __version__
from shotdap.catalog import ImageAddress
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import RequestedHyperslabs, refuse_attributes
from shotdap.server.http.response import PreparedResponse
from shotdap.server.protocols import dap4
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import Hyperslab, Selection

__all__ = ["HANDLERS", "SERVICES_MEDIA_TYPE", "create_services_handler", "prepare_dap4_error"]

_HEADERS: Final = MappingProxyType({"X-DAP": "4.0", "XDAP": "4.0", "X-DAP-Server": f"shotdap/{__version__}"})


def prepare_dap4_error(trouble: Problem) -> PreparedResponse:
    """A failure in DAP4's words."""
    body = dap4.render_error(trouble.status, trouble.message)
    return PreparedResponse.from_body(body, dap4.ERROR_MEDIA_TYPE, _HEADERS, trouble.status)


def _apply_constraint(question: ImageRequest) -> tuple[xr.Dataset, Selection, dap4.ParsedQuery]:
    request = dap4.parse_query(question.query)
    selection = dap4.parse_constraint(request.expression)
    return selection.apply(question.open_dataset()), selection, request


def _respond_dmr(question: ImageRequest) -> PreparedResponse:
    dataset, selection, _ = _apply_constraint(question)
    refuse_attributes(dataset, question.limits)
    text = dap4.render_dmr(dataset, question.dataset_name, selection)
    return PreparedResponse.from_body(text, dap4.MEDIA_TYPES[question.suffix], _HEADERS)


def _respond_dap(question: ImageRequest) -> PreparedResponse:
    dataset, selection, request = _apply_constraint(question)
    dataset = question.compute_dataset(dataset, partial(_collect_hyperslabs, question, selection, dataset))
    if question.only_headers:
        return PreparedResponse(dap4.MEDIA_TYPES[".dap"], None, (), _HEADERS)
    if selection.hyperslabs:  # a part of the image travels without the camera's 130 attributes, which the .dmr has
        dataset = dataset.drop_attrs(deep=False)
    refuse_attributes(dataset, question.limits)
    body = dap4.encode_body(dataset, question.dataset_name, selection, checksum=request.checksum)
    return PreparedResponse(dap4.MEDIA_TYPES[".dap"], body.size, body, _HEADERS)


def _collect_hyperslabs(question: ImageRequest, selection: Selection, dataset: xr.Dataset) -> RequestedHyperslabs:
    """What a question asked for, as it takes to suggest less."""
    whole = question.open_dataset()
    hyperslabs = {str(name): _resolve_ranges(whole.variables[name], str(name), selection) for name in dataset.variables}

    def build_url(hyperslabs: Mapping[str, Hyperslab]) -> str:
        variables = ";".join(f"/{name}{''.join(map(_format_index, slab))}" for name, slab in hyperslabs.items())
        return f"{question.url}{question.suffix}?dap4.ce={quote(variables, safe='/:;')}"

    return RequestedHyperslabs(hyperslabs, build_url)


def _resolve_ranges(variable: xr.Variable, name: str, selection: Selection) -> Hyperslab | None:
    """The indices asked of a variable, if they are ranges."""
    given = selection.hyperslabs.get(name) or (slice(None),) * variable.ndim
    indices = [
        selection.dimensions.get(str(dim), index) if index == slice(None) else index
        for dim, index in zip(variable.dims, given, strict=True)
    ]
    return (
        tuple(index for index in indices if isinstance(index, slice))
        if all(isinstance(index, slice) for index in indices)
        else None
    )


def _format_index(index: object) -> str:
    if not isinstance(index, slice) or index.stop is None:
        return f"[{index.start or 0}:{index.step or 1}:]" if isinstance(index, slice) else "[]"
    return f"[{index.start}:{index.step}:{index.stop - 1}]"


def create_services_handler(answered: Collection[str]) -> Callable[[ImageRequest], PreparedResponse]:
    """The answer that says what can be asked of an image, of a server that answers these suffixes."""

    def respond_services(question: ImageRequest) -> PreparedResponse:
        address = question.address
        file = (
            f"{question.base_url}/fileServer/{quote(address.entry.path)}" if isinstance(address, ImageAddress) else ""
        )
        text = dap4.render_services(question.url, _HEADERS["X-DAP-Server"], answered, file)
        return PreparedResponse.from_body(text, SERVICES_MEDIA_TYPE, {**_HEADERS, "Vary": "Accept"})

    return respond_services


SERVICES_MEDIA_TYPE: Final = dap4.MEDIA_TYPES[".dsr"]
"""A client that names it gets the services at the URL without a suffix."""

HANDLERS: Mapping[str, Callable[[ImageRequest], PreparedResponse]] = MappingProxyType(
    {".dmr": _respond_dmr, ".dmr.xml": _respond_dmr, ".dap": _respond_dap}
)
"""By the suffix of the URL."""
