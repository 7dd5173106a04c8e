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
from shotdap.server.api.dependencies import ImagePath, about, parameters, query_of
from shotdap.server.api.image_document import attributes as said
from shotdap.server.api.image_document import dimensions
from shotdap.server.api.problem_details import others
from shotdap.server.api.resources.image_values import checked_image, encoded, narrowed
from shotdap.server.api.responses import compact, json_reply
from shotdap.server.api.schemas import Attributes, Histogram, Percentile, Statistics
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.extraction import Wanted
from shotdap.server.http.limits import Limits, refuse_attributes, refuse_computation
from shotdap.server.http.response import Reply, respond
from shotdap.server.pictures.levels import shown
from shotdap.server.protocols.prov import MEDIA_TYPE as PROV
from shotdap.server.protocols.rest import LOOKS, PARTS, Sought, parse
from shotdap.server.routes import provenance
from shotdap.server.routes.image_request import Question
from shotdap.transforms import BadSelection
from shotdap.transforms.statistics.summary import WORKING_BYTES, Summary, summary

__all__ = ["router"]

_REMEMBERED: Final = 1024  # summaries; some 5 kB each
_BAND: Final = "band"  # the dimension of colours, as readers call it
_DEFAULT_BINS: Final = 64
_THUMBNAIL: Final = 256  # pixels of the longer side
_LARGEST_THUMBNAIL: Final = 1024

_OF_ATTRIBUTES: Final = ("variable", "transform", "raw")
_OF_STATISTICS: Final = (*PARTS, "bins")
_OF_THUMBNAILS: Final = (*PARTS, *(name for name in LOOKS if name not in {"bits", "quality"}))
_PICTURE: Final = {
    "description": "A PNG.",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
}
_PROVENANCE: Final = {"description": "PROV-JSON.", "content": {PROV: {"schema": {"type": "object"}}}}


def router(catalog: Catalog, limits: Limits) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["images"])
    remembered: cachebox.LRUCache[str, Summary] = cachebox.LRUCache(_REMEMBERED)

    @routes.get(
        "/attributes/{path:path}",
        response_model=Attributes,
        operation_id="attributes",
        summary="The attributes of an image",
        responses=others(404),
        openapi_extra=parameters(*_OF_ATTRIBUTES, dimensions=False),
    )
    def attributes(request: Request, path: ImagePath) -> Response:
        """The attributes of an image and of its variables, as strict JSON."""
        sought = _parsed(request, _OF_ATTRIBUTES)
        question = about(request, catalog, limits, sought.wanted.path(path), "rest attributes")
        return _validated(request, question, lambda _: _attributes(question, sought))

    @routes.get(
        "/statistics/{path:path}",
        response_model=Statistics,
        operation_id="statistics",
        summary="Statistics of a variable",
        responses=others(404, 413),
        openapi_extra=parameters(*_OF_STATISTICS),
    )
    def statistics(request: Request, path: ImagePath) -> Response:
        """Extremes, moments, percentiles, counts and the histogram of a variable, or of a part of it.

        Without `variable`, of the one that is shown of the image. They are computed once, and remembered.
        """
        sought = parse(query_of(request), _OF_STATISTICS)
        question = about(request, catalog, limits, sought.wanted.path(path), "rest statistics")
        return _validated(request, question, lambda tag: _statistics(question, sought, remembered, tag))

    @routes.get(
        "/thumbnails/{path:path}",
        response_class=Response,
        operation_id="thumbnail",
        summary="A small picture of an image",
        responses={200: _PICTURE, **others(404, 413)},
        openapi_extra=parameters(*_OF_THUMBNAILS),
    )
    def thumbnail(request: Request, path: ImagePath) -> Response:
        """A small picture, 256 pixels on its longer side unless `size` says otherwise (up to 1,024)."""
        sought = parse(query_of(request), _OF_THUMBNAILS)
        question = about(request, catalog, limits, sought.wanted.path(path), "rest thumbnail")
        return _validated(request, question, lambda _: _thumbnail(question, sought))

    @routes.get(
        "/provenance/{path:path}",
        response_class=Response,
        operation_id="provenance",
        summary="How variables came to be",
        responses={200: _PROVENANCE, **others(404, 413)},
        openapi_extra=parameters(*_OF_ATTRIBUTES, dimensions=False),
    )
    def origin(request: Request, path: ImagePath) -> Response:
        """How the virtual variables of an image, or one variable, came to be: files, hashes, transforms (W3C PROV)."""
        sought = _parsed(request, _OF_ATTRIBUTES)
        question = about(request, catalog, limits, sought.wanted.path(path), "rest provenance")
        return _validated(request, question, lambda _: _provenance(question, sought))

    return routes


def _parsed(request: Request, names: tuple[str, ...]) -> Sought:
    """What a query string asks for where no part of an image can be meant.

    Raises:
        BadSelection: it names what is no parameter here.
    """
    sought = parse(query_of(request), names)
    if sought.wanted.part:
        raise BadSelection(f"{next(iter(sought.wanted.part))!r} is no parameter here; these are: {', '.join(names)}.")
    return sought


def _validated(request: Request, question: Question, made: Callable[[str], Reply]) -> Response:
    """The answer to a question about an image; or the news that the client has it, before anything is read."""
    current = checked_image(question)
    if current.knows(request.headers):
        return respond(current.not_modified())
    return compact(request, current.on(made(current.tag)))


def _attributes(question: Question, sought: Sought) -> Reply:
    dataset = narrowed(question, sought.wanted)
    refuse_attributes(dataset, question.limits)
    return json_reply(said(question.address.path, dataset))


def _statistics(question: Question, sought: Sought, remembered: cachebox.LRUCache[str, Summary], tag: str) -> Reply:
    wanted = sought.wanted
    if len(wanted.variables) > 1:
        raise BadSelection("Statistics are of one variable; name one.")
    if not wanted.variables:
        wanted = replace(wanted, variables=(shown(question.open()),))
    dataset = narrowed(question, wanted)
    (name,) = wanted.taken(dataset)
    if name not in dataset.variables:
        raise BadSelection(f"{name} is a group; statistics are of one variable.")
    variable = dataset.variables[name]
    found = remembered.get(tag)
    if found is None:
        computed = xr.Dataset({"values": variable.to_base_variable()})
        refuse_computation(computed, question.limits, WORKING_BYTES * variable.size)
        if question.only_headers:
            return Reply("application/json", None, ())
        found = summary(variable, sought.values.get("bins", _DEFAULT_BINS))
        remembered[tag] = found
    return json_reply(_document(question, variable, name, found))


def _document(question: Question, variable: xr.Variable, name: str, found: Summary) -> Statistics:
    units = variable.attrs.get("units")
    return Statistics(
        path=question.address.path,
        variable=name,
        dimensions=dimensions(variable.sizes),
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


def _thumbnail(question: Question, sought: Sought) -> Reply:
    size = sought.display.size or _THUMBNAIL
    if size > _LARGEST_THUMBNAIL:
        raise BadSelection(f"size={size}: a thumbnail has {_LARGEST_THUMBNAIL} pixels at most; /images has pictures.")
    wanted = _first_frame(question, sought.wanted)
    return encoded(question, FORMATS["png"], wanted, replace(sought.display, size=size))


def _first_frame(question: Question, wanted: Wanted) -> Wanted:
    """What is wanted, of the first frame where there are several and nobody says which."""
    one = wanted if wanted.variables else replace(wanted, variables=(shown(question.open()),))
    dataset = narrowed(question, one)
    (name, *others) = one.taken(dataset)
    if others or name not in dataset.variables:
        return one  # which no picture can show, and its encoder says so
    dims = [str(dim) for dim in dataset.variables[name].dims]
    frames = dims[:-3] if dims[-1:] == [_BAND] else dims[:-2]
    return replace(one, part={**dict.fromkeys(frames, 0), **one.part})


def _provenance(question: Question, sought: Sought) -> Reply:
    wanted = sought.wanted
    if len(wanted.variables) > 1:
        raise BadSelection("Provenance is told of all virtual variables, or of one; name one.")
    named = wanted.taken(question.open()) if wanted.variables else ()
    query = "".join(map(quote, named))
    return provenance.ANSWERS[".prov"](question.asking(query=query))
