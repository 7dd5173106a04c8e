"""What is derived of an image: attributes, statistics, thumbnails, provenance. Each is a separate resource."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

import cachebox
import xarray as xr
from fastapi import APIRouter
from starlette.responses import Response

from shotdap.catalog import Changed, NotFound, Undecided, Unreadable
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import ApiRequest, ImagePath, build_openapi_parameters
from shotdap.server.api.image_document import build_attributes_document, build_dimensions
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.resources.image_values import extract_dataset, find_image_without_groups, prepare_file
from shotdap.server.api.responses import prepare_document, respond_compressed
from shotdap.server.api.schemas import Attributes, Histogram, Percentile, Statistics
from shotdap.server.api.thumbnails import compute_thumbnail_fingerprint, is_unchanged
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.http.limits import Limits, check_attributes, check_computation
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pictures.default_display import choose_thumbnail_display, find_shown_variable
from shotdap.server.pictures.levels import Display, find_default_image
from shotdap.server.protocols.prov import MEDIA_TYPE as PROV
from shotdap.server.protocols.rest import DISPLAY_PARAMETERS, EXTRACTION_PARAMETERS, ImageParams, parse_image_params
from shotdap.server.routes.image_request import ImageRequest
from shotdap.server.routes.prov_document import respond_provenance
from shotdap.transforms import BadSelection
from shotdap.transforms.statistics.summary import WORKING_BYTES_PER_VALUE, Summary, compute_summary

_MAX_CACHED_SUMMARIES: Final = 1024  # about 5 kB each
_COLOUR_DIMENSION: Final = "band"  # name that readers give to the dimension of colours
_DEFAULT_BINS: Final = 64
_THUMBNAIL_SIZE: Final = 256  # pixels of the longer side
_MAX_THUMBNAIL_SIZE: Final = 1024
_THUMBNAIL_FORMATS: Final = ("png", "webp")
_QUALITY: Final = 75  # of a WebP: 2 to 5 kB for 256 pixels
_IMMUTABLE: Final = {"Cache-Control": "max-age=31536000, immutable"}  # seconds: a year

_ATTRIBUTE_PARAMETERS: Final = ("variable", "transform", "raw")
_STATISTICS_PARAMETERS: Final = (*EXTRACTION_PARAMETERS, "bins")
_THUMBNAIL_PARAMETERS: Final = (
    *EXTRACTION_PARAMETERS,
    "format",
    "fingerprint",
    *(name for name in DISPLAY_PARAMETERS if name != "bits"),
)
_PICTURE_RESPONSE: Final = {
    "description": "A picture.",
    "content": {
        media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in ("image/png", "image/webp")
    },
}
_PROVENANCE_RESPONSE: Final = {"description": "PROV-JSON.", "content": {PROV: {"schema": {"type": "object"}}}}

_Prepare: TypeAlias = Callable[[ImageRequest, ImageParams, str], HttpResponse]
"""Prepares a response; the last argument is its entity tag."""


def create_derived_router(catalogs: RequestCatalogs, limits: Limits) -> APIRouter:
    """Create the routes."""
    routes = APIRouter(tags=["images"])
    summaries: cachebox.LRUCache[str, Summary] = cachebox.LRUCache(_MAX_CACHED_SUMMARIES)

    def respond(request: HttpRequest, path: str, params: ImageParams, prepare: _Prepare, kind: str) -> Response:
        catalog = catalogs.open(request)
        image = find_image_without_groups(catalog, params.extraction.build_path(path))
        image_request = ImageRequest(request, catalog, image, limits)
        validator = image_request.create_validator(kind)
        return respond_compressed(
            request, validator.respond(request, lambda: prepare(image_request, params, validator.tag))
        )

    @routes.get(
        "/attributes/{path:path}",
        response_model=Attributes,
        operation_id="attributes",
        summary="The attributes of an image",
        responses=describe_other_responses(404),
        openapi_extra=build_openapi_parameters(*_ATTRIBUTE_PARAMETERS, dimensions=False),
    )
    def get_attributes(request: ApiRequest, path: ImagePath) -> Response:
        """Return the attributes of an image and of its variables, as strict JSON."""

        def prepare(image_request: ImageRequest, params: ImageParams, _tag: str) -> HttpResponse:
            dataset = extract_dataset(image_request, params.extraction)
            check_attributes(dataset, limits)
            return prepare_document(build_attributes_document(image_request.image.path, dataset))

        return respond(request, path, _parse_params(request, _ATTRIBUTE_PARAMETERS), prepare, "rest attributes")

    @routes.get(
        "/statistics/{path:path}",
        response_model=Statistics,
        operation_id="statistics",
        summary="Statistics of a variable",
        responses=describe_other_responses(404, 413),
        openapi_extra=build_openapi_parameters(*_STATISTICS_PARAMETERS),
    )
    def get_statistics(request: ApiRequest, path: ImagePath) -> Response:
        """Compute extremes, moments, percentiles, counts and the histogram of a variable, or of a part of it.

        Without `variable`, of the variable that pictures of the image show. Results are cached.
        """
        params = parse_image_params(request.query, _STATISTICS_PARAMETERS)
        return respond(request, path, params, partial(_prepare_statistics, summaries), "rest statistics")

    @routes.get(
        "/thumbnails/{path:path}",
        response_class=Response,
        operation_id="thumbnail",
        summary="A small picture of an image",
        responses={200: _PICTURE_RESPONSE, **describe_other_responses(404, 413)},
        openapi_extra=build_openapi_parameters(*_THUMBNAIL_PARAMETERS),
    )
    def get_thumbnail(request: ApiRequest, path: ImagePath) -> Response:
        """Draw a small picture, 256 pixels on its longer side unless `size` says otherwise (up to 1,024).

        It is as pages show it: in the colours of `inferno`, from the top of the noise, unless parameters say otherwise;
        curves are drawn as curves in `webp`. With the `fingerprint` of a page, browsers may keep it for good.
        """
        params = parse_image_params(request.query, _THUMBNAIL_PARAMETERS)
        with _refuse_unreadable():
            return respond(request, path, params, _prepare_thumbnail, "rest thumbnail")

    @routes.get(
        "/provenance/{path:path}",
        response_class=Response,
        operation_id="provenance",
        summary="How variables came to be",
        responses={200: _PROVENANCE_RESPONSE, **describe_other_responses(404, 413)},
        openapi_extra=build_openapi_parameters(*_ATTRIBUTE_PARAMETERS, dimensions=False),
    )
    def get_provenance(request: ApiRequest, path: ImagePath) -> Response:
        """Describe the provenance of virtual variables, or of one variable: files, hashes, transforms (W3C PROV)."""

        def prepare(image_request: ImageRequest, params: ImageParams, _tag: str) -> HttpResponse:
            extraction = params.extraction
            if len(extraction.variables) > 1:
                raise BadSelection("Provenance is told of all virtual variables, or of one; name one.")
            names = extraction.resolve_variables(image_request.open_dataset()) if extraction.variables else ()
            return respond_provenance(image_request, "".join(names))

        return respond(request, path, _parse_params(request, _ATTRIBUTE_PARAMETERS), prepare, "rest provenance")

    return routes


def _parse_params(request: HttpRequest, names: tuple[str, ...]) -> ImageParams:
    """Parse a query string that cannot select a part of an image.

    Raises:
        BadSelection: it names a parameter that does not exist here.
    """
    params = parse_image_params(request.query, names)
    if params.extraction.part:
        name = next(iter(params.extraction.part))
        raise BadSelection(f"{name!r} is no parameter here; these are: {', '.join(names)}.")
    return params


def _prepare_statistics(
    summaries: cachebox.LRUCache[str, Summary], image_request: ImageRequest, params: ImageParams, tag: str
) -> HttpResponse:
    extraction = params.extraction
    if len(extraction.variables) > 1:
        raise BadSelection("Statistics are of one variable; name one.")
    if not extraction.variables:
        extraction = replace(extraction, variables=(find_default_image(image_request.open_dataset()),))
    dataset = extract_dataset(image_request, extraction)
    (name,) = extraction.resolve_variables(dataset)
    if name not in dataset.variables:
        raise BadSelection(f"{name} is a group; statistics are of one variable.")
    variable = dataset.variables[name]
    summary = summaries.get(tag)
    if summary is None:
        computed = xr.Dataset({"values": variable.to_base_variable()})
        check_computation(computed, image_request.limits, WORKING_BYTES_PER_VALUE * variable.size)
        if image_request.request.only_headers:
            return HttpResponse("application/json", None, ())
        summary = compute_summary(variable, params.options.get("bins", _DEFAULT_BINS))
        summaries[tag] = summary
    units = variable.attrs.get("units")
    return prepare_document(
        Statistics(
            path=image_request.image.path,
            variable=name,
            dimensions=build_dimensions(variable.sizes),
            units=None if units is None else str(units),
            count=summary.count,
            missing=summary.missing,
            infinite=summary.infinite,
            negative=summary.negative,
            saturated=summary.saturated,
            minimum=summary.minimum,
            maximum=summary.maximum,
            mean=summary.mean,
            standard_deviation=summary.standard_deviation,
            percentiles=[Percentile(level, value) for level, value in summary.percentiles.items()],
            histogram=Histogram(*summary.edges, list(summary.histogram)) if summary.histogram else None,
        )
    )


@contextmanager
def _refuse_unreadable() -> Iterator[None]:
    """Turn what cannot be read into what does not exist: pages show the reason in the place of its picture."""
    try:
        yield
    except (Changed, Undecided):
        raise
    except Unreadable as error:
        raise NotFound(f"There is no picture of this image. {error}") from error


def _prepare_thumbnail(image_request: ImageRequest, params: ImageParams, _tag: str) -> HttpResponse:
    output_format = FORMATS.get(params.options.get("format", "png"))
    if output_format is None or output_format.name not in _THUMBNAIL_FORMATS:
        raise BadSelection(f"A thumbnail is {' or '.join(_THUMBNAIL_FORMATS)}; /images has the other formats.")
    size = params.display.size or _THUMBNAIL_SIZE
    if size > _MAX_THUMBNAIL_SIZE:
        raise BadSelection(f"size={size}: a thumbnail has {_MAX_THUMBNAIL_SIZE} pixels at most; /images has pictures.")
    extraction = params.extraction
    if not extraction.variables:
        extraction = replace(extraction, variables=(find_shown_variable(image_request.open_dataset()),))
    dataset = extract_dataset(image_request, extraction)
    (name, *others) = extraction.resolve_variables(dataset)
    display = params.display
    if not others and name in dataset.variables:  # the encoder of pictures refuses what no picture can show
        variable = dataset.variables[name]
        display = _choose_thumbnail_display(variable, params)
        dims = [str(dim) for dim in variable.dims]
        frames = dims[:-3] if dims[-1:] == [_COLOUR_DIMENSION] else dims[:-2]
        extraction = replace(extraction, part={**dict.fromkeys(frames, 0), **extraction.part})  # the first of several
    response = prepare_file(image_request, output_format, extraction, replace(display, size=size))
    entry = image_request.image.entry
    catalog, fingerprint = image_request.catalog, params.options.get("fingerprint")
    if entry is None or fingerprint is None or not is_unchanged(catalog, entry):
        return response
    is_named = fingerprint == compute_thumbnail_fingerprint(catalog, entry)
    return response.with_headers(_IMMUTABLE) if is_named else response


def _choose_thumbnail_display(variable: xr.Variable, params: ImageParams) -> Display:
    """Return the display that pages show, changed by the parameters of a request."""
    return params.change_display(replace(choose_thumbnail_display(variable), quality=_QUALITY))
