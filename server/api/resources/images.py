"""Images: pages of what a query finds, what an image is, and its values in any format.

``/images/<path>`` is an image. What one wants of it, and as what, is said by query parameters: so the URL of a picture
is the image's own with more behind it, and a description comes where no format is asked for. What is derived of an
image has a resource of its own beside it (``/statistics/<path>``), not below it: a public path may have any segments,
and ``/images/<path>/statistics`` could be an image's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shotdap.catalog import Catalog
from shotdap.server.api.dependencies import ImagePath, PageParams, build_openapi_parameters, reject_repeated_params
from shotdap.server.api.entry_document import build_image_summary
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.resources.image_values import PARAMETER_NAMES, VALUE_RESPONSES, respond_with_image
from shotdap.server.api.responses import build_link_header, build_resource_url, respond_with_document
from shotdap.server.api.schemas import Image, Images, Values
from shotdap.server.http.limits import Limits

__all__ = ["create_images_router"]


class _SearchParams(PageParams):
    q: Annotated[
        str,
        Field(
            description="A query: see docs/searching.md. Without one, all images.",
            examples=["diagnostic:P510* shot:103700..103800"],
        ),
    ] = ""


def create_images_router(catalog: Catalog, limits: Limits) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["images"])

    @routes.get(
        "/images",
        response_model=Images,
        operation_id="images",
        summary="Search: a page of images",
        responses=describe_other_responses(404),
        dependencies=[Depends(reject_repeated_params)],
    )
    def search_images(request: Request, asked: Annotated[_SearchParams, Query()]) -> Response:
        """A page of the images that a query finds, the newest first."""
        found = catalog.search(asked.q, after=asked.cursor, limit=asked.limit)
        following = found.after and build_resource_url(
            request, "images", q=asked.q, cursor=found.after, limit=asked.limit
        )
        lines = [build_image_summary(request, each) for each in found.entries]
        return respond_with_document(request, Images(lines, following), build_link_header(following))

    @routes.get(
        "/images/{path:path}",
        response_model=Image | Values,
        operation_id="image",
        summary="An image: described, drawn, or as a file",
        responses={**VALUE_RESPONSES, **describe_other_responses(404, 406, 413, 416)},
        openapi_extra=build_openapi_parameters(*PARAMETER_NAMES),
    )
    def get_image(request: Request, path: ImagePath) -> Response:
        """An image: its description, or with `format` its values as a file or a picture.

        `variable`, `transform`, `band`, `raw` and the names of dimensions say which part of it is meant, of the
        description too. Without `format`, a client that takes no JSON is given the format of the first media type of
        its `Accept` that is one (`Accept: image/png`); in all other cases what `format` says counts.
        """
        return respond_with_image(request, catalog, limits, path)

    return routes
