"""What an image is, and its values as a file or a picture: the answers of ``/images/<path>``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import xarray as xr
from fastapi import HTTPException, Request
from starlette.responses import Response

from shotdap.catalog import Catalog, ImageCollection, NotFound
from shotdap.server.api.dependencies import create_image_request, get_query_string
from shotdap.server.api.image_document import build_image_document
from shotdap.server.api.ranges import apply_range_or_problem
from shotdap.server.api.responses import format_disposition, prepare_document, respond_compressed
from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.extraction import Extraction
from shotdap.server.http.conditional import Validator, create_request_validator
from shotdap.server.http.limits import Limits, refuse_attributes, refuse_size
from shotdap.server.http.response import PreparedResponse, make_response
from shotdap.server.pictures.levels import Display, find_default_image
from shotdap.server.protocols.rest import (
    DISPLAY_PARAMETERS,
    EXTRACTION_PARAMETERS,
    ImageParams,
    negotiate_format,
    parse_image_params,
)
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import BadSelection

__all__ = [
    "PARAMETER_NAMES",
    "VALUE_RESPONSES",
    "create_image_validator",
    "extract_dataset",
    "prepare_file",
    "respond_with_image",
]

PARAMETER_NAMES: Final = (*EXTRACTION_PARAMETERS, *DISPLAY_PARAMETERS, "format", "download")
"""The parameters of an image's values."""

_BINARY_SCHEMA: Final = {"schema": {"type": "string", "format": "binary"}}
_ETAG_HEADER: Final = {"description": "What `If-None-Match` takes.", "schema": {"type": "string"}}
_JSON_MEDIA_TYPE: Final = "application/json"
_MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        each.name: each.media_type.partition(";")[0]
        for each in sorted(FORMATS.values(), key=lambda each: each.content_kind != "picture")
    }
)
"""Of the formats, pictures first: they are what `image/*` means."""

_FILE_CONTENT: Final = {
    media_type: _BINARY_SCHEMA for media_type in _MEDIA_TYPES.values() if media_type != _JSON_MEDIA_TYPE
}

VALUE_RESPONSES: Final[Mapping[int | str, dict[str, Any]]] = MappingProxyType(
    {
        200: {
            "description": "The description; or, with `format`, the values.",
            "content": _FILE_CONTENT,
            "headers": {"ETag": _ETAG_HEADER},
        },
        206: {
            "description": "The bytes of the values that `Range` asks for.",
            "content": {**_FILE_CONTENT, _JSON_MEDIA_TYPE: _BINARY_SCHEMA},
        },
    }
)
"""What an operation that gives values may answer."""


def respond_with_image(request: Request, catalog: Catalog, limits: Limits, path: str) -> Response:
    """The description of an image, or its values."""
    sought = parse_image_params(get_query_string(request), PARAMETER_NAMES)
    form = _resolve_format(sought, request.headers.get("accept", ""))
    _check_parameters(sought, form)
    kind = f"rest image {form.name if form else ''}"
    question = create_image_request(request, catalog, limits, sought.extraction.build_path(path), kind)
    current = create_image_validator(question)
    if current.is_not_modified(request.headers):
        return make_response(_add_vary(current.prepare_not_modified()))
    if form is None:
        return respond_compressed(
            request, current.add_headers(_add_vary(_prepare_description(question, sought.extraction, request)))
        )
    reply = prepare_file(
        question, form, sought.extraction, sought.display, download=sought.options.get("download", False)
    )
    whole = apply_range_or_problem(_add_vary(current.add_headers(reply)), request.headers)
    return make_response(whole) if whole.status != 200 else respond_compressed(request, whole)  # noqa: PLR2004 — OK


def create_image_validator(question: ImageRequest) -> Validator:
    """The validator of what is asked about an image.

    Raises:
        NotFound: there is none; or a folder, which is none.
    """
    address = question.address
    if isinstance(address, ImageCollection) and not address.steps:
        raise NotFound(
            f"{address.path!r} is a folder, not an image. /images?q= finds images, and /shots/FACILITY/SHOT has those"
            " of a shot."
        )
    return create_request_validator(question)


def _resolve_format(sought: ImageParams, accept: str) -> Format | None:
    """The format that is asked for; `None` for the description.

    Raises:
        BadSelection: there is no such format.
        HTTPException: there is none that the client takes.
    """
    try:
        name = sought.options.get("format") or negotiate_format(accept, _MEDIA_TYPES)
    except LookupError as error:
        sentence = f"There is nothing here of the types that Accept names. The formats are: {', '.join(FORMATS)}."
        raise HTTPException(406, sentence) from error
    if name is None:
        return None
    if name not in FORMATS:
        raise BadSelection(f"There is no format {name!r}. The formats are: {', '.join(FORMATS)}.")
    return FORMATS[name]


def _check_parameters(sought: ImageParams, form: Format | None) -> None:
    """Refuse what would be left out of account in silence."""
    pictures = ", ".join(each.name for each in FORMATS.values() if each.content_kind == "picture")
    if sought.display_parameters and (form is None or form.content_kind != "picture"):
        what = f"format={form.name} is none" if form else "without a format there is none"
        raise BadSelection(f"{', '.join(sought.display_parameters)} is for pictures ({pictures}), and {what}.")
    if form is None and sought.options.get("download"):
        raise BadSelection(f"download is for files; say a format: {', '.join(FORMATS)}.")


def _add_vary(reply: PreparedResponse) -> PreparedResponse:
    """A reply whose address has other ones for those who accept other types."""
    return replace(reply, headers={**reply.headers, "Vary": "Accept, Accept-Encoding"})


def _prepare_description(question: ImageRequest, wanted: Extraction, request: Request) -> PreparedResponse:
    dataset = extract_dataset(question, wanted)
    refuse_attributes(dataset, question.limits)
    return prepare_document(build_image_document(question, dataset, request.path_params["path"]))


def extract_dataset(question: ImageRequest, wanted: Extraction) -> xr.Dataset:
    """What is wanted of an image, lazily.

    Raises:
        BadSelection: it does not fit; what is called like nothing that there is, is neither parameter nor dimension.
    """
    dataset = question.open_dataset()
    unknown = [name for name in wanted.part if name not in dataset.dims]
    if unknown:
        dimensions = ", ".join(map(str, dataset.dims)) or "none"
        raise BadSelection(
            f"There is no parameter and no dimension {unknown[0]!r} here. The dimensions are: {dimensions}."
            f" The parameters are: {', '.join(PARAMETER_NAMES)}."
        )
    return wanted.apply(dataset)


def prepare_file(
    question: ImageRequest, form: Format, wanted: Extraction, display: Display, *, download: bool = False
) -> PreparedResponse:
    """The values of an image in a format.

    Raises:
        BadSelection: what is wanted does not fit the image, or the format cannot hold it.
        TooLarge: it is more than one answer may hold.
        Unreadable: the file cannot be read.
    """
    part = extract_dataset(question, _select_one_variable(form, wanted, question))
    refuse_size(part, question.limits, form.max_expansion)
    headers = {
        "Content-Disposition": _build_disposition(question, form, wanted, download=download),
        "X-Content-Type-Options": "nosniff",
    }
    if question.only_headers:
        return PreparedResponse(form.media_type, None, (), headers)
    file = form.encode(part.compute(), display)
    return PreparedResponse(form.media_type, file.size, file.blocks, headers)


def _select_one_variable(form: Format, wanted: Extraction, question: ImageRequest) -> Extraction:
    """What is wanted, as one variable where the format holds one and nobody says which."""
    if form.content_kind in {"image", "picture"} and not wanted.variables:
        return replace(wanted, variables=(find_default_image(question.open_dataset()),))
    return wanted


def _build_disposition(question: ImageRequest, form: Format, wanted: Extraction, *, download: bool) -> str:
    """What browsers do with a file, and what they call it (RFC 6266)."""
    is_seen = form.content_kind == "picture" or form.media_type.startswith("text/") or form.media_type.endswith("json")
    kind = "inline" if is_seen and not download else "attachment"
    of_one = [name.rpartition("/")[2] for name in wanted.variables] if len(wanted.variables) == 1 else []
    name = "_".join((question.dataset_name, *of_one)) + form.extension
    return format_disposition(kind, name)
