"""Provenance: ``<path>.prov`` of all virtual variables of an image, ``<path>.prov?name`` of one variable."""

from __future__ import annotations

from functools import partial

import numpy as np

from shotdap.server.http.limits import RequestedHyperslabs
from shotdap.server.http.response import HttpResponse
from shotdap.server.protocols.prov import MEDIA_TYPE, render_prov
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import BadSelection, Selection


def respond_provenance(image_request: ImageRequest, name: str) -> HttpResponse:
    """Describe where a variable comes from; without a name, all virtual variables.

    Raises:
        BadSelection: there is no such variable.
        TooLarge: one answer cannot hold its values, which are counted.
    """
    origins = image_request.image.list_origins()
    if name and name not in origins:
        raise BadSelection(f"There is no variable {name!r} here. The variables are: {', '.join(origins)}.")
    if name:
        described, counts = [origins[name]], {name: _count_values(image_request, name)}
    else:
        described, counts = [origin for origin in origins.values() if origin.recipe], {}
    base_url = f"{image_request.request.base_url}/dap/"
    return HttpResponse.from_body(render_prov(described, image_request.image.path, base_url, counts), MEDIA_TYPE)


def _count_values(image_request: ImageRequest, name: str) -> dict[str, int]:
    """Count the negative and the missing values of a variable of numbers."""
    dataset = Selection({name: ()}).apply(image_request.open_dataset())
    variable = image_request.compute_dataset(dataset, partial(RequestedHyperslabs, {}, lambda _: "")).variables[name]
    if image_request.request.only_headers or variable.dtype.kind not in "iuf":
        return {}
    counts = {"values": variable.size, "negative": int(np.count_nonzero(variable.values < 0))}
    if variable.dtype.kind == "f":
        counts["missing"] = int(np.count_nonzero(np.isnan(variable.values)))
    return counts
