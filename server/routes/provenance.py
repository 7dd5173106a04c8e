"""Where variables come from: ``<path>.prov`` for all virtual variables of an image, ``<path>.prov?name`` for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from urllib.parse import unquote

import numpy as np
import xarray as xr

from shotdap.server.http.limits import RequestedHyperslabs
from shotdap.server.http.response import PreparedResponse
from shotdap.server.protocols.prov import MEDIA_TYPE, render_prov
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import BadSelection, Origin, Selection

__all__ = ["HANDLERS"]


def _respond_provenance(question: ImageRequest) -> PreparedResponse:
    origins = question.catalog.get_origins(question.address, question.state)
    wanted = unquote(question.query)
    if wanted and wanted not in origins:
        raise BadSelection(f"There is no variable {wanted!r} here. The variables are: {', '.join(origins)}.")
    if wanted:
        counts = {wanted: _count_values(question, wanted)}
        return _render_provenance(question, [origins[wanted]], counts)
    return _render_provenance(question, [each for each in origins.values() if each.recipe], {})


def _render_provenance(
    question: ImageRequest, origins: list[Origin], counts: Mapping[str, Mapping[str, int]]
) -> PreparedResponse:
    text = render_prov(origins, question.address.path, f"{question.base_url}/dap/", counts)
    return PreparedResponse.from_body(text, MEDIA_TYPE, {})


def _count_values(question: ImageRequest, name: str) -> dict[str, int]:
    """How many of a variable's values are negative, and how many are missing.

    Raises:
        TooLarge: it is more than one answer may hold.
    """
    narrowed = Selection({name: ()}).apply(question.open_dataset())
    values = question.compute_dataset(narrowed, partial(RequestedHyperslabs, {}, _no_url)).variables[name]
    if question.only_headers or values.dtype.kind not in "iuf":
        return {}
    return _counted(values)


def _counted(variable: xr.Variable) -> dict[str, int]:
    values = variable.values
    counts = {"values": values.size, "negative": int(np.count_nonzero(values < 0))}
    if variable.dtype.kind == "f":
        counts["missing"] = int(np.count_nonzero(np.isnan(values)))
    return counts


def _no_url(_hyperslabs: object) -> str:
    return ""


HANDLERS: Mapping[str, Callable[[ImageRequest], PreparedResponse]] = MappingProxyType({".prov": _respond_provenance})
"""By the suffix of the URL."""
