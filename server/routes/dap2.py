"""DAP2's answers: each is one row of `HANDLERS`."""

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
from shotdap.server.http.limits import RequestedHyperslabs, refuse_attributes
from shotdap.server.http.response import PreparedResponse
from shotdap.server.protocols import dap2
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import Hyperslab

__all__ = ["HANDLERS", "apply_constraint", "collect_hyperslabs", "prepare_dap2_error"]

_SERVER_NAME: Final = f"shotdap/{__version__}"
_ASCII_EXPANSION: Final = 8  # a number takes so many times its bytes as text, while it is made


def apply_constraint(question: ImageRequest) -> tuple[dap2.Constraint, xr.Dataset]:
    """The constraint of a question, and what it leaves of the image, lazily.

    Raises:
        BadSelection: the query is no constraint, or does not fit the image.
    """
    constraint = dap2.parse_constraint(question.query)
    return constraint, constraint.narrow(question.open_dap2_dataset())


def collect_hyperslabs(question: ImageRequest, constraint: dap2.Constraint, dataset: xr.Dataset) -> RequestedHyperslabs:
    """What a question asked for, as it takes to suggest less."""
    parts = constraint.selection.hyperslabs
    chosen = parts or ({} if constraint.calls else dict.fromkeys(map(str, dataset.variables), ()))

    def build_url(hyperslabs: Mapping[str, Hyperslab]) -> str:
        less = dap2.Constraint(replace(constraint.selection, hyperslabs=hyperslabs), (), constraint.filters)
        return f"{question.url}{question.suffix}?{quote(str(less), safe='/,:=&!*')}"

    return RequestedHyperslabs(chosen, build_url)


def prepare_dap2_error(trouble: Problem) -> PreparedResponse:
    """A failure in DAP2's words."""
    return _prepare_response("error", dap2.render_error(trouble.status, trouble.message), trouble.status)


def _prepare_response(kind: str, body: str | bytes, status: int = 200) -> PreparedResponse:
    answer = dap2.RESPONSE_HEADERS[kind]
    return PreparedResponse.from_body(body, answer.media_type, _build_headers(answer.description), status)


def _build_headers(description: str) -> dict[str, str]:
    return {"XDAP": dap2.PROTOCOL_VERSION, "XDODS-Server": _SERVER_NAME, "Content-Description": description}


def _respond_dds(question: ImageRequest) -> PreparedResponse:
    return _prepare_response("dds", dap2.render_dds(apply_constraint(question)[1], question.dataset_name))


def _respond_das(question: ImageRequest) -> PreparedResponse:
    """All attributes, whatever variables the constraint names: that is how DAP2 has it. Results of functions too."""
    adapted = question.open_dap2_dataset()
    constraint = dap2.parse_constraint(question.query)
    results = constraint.narrow(adapted) if constraint.calls else xr.Dataset()
    new = {name: variable for name, variable in results.variables.items() if name not in adapted.variables}
    described = adapted.assign(new) if new else adapted
    refuse_attributes(described, question.limits)
    return _prepare_response("das", dap2.render_das(described))


def _respond_dods(question: ImageRequest) -> PreparedResponse:
    constraint, dataset = apply_constraint(question)
    dataset = question.compute_dataset(dataset, partial(collect_hyperslabs, question, constraint, dataset))
    answer = dap2.RESPONSE_HEADERS["dods"]
    return PreparedResponse(
        answer.media_type,
        dap2.compute_body_size(dataset, question.dataset_name),
        () if question.only_headers else dap2.encode_body(dataset, question.dataset_name),
        _build_headers(answer.description),
    )


def _respond_ascii(question: ImageRequest) -> PreparedResponse:
    limits = replace(question.limits, answer=question.limits.answer // _ASCII_EXPANSION)
    question = question.copy_with(limits=limits)
    constraint, dataset = apply_constraint(question)
    dataset = question.compute_dataset(dataset, partial(collect_hyperslabs, question, constraint, dataset))
    if question.only_headers:
        return PreparedResponse(
            dap2.RESPONSE_HEADERS["ascii"].media_type,
            None,
            (),
            _build_headers(dap2.RESPONSE_HEADERS["ascii"].description),
        )
    return _prepare_response("ascii", dap2.render_ascii(dataset, question.dataset_name))


def _respond_version(_question: ImageRequest) -> PreparedResponse:
    return _prepare_response(
        "ver", f"Core version: DAP/{dap2.PROTOCOL_VERSION} DAP/4.0\nServer version: {_SERVER_NAME}\n"
    )


HANDLERS: Mapping[str, Callable[[ImageRequest], PreparedResponse]] = MappingProxyType(
    {
        ".dds": _respond_dds,
        ".das": _respond_das,
        ".dods": _respond_dods,
        ".ascii": _respond_ascii,
        ".asc": _respond_ascii,
        ".ver": _respond_version,
    }
)
"""By the suffix of the URL."""
