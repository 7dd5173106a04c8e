"""Files to take home: the image, or what a DAP2 constraint leaves of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from shotdap.server.encoders import Encoder
from shotdap.server.encoders.netcdf import classic, netcdf4
from shotdap.server.http.limits import refuse_attributes
from shotdap.server.http.response import PreparedResponse
from shotdap.server.protocols import dap2
from shotdap.server.routes.dap2 import apply_constraint, collect_hyperslabs
from shotdap.server.routes.image_request import ImageRequest

__all__ = ["HANDLERS"]

_MEDIA_TYPE = "application/x-netcdf"


def _respond_download(encode: Encoder, question: ImageRequest) -> PreparedResponse:
    constraint, dataset = apply_constraint(question)
    question.check_limits(dataset, partial(collect_hyperslabs, question, constraint, dataset))
    refuse_attributes(dataset, question.limits)
    headers = {"Content-Disposition": f'attachment; filename="{question.dataset_name}{question.suffix}"'}
    if question.only_headers:
        return PreparedResponse(_MEDIA_TYPE, None, (), headers)
    whole = question.open_dataset()
    encoded = encode((dap2.restore_dataset(dataset, whole) if question.query else whole).compute())
    return PreparedResponse(_MEDIA_TYPE, encoded.size, encoded.blocks, headers)


HANDLERS: Mapping[str, Callable[[ImageRequest], PreparedResponse]] = MappingProxyType(
    {".nc": partial(_respond_download, classic.encode), ".nc4": partial(_respond_download, netcdf4.encode)}
)
"""By the suffix of the URL."""
