"""Descriptions and values of images, as files or pictures: the responses of ``/images/<path>``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import xarray as xr
from fastapi import HTTPException
from starlette.responses import Response

from shotdap.catalog import Catalog, Image, NotFound
from shotdap.server.api.image_document import build_image_document
from shotdap.server.api.problem_details import render_problem
from shotdap.server.api.responses import format_disposition, prepare_document, respond_compressed
from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.extraction import Extraction
from shotdap.server.http.byte_range import apply_range
from shotdap.server.http.limits import Limits, check_attributes, check_size
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response
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

PARAMETER_NAMES: Final = (*EXTRACTION_PARAMETERS, *DISPLAY_PARAMETERS, "format", "download")
"""The parameters that select values of an image, and their format."""

_BINARY_SCHEMA: Final = {"schema": {"type": "string", "format": "binary"}}
_ETAG_HEADER: Final = {"description": "What `If-None-Match` takes.", "schema": {"type": "string"}}
_JSON_MEDIA_TYPE: Final = "application/json"
_MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        each.name: each.media_type.partition(";")[0]
        for each in sorted(FORMATS.values(), key=lambda each: each.content_kind != "picture")
    }
)
"""Media type of each format; pictures first, as `image/*` means them."""

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
"""Responses of an operation that returns values, for the OpenAPI document."""


def respond_with_image(request: HttpRequest, catalog: Catalog, limits: Limits) -> Response:
    """Send the description of the image at the path of a request, or its values."""
    params = parse_image_params(request.query, PARAMETER_NAMES)
    output_format = _select_format(params, request.headers.get("accept", ""))
    image = find_image_without_groups(catalog, params.extraction.build_path(request.path))
    image_request = ImageRequest(request, catalog, image, limits)

    def prepare() -> HttpResponse:
        if output_format is not None:
            download = params.options.get("download", False)
            return prepare_file(image_request, output_format, params.extraction, params.display, download=download)
        dataset = extract_dataset(image_request, params.extraction)
        check_attributes(dataset, limits)
        return prepare_document(build_image_document(image_request, dataset))

    validator = image_request.create_validator(f"rest image {output_format.name if output_format else ''}")
    response = validator.respond(request, prepare)
    if output_format is None and response.status == HTTPStatus.OK:
        return respond_compressed(request, response)
    response = apply_range(response.with_headers({"Vary": "Accept, Accept-Encoding"}), request, render_problem)
    return respond_compressed(request, response) if response.status == HTTPStatus.OK else make_response(response)


def find_image_without_groups(catalog: Catalog, path: str) -> Image:
    """Find an image, a variant, or a stack.

    Raises:
        NotFound: there is none; or the path is that of a folder.
    """
    image = catalog.image(path)
    if image.has_groups:
        raise NotFound(
            f"{image.path!r} is a folder, not an image. /images?q= finds images, and /shots/FACILITY/SHOT has those"
            " of a shot."
        )
    return image


def _select_format(params: ImageParams, accept: str) -> Format | None:
    """Return the requested format; `None` for the description.

    Raises:
        BadSelection: there is no such format, or parameters have no effect on it.
        HTTPException: the client accepts no format that exists.
    """
    formats = ", ".join(FORMATS)
    try:
        name = params.options.get("format") or negotiate_format(accept, _MEDIA_TYPES)
    except LookupError as error:
        sentence = f"There is nothing here of the types that Accept names. The formats are: {formats}."
        raise HTTPException(406, sentence) from error
    if name is not None and name not in FORMATS:
        raise BadSelection(f"There is no format {name!r}. The formats are: {formats}.")
    output_format = None if name is None else FORMATS[name]
    if params.display_parameters and (output_format is None or output_format.content_kind != "picture"):
        pictures = ", ".join(each.name for each in FORMATS.values() if each.content_kind == "picture")
        reason = f"format={output_format.name} is none" if output_format else "without a format there is none"
        raise BadSelection(f"{', '.join(params.display_parameters)} is for pictures ({pictures}), and {reason}.")
    if output_format is None and params.options.get("download"):
        raise BadSelection(f"download is for files; say a format: {formats}.")
    return output_format


def extract_dataset(image_request: ImageRequest, extraction: Extraction) -> xr.Dataset:
    """Apply an extraction to an image, lazily.

    Raises:
        BadSelection: it does not fit; a name is neither that of a parameter nor that of a dimension.
    """
    dataset = image_request.open_dataset()
    unknown = [name for name in extraction.part if name not in dataset.dims]
    if unknown:
        dimensions = ", ".join(map(str, dataset.dims)) or "none"
        raise BadSelection(
            f"There is no parameter and no dimension {unknown[0]!r} here. The dimensions are: {dimensions}."
            f" The parameters are: {', '.join(PARAMETER_NAMES)}."
        )
    return extraction.apply(dataset)


def prepare_file(
    image_request: ImageRequest,
    output_format: Format,
    extraction: Extraction,
    display: Display,
    *,
    download: bool = False,
) -> HttpResponse:
    """Return values of an image in a format.

    Raises:
        BadSelection: the extraction does not fit the image, or the format cannot hold the result.
        TooLarge: it exceeds a limit.
        Unreadable: the file cannot be read.
    """
    names = [name.rpartition("/")[2] for name in extraction.variables] if len(extraction.variables) == 1 else []
    if output_format.content_kind in {"image", "picture"} and not extraction.variables:  # it holds one variable
        extraction = replace(extraction, variables=(find_default_image(image_request.open_dataset()),))
    dataset = extract_dataset(image_request, extraction)
    check_size(dataset, image_request.limits, output_format.max_expansion)
    media_type = output_format.media_type
    is_shown = output_format.content_kind == "picture" or media_type.startswith("text/") or media_type.endswith("json")
    file_name = "_".join((image_request.dataset_name, *names)) + output_format.extension
    headers = {
        "Content-Disposition": format_disposition("inline" if is_shown and not download else "attachment", file_name),
        "X-Content-Type-Options": "nosniff",
    }
    if image_request.request.only_headers:
        return HttpResponse(media_type, None, (), headers)
    file = output_format.encode(dataset.compute(), display)
    return HttpResponse(media_type, file.size, file.blocks, headers)
