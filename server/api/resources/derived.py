"""What is derived of an image: attributes, statistics, thumbnails, provenance. Each is a resource of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import cachebox
import xarray as xr
from fastapi import APIRouter, Request
from starlette.responses import Response

from shotdap.catalog import Catalog
from shotdap.server.api.dependencies import ImagePath, build_openapi_parameters, create_image_request, get_query_string
from shotdap.server.api.image_document import build_attributes_document as said
from shotdap.server.api.image_document import build_dimensions
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.resources.image_values import create_image_validator, extract_dataset, prepare_file
from shotdap.server.api.responses import prepare_document, respond_compressed
from shotdap.server.api.schemas import Attributes, Histogram, Percentile, Statistics
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.extraction import Extraction
from shotdap.server.http.limits import Limits, refuse_attributes, refuse_computation
from shotdap.server.http.response import PreparedResponse, make_response
from shotdap.server.pictures.levels import find_default_image
from shotdap.server.protocols.prov import MEDIA_TYPE as PROV
from shotdap.server.protocols.rest import DISPLAY_PARAMETERS, EXTRACTION_PARAMETERS, ImageParams, parse_image_params
from shotdap.server.routes import provenance
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import BadSelection
from shotdap.transforms.statistics.summary import WORKING_BYTES_PER_VALUE, Summary, compute_summary

__all__ = ["create_derived_router"]

_MAX_CACHED_SUMMARIES: Final = 1024  # summaries; some 5 kB each
_COLOUR_DIMENSION: Final = "band"  # the dimension of colours, as readers call it
_DEFAULT_BINS: Final = 64
_THUMBNAIL_SIZE: Final = 256  # pixels of the longer side
_MAX_THUMBNAIL_SIZE: Final = 1024

_ATTRIBUTE_PARAMETERS: Final = ("variable", "transform", "raw")
_STATISTICS_PARAMETERS: Final = (*EXTRACTION_PARAMETERS, "bins")
_THUMBNAIL_PARAMETERS: Final = (
    *EXTRACTION_PARAMETERS,
    *(name for name in DISPLAY_PARAMETERS if name not in {"bits", "quality"}),
)
_PNG_RESPONSE: Final = {
    "description": "A PNG.",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
}
_PROVENANCE_RESPONSE: Final = {"description": "PROV-JSON.", "content": {PROV: {"schema": {"type": "object"}}}}


def create_derived_router(catalog: Catalog, limits: Limits) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["images"])
    remembered: cachebox.LRUCache[str, Summary] = cachebox.LRUCache(_MAX_CACHED_SUMMARIES)

    @routes.get(
        "/attributes/{path:path}",
        response_model=Attributes,
        operation_id="attributes",
        summary="The attributes of an image",
        responses=describe_other_responses(404),
        openapi_extra=build_openapi_parameters(*_ATTRIBUTE_PARAMETERS, dimensions=False),
    )
    def get_attributes(request: Request, path: ImagePath) -> Response:
        """The attributes of an image and of its variables, as strict JSON."""
        sought = _parse_query(request, _ATTRIBUTE_PARAMETERS)
        question = create_image_request(request, catalog, limits, sought.extraction.build_path(path), "rest attributes")
        return _answer_or_not_modified(request, question, lambda _: _prepare_attributes(question, sought))

    @routes.get(
        "/statistics/{path:path}",
        response_model=Statistics,
        operation_id="statistics",
        summary="Statistics of a variable",
        responses=describe_other_responses(404, 413),
        openapi_extra=build_openapi_parameters(*_STATISTICS_PARAMETERS),
    )
    def get_statistics(request: Request, path: ImagePath) -> Response:
        """Extremes, moments, percentiles, counts and the histogram of a variable, or of a part of it.

        Without `variable`, of the one that is shown of the image. They are computed once, and remembered.
        """
        sought = parse_image_params(get_query_string(request), _STATISTICS_PARAMETERS)
        question = create_image_request(request, catalog, limits, sought.extraction.build_path(path), "rest statistics")
        return _answer_or_not_modified(
            request, question, lambda tag: _prepare_statistics(question, sought, remembered, tag)
        )

    @routes.get(
        "/thumbnails/{path:path}",
        response_class=Response,
        operation_id="thumbnail",
        summary="A small picture of an image",
        responses={200: _PNG_RESPONSE, **describe_other_responses(404, 413)},
        openapi_extra=build_openapi_parameters(*_THUMBNAIL_PARAMETERS),
    )
    def get_thumbnail(request: Request, path: ImagePath) -> Response:
        """A small picture, 256 pixels on its longer side unless `size` says otherwise (up to 1,024)."""
        sought = parse_image_params(get_query_string(request), _THUMBNAIL_PARAMETERS)
        question = create_image_request(request, catalog, limits, sought.extraction.build_path(path), "rest thumbnail")
        return _answer_or_not_modified(request, question, lambda _: _prepare_thumbnail(question, sought))

    @routes.get(
        "/provenance/{path:path}",
        response_class=Response,
        operation_id="provenance",
        summary="How variables came to be",
        responses={200: _PROVENANCE_RESPONSE, **describe_other_responses(404, 413)},
        openapi_extra=build_openapi_parameters(*_ATTRIBUTE_PARAMETERS, dimensions=False),
    )
    def get_provenance(request: Request, path: ImagePath) -> Response:
        """How the virtual variables of an image, or one variable, came to be: files, hashes, transforms (W3C PROV)."""
        sought = _parse_query(request, _ATTRIBUTE_PARAMETERS)
        question = create_image_request(request, catalog, limits, sought.extraction.build_path(path), "rest provenance")
        return _answer_or_not_modified(request, question, lambda _: _prepare_provenance(question, sought))

    return routes


def _parse_query(request: Request, names: tuple[str, ...]) -> ImageParams:
    """What a query string asks for where no part of an image can be meant.

    Raises:
        BadSelection: it names what is no parameter here.
    """
    sought = parse_image_params(get_query_string(request), names)
    if sought.extraction.part:
        raise BadSelection(
            f"{next(iter(sought.extraction.part))!r} is no parameter here; these are: {', '.join(names)}."
        )
    return sought


def _answer_or_not_modified(
    request: Request, question: ImageRequest, made: Callable[[str], PreparedResponse]
) -> Response:
    """The answer to a question about an image; or the news that the client has it, before anything is read."""
    current = create_image_validator(question)
    if current.is_not_modified(request.headers):
        return make_response(current.prepare_not_modified())
    return respond_compressed(request, current.add_headers(made(current.tag)))


def _prepare_attributes(question: ImageRequest, sought: ImageParams) -> PreparedResponse:
    dataset = extract_dataset(question, sought.extraction)
    refuse_attributes(dataset, question.limits)
    return prepare_document(said(question.address.path, dataset))


def _prepare_statistics(
    question: ImageRequest, sought: ImageParams, remembered: cachebox.LRUCache[str, Summary], tag: str
) -> PreparedResponse:
    wanted = sought.extraction
    if len(wanted.variables) > 1:
        raise BadSelection("Statistics are of one variable; name one.")
    if not wanted.variables:
        wanted = replace(wanted, variables=(find_default_image(question.open_dataset()),))
    dataset = extract_dataset(question, wanted)
    (name,) = wanted.resolve_variables(dataset)
    if name not in dataset.variables:
        raise BadSelection(f"{name} is a group; statistics are of one variable.")
    variable = dataset.variables[name]
    found = remembered.get(tag)
    if found is None:
        computed = xr.Dataset({"values": variable.to_base_variable()})
        refuse_computation(computed, question.limits, WORKING_BYTES_PER_VALUE * variable.size)
        if question.only_headers:
            return PreparedResponse("application/json", None, ())
        found = compute_summary(variable, sought.options.get("bins", _DEFAULT_BINS))
        remembered[tag] = found
    return prepare_document(_build_statistics(question, variable, name, found))


def _build_statistics(question: ImageRequest, variable: xr.Variable, name: str, found: Summary) -> Statistics:
    units = variable.attrs.get("units")
    return Statistics(
        path=question.address.path,
        variable=name,
        dimensions=build_dimensions(variable.sizes),
        units=None if units is None else str(units),
        count=found.count,
        missing=found.missing,
        infinite=found.infinite,
        negative=found.negative,
        saturated=found.saturated,
        minimum=found.minimum,
        maximum=found.maximum,
        mean=found.mean,
        standard_deviation=found.standard_deviation,
        percentiles=[Percentile(level, value) for level, value in found.percentiles.items()],
        histogram=Histogram(*found.edges, list(found.histogram)) if found.histogram else None,
    )


def _prepare_thumbnail(question: ImageRequest, sought: ImageParams) -> PreparedResponse:
    size = sought.display.size or _THUMBNAIL_SIZE
    if size > _MAX_THUMBNAIL_SIZE:
        raise BadSelection(f"size={size}: a thumbnail has {_MAX_THUMBNAIL_SIZE} pixels at most; /images has pictures.")
    wanted = _select_first_frame(question, sought.extraction)
    return prepare_file(question, FORMATS["png"], wanted, replace(sought.display, size=size))


def _select_first_frame(question: ImageRequest, wanted: Extraction) -> Extraction:
    """What is wanted, of the first frame where there are several and nobody says which."""
    one = wanted if wanted.variables else replace(wanted, variables=(find_default_image(question.open_dataset()),))
    dataset = extract_dataset(question, one)
    (name, *others) = one.resolve_variables(dataset)
    if others or name not in dataset.variables:
        return one  # which no picture can show, and its encoder says so
    dims = [str(dim) for dim in dataset.variables[name].dims]
    frames = dims[:-3] if dims[-1:] == [_COLOUR_DIMENSION] else dims[:-2]
    return replace(one, part={**dict.fromkeys(frames, 0), **one.part})


def _prepare_provenance(question: ImageRequest, sought: ImageParams) -> PreparedResponse:
    wanted = sought.extraction
    if len(wanted.variables) > 1:
        raise BadSelection("Provenance is told of all virtual variables, or of one; name one.")
    named = wanted.resolve_variables(question.open_dataset()) if wanted.variables else ()
    query = "".join(map(quote, named))
    return provenance.HANDLERS[".prov"](question.copy_with(query=query))
