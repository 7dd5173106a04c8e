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
    """Describe where a variable comes from, with counts of its values; without a name, all virtual variables.

    Raises:
        BadSelection: there is no such variable.
        TooLarge: one answer cannot hold its values, which are counted.
    """
    origins = image_request.image.list_origins()
    described = [origin for origin in origins.values() if origin.recipe]
    counts: dict[str, dict[str, int]] = {}
    if name:
        if name not in origins:
            raise BadSelection(f"There is no variable {name!r} here. The variables are: {', '.join(origins)}.")
        described, counts = [origins[name]], {name: {}}
        dataset = Selection({name: ()}).apply(image_request.open_dataset())
        dataset = image_request.compute_dataset(dataset, partial(RequestedHyperslabs, {}, lambda _: ""))
        variable = dataset.variables[name]
        if not image_request.request.only_headers and variable.dtype.kind in "iuf":
            counts[name] = {"values": variable.size, "negative": int(np.count_nonzero(variable.values < 0))}
            if variable.dtype.kind == "f":
                counts[name]["missing"] = int(np.count_nonzero(np.isnan(variable.values)))
    base_url = f"{image_request.request.base_url}/dap/"
    return HttpResponse.from_body(render_prov(described, image_request.image.path, base_url, counts), MEDIA_TYPE)
