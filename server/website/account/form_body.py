"""The fields of a form that a browser has posted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from shotdap.transforms import BadSelection

_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """Read the fields of a form; of a repeated one the last value. The server bounds the body.

    Raises:
        BadSelection: the body is no form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise BadSelection(f"This takes a form, {_MEDIA_TYPE}.")
    return dict(parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True, errors="replace"))
