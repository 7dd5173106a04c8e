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
from shotdap.server.api.dependencies import ImagePath, Paged, parameters, single
from shotdap.server.api.entry_document import image_line
from shotdap.server.api.problem_details import others
from shotdap.server.api.resources.image_values import NAMES, VALUES, answer
from shotdap.server.api.responses import document, linked, page_url
from shotdap.server.api.schemas import Image, Images, Values
from shotdap.server.http.limits import Limits

__all__ = ["router"]


class _Searched(Paged):
    q: Annotated[
        str,
        Field(
            description="A query: see docs/searching.md. Without one, all images.",
            examples=["diagnostic:P510* shot:103700..103800"],
        ),
    ] = ""


def router(catalog: Catalog, limits: Limits) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["images"])

    @routes.get(
        "/images",
        response_model=Images,
        operation_id="images",
        summary="Search: a page of images",
        responses=others(404),
        dependencies=[Depends(single)],
    )
    def images(request: Request, asked: Annotated[_Searched, Query()]) -> Response:
        """A page of the images that a query finds, the newest first."""
        found = catalog.search(asked.q, after=asked.cursor, limit=asked.limit)
        following = found.after and page_url(request, "images", q=asked.q, cursor=found.after, limit=asked.limit)
        lines = [image_line(request, each) for each in found.entries]
        return document(request, Images(lines, following), linked(following))

    @routes.get(
        "/images/{path:path}",
        response_model=Image | Values,
        operation_id="image",
        summary="An image: described, drawn, or as a file",
        responses={**VALUES, **others(404, 406, 413, 416)},
        openapi_extra=parameters(*NAMES),
    )
    def image(request: Request, path: ImagePath) -> Response:
        """An image: its description, or with `format` its values as a file or a picture.

        `variable`, `transform`, `band`, `raw` and the names of dimensions say which part of it is meant, of the
        description too. Without `format`, a client that takes no JSON is given the format of the first media type of
        its `Accept` that is one (`Accept: image/png`); in all other cases what `format` says counts.
        """
        return answer(request, catalog, limits, path)

    return routes
