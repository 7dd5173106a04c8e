"""Downloads: the image as a file, or what a DAP2 constraint selects of it."""

from __future__ import annotations

from functools import partial
from typing import Final

from shotdap.server.encoders import Encoder
from shotdap.server.http.limits import check_attributes, check_size
from shotdap.server.http.response import HttpResponse
from shotdap.server.protocols import dap2
from shotdap.server.routes.dap2 import apply_constraint, collect_hyperslabs
from shotdap.server.routes.image_request import ImageRequest

_MEDIA_TYPE: Final = "application/x-netcdf"


def respond_download(encode: Encoder, image_request: ImageRequest) -> HttpResponse:
    """Return what the constraint selects as a file."""
    request = image_request.request
    constraint, dataset = apply_constraint(image_request)
    get_hyperslabs = partial(collect_hyperslabs, image_request, constraint, dataset)
    check_size(dataset, image_request.limits, get_hyperslabs=get_hyperslabs)
    check_attributes(dataset, image_request.limits)
    filename = f"{image_request.dataset_name}{image_request.suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    if request.only_headers:
        return HttpResponse(_MEDIA_TYPE, None, (), headers)
    whole = image_request.open_dataset()
    encoded = encode((dap2.restore_dataset(dataset, whole) if request.query else whole).compute())
    return HttpResponse(_MEDIA_TYPE, encoded.size, encoded.blocks, headers)
