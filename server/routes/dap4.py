"""Responses of DAP4."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import xarray as xr

from shotdap import __version__
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import RequestedHyperslabs, check_attributes
from shotdap.server.http.response import HttpResponse
from shotdap.server.protocols import dap4
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import Hyperslab, Selection

_HEADERS: Final = MappingProxyType({"X-DAP": "4.0", "XDAP": "4.0", "X-DAP-Server": f"shotdap/{__version__}"})
SERVICES_MEDIA_TYPE: Final = dap4.MEDIA_TYPES[".dsr"]
"""A client that accepts it gets the services at the URL without a suffix."""


def render_dap4_problem(problem: Problem) -> HttpResponse:
    """Render a problem as an error of DAP4."""
    body = dap4.render_error(problem.status, problem.message)
    return HttpResponse.from_body(body, dap4.ERROR_MEDIA_TYPE, _HEADERS, problem.status)


def respond_dmr(image_request: ImageRequest) -> HttpResponse:
    """Return the structure and the attributes of what the constraint selects."""
    selection = dap4.parse_constraint(dap4.parse_query(image_request.request.query).expression)
    dataset = selection.apply(image_request.open_dataset())
    check_attributes(dataset, image_request.limits)
    text = dap4.render_dmr(dataset, image_request.dataset_name, selection)
    return HttpResponse.from_body(text, dap4.MEDIA_TYPES[image_request.suffix], _HEADERS)


def respond_dap(image_request: ImageRequest) -> HttpResponse:
    """Return the values that the constraint selects."""
    query = dap4.parse_query(image_request.request.query)
    selection = dap4.parse_constraint(query.expression)
    dataset = selection.apply(image_request.open_dataset())
    dataset = image_request.compute_dataset(dataset, partial(_collect_hyperslabs, image_request, selection, dataset))
    if image_request.request.only_headers:
        return HttpResponse(dap4.MEDIA_TYPES[".dap"], None, (), _HEADERS)
    if selection.hyperslabs:  # a part of the image is sent without the camera's 130 attributes, which the .dmr has
        dataset = dataset.drop_attrs(deep=False)
    check_attributes(dataset, image_request.limits)
    body = dap4.encode_body(dataset, image_request.dataset_name, selection, checksum=query.checksum)
    return HttpResponse(dap4.MEDIA_TYPES[".dap"], body.size, body, _HEADERS)


def _collect_hyperslabs(image_request: ImageRequest, selection: Selection, dataset: xr.Dataset) -> RequestedHyperslabs:
    """Collect what a request selects, to suggest smaller requests."""
    whole = image_request.open_dataset()
    hyperslabs = {str(name): _resolve_ranges(whole.variables[name], str(name), selection) for name in dataset.variables}

    def build_url(hyperslabs: Mapping[str, Hyperslab]) -> str:
        variables = ";".join(f"/{name}{''.join(map(_format_index, slab))}" for name, slab in hyperslabs.items())
        return f"{image_request.url}{image_request.suffix}?dap4.ce={quote(variables, safe='/:;')}"

    return RequestedHyperslabs(hyperslabs, build_url)


def _resolve_ranges(variable: xr.Variable, name: str, selection: Selection) -> Hyperslab | None:
    """Return the selected indices of a variable if all are ranges."""
    hyperslab = selection.hyperslabs.get(name) or (slice(None),) * variable.ndim
    indices = [
        selection.dimensions.get(str(dim), index) if index == slice(None) else index
        for dim, index in zip(variable.dims, hyperslab, strict=True)
    ]
    ranges = tuple(index for index in indices if isinstance(index, slice))
    return ranges if len(ranges) == len(indices) else None


def _format_index(index: object) -> str:
    if not isinstance(index, slice) or index.stop is None:
        return f"[{index.start or 0}:{index.step or 1}:]" if isinstance(index, slice) else "[]"
    return f"[{index.start}:{index.step}:{index.stop - 1}]"


def respond_services(suffixes: Collection[str], image_request: ImageRequest) -> HttpResponse:
    """List the services for an image, of a server that has responses for these suffixes."""
    original = image_request.original_path
    file = f"{image_request.request.base_url}/fileServer/{quote(original)}" if original else ""
    text = dap4.render_services(image_request.url, _HEADERS["X-DAP-Server"], suffixes, file)
    return HttpResponse.from_body(text, SERVICES_MEDIA_TYPE, {**_HEADERS, "Vary": "Accept"})
