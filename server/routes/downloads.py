"""Files to take home: the image, or what a DAP2 constraint leaves of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from shotdap.server.encoders import Encode
from shotdap.server.encoders.netcdf import classic, netcdf4
from shotdap.server.http.limits import refuse_attributes
from shotdap.server.http.response import Reply
from shotdap.server.protocols import dap2
from shotdap.server.routes.dap2 import asked, narrowed
from shotdap.server.routes.image_request import Question

__all__ = ["ANSWERS"]

_MEDIA_TYPE = "application/x-netcdf"


def _download(encode: Encode, question: Question) -> Reply:
    constraint, dataset = narrowed(question)
    question.check(dataset, partial(asked, question, constraint, dataset))
    refuse_attributes(dataset, question.limits)
    headers = {"Content-Disposition": f'attachment; filename="{question.name}{question.suffix}"'}
    if question.only_headers:
        return Reply(_MEDIA_TYPE, None, (), headers)
    whole = question.open()
    encoded = encode((dap2.restored(dataset, whole) if question.query else whole).compute())
    return Reply(_MEDIA_TYPE, encoded.size, encoded.blocks, headers)


ANSWERS: Mapping[str, Callable[[Question], Reply]] = MappingProxyType(
    {".nc": partial(_download, classic.encode), ".nc4": partial(_download, netcdf4.encode)}
)
"""By the suffix of the URL."""
