"""Images: pages of search results, descriptions of images, and their values in any format.

``/images/<path>`` is an image. Query parameters select values of it, and their format: so the URL of a picture is that
of the image with parameters, and without a format the response is a description. What is derived of an image is a
separate resource beside it (``/statistics/<path>``), not below it: a public path may have any segments, and
``/images/<path>/statistics`` could be an image.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import (
    ApiRequest,
    ImagePath,
    PageParams,
    build_openapi_parameters,
    reject_repeated_params,
)
from shotdap.server.api.entry_document import build_image_summary
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.resources.image_values import PARAMETER_NAMES, VALUE_RESPONSES, respond_with_image
from shotdap.server.api.responses import build_link_header, build_resource_url, respond_with_document
from shotdap.server.api.schemas import Image, Images, Values
from shotdap.server.http.limits import Limits
from shotdap.server.search_threads import SearchThreads


class _SearchParams(PageParams):
    q: Annotated[
        str,
        Field(
            description="A query: see docs/searching.md. Without one, all images.",
            examples=["diagnostic:P510* shot:103700..103800"],
        ),
    ] = ""


def create_images_router(catalogs: RequestCatalogs, limits: Limits, search_threads: SearchThreads) -> APIRouter:
    """Create the routes."""
    routes = APIRouter(tags=["images"])

    @routes.get(
        "/images",
        response_model=Images,
        operation_id="images",
        summary="Search: a page of images",
        responses=describe_other_responses(404),
        dependencies=[Depends(reject_repeated_params)],
    )
    async def search_images(
        client: Request, request: ApiRequest, params: Annotated[_SearchParams, Query()]
    ) -> Response:
        """List a page of the images that a query finds, the newest first."""

        def respond() -> Response:
            page = catalogs.open(request).search(params.q, after=params.cursor, limit=params.limit)
            next_url = page.after and build_resource_url(
                request, "images", q=params.q, cursor=page.after, limit=params.limit
            )
            summaries = [build_image_summary(request, entry) for entry in page.entries]
            return respond_with_document(request, Images(summaries, next_url), build_link_header(next_url))

        return await search_threads.run(client.receive, respond, params.q)

    @routes.get(
        "/images/{path:path}",
        response_model=Image | Values,
        operation_id="image",
        summary="An image: described, drawn, or as a file",
        responses={**VALUE_RESPONSES, **describe_other_responses(404, 406, 413, 416)},
        openapi_extra=build_openapi_parameters(*PARAMETER_NAMES),
    )
    def get_image(request: ApiRequest, path: ImagePath) -> Response:  # noqa: ARG001 — for the OpenAPI document
        """Return the description of an image, or with `format` its values as a file or a picture.

        `variable`, `transform`, `band`, `raw` and the names of dimensions select a part of it, of the description too.
        Without `format`, a client that accepts JSON gets the description; any other client gets the first format that
        its `Accept` names (`Accept: image/png`).
        """
        return respond_with_image(request, catalogs.open(request), limits)

    return routes
