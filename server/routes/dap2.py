"""Responses of DAP2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import quote

import xarray as xr

from shotdap import __version__
from shotdap.catalog import require_process
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import RequestedHyperslabs, check_attributes
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.protocols import dap2
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import Hyperslab

_SERVER_NAME: Final = f"shotdap/{__version__}"
_ASCII_EXPANSION: Final = 8  # bytes of text for one byte of a number, while the text is built


def apply_constraint(image_request: ImageRequest) -> tuple[dap2.Constraint, xr.Dataset]:
    """Parse the constraint of a request, and apply it to the image, lazily.

    Raises:
        BadSelection: the query is no constraint, or does not fit the image.
    """
    constraint = dap2.parse_constraint(image_request.request.query)
    if constraint.calls or constraint.filters:  # they read values before anything is known of their size
        require_process()
    return constraint, constraint.narrow(image_request.open_dap2_dataset())


def collect_hyperslabs(
    image_request: ImageRequest, constraint: dap2.Constraint, dataset: xr.Dataset
) -> RequestedHyperslabs:
    """Collect what a request selects, to suggest smaller requests."""
    projected = constraint.selection.hyperslabs
    selected = projected or ({} if constraint.calls else dict.fromkeys(map(str, dataset.variables), ()))

    def build_url(hyperslabs: Mapping[str, Hyperslab]) -> str:
        smaller = dap2.Constraint(replace(constraint.selection, hyperslabs=hyperslabs), (), constraint.filters)
        return f"{image_request.url}{image_request.suffix}?{quote(str(smaller), safe='/,:=&!*')}"

    return RequestedHyperslabs(selected, build_url)


def render_dap2_problem(problem: Problem) -> HttpResponse:
    """Render a problem as an error of DAP2."""
    return _prepare_response("error", dap2.render_error(problem.status, problem.message), problem.status)


def _prepare_response(kind: str, body: str | bytes, status: int = 200) -> HttpResponse:
    return HttpResponse.from_body(body, dap2.RESPONSE_HEADERS[kind].media_type, _build_headers(kind), status)


def _build_headers(kind: str) -> dict[str, str]:
    description = dap2.RESPONSE_HEADERS[kind].description
    return {"XDAP": dap2.PROTOCOL_VERSION, "XDODS-Server": _SERVER_NAME, "Content-Description": description}


def respond_dds(image_request: ImageRequest) -> HttpResponse:
    """Return the structure of what the constraint selects."""
    _, dataset = apply_constraint(image_request)
    return _prepare_response("dds", dap2.render_dds(dataset, image_request.dataset_name))


def respond_das(image_request: ImageRequest) -> HttpResponse:
    """Return all attributes, whatever variables the constraint selects, as DAP2 requires; results of functions too."""
    adapted = image_request.open_dap2_dataset()
    constraint = dap2.parse_constraint(image_request.request.query)
    if constraint.calls:
        require_process()
    results = constraint.narrow(adapted) if constraint.calls else xr.Dataset()
    new = {name: variable for name, variable in results.variables.items() if name not in adapted.variables}
    described = adapted.assign(new) if new else adapted
    check_attributes(described, image_request.limits)
    return _prepare_response("das", dap2.render_das(described))


def respond_dods(image_request: ImageRequest) -> HttpResponse:
    """Return the values that the constraint selects."""
    constraint, dataset = apply_constraint(image_request)
    dataset = image_request.compute_dataset(dataset, partial(collect_hyperslabs, image_request, constraint, dataset))
    name = image_request.dataset_name
    return HttpResponse(
        dap2.RESPONSE_HEADERS["dods"].media_type,
        dap2.compute_body_size(dataset, name),
        () if image_request.request.only_headers else dap2.encode_body(dataset, name),
        _build_headers("dods"),
    )


def respond_ascii(image_request: ImageRequest) -> HttpResponse:
    """Return the values that the constraint selects as text."""
    limits = replace(image_request.limits, answer=image_request.limits.answer // _ASCII_EXPANSION)
    image_request = replace(image_request, limits=limits)
    constraint, dataset = apply_constraint(image_request)
    dataset = image_request.compute_dataset(dataset, partial(collect_hyperslabs, image_request, constraint, dataset))
    if image_request.request.only_headers:
        return HttpResponse(dap2.RESPONSE_HEADERS["ascii"].media_type, None, (), _build_headers("ascii"))
    return _prepare_response("ascii", dap2.render_ascii(dataset, image_request.dataset_name))


def respond_version(_request: HttpRequest) -> HttpResponse:
    """Return the versions of the protocols and of the server."""
    versions = f"Core version: DAP/{dap2.PROTOCOL_VERSION} DAP/4.0\nServer version: {_SERVER_NAME}\n"
    return _prepare_response("ver", versions)
