"""What the parameters of lists are, and what is common to requests about one image."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field

from shotdap.catalog import Catalog
from shotdap.server.api.middleware import is_head_request
from shotdap.server.api.responses import get_base_url
from shotdap.server.http.limits import Limits
from shotdap.server.protocols.rest import describe_parameters
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import BadSelection

__all__ = [
    "ImagePath",
    "NoParams",
    "PageParams",
    "build_openapi_parameters",
    "create_image_request",
    "get_query_string",
    "reject_repeated_params",
]

_EXAMPLE_PATH: Final = "omega/103741/p510_2/p510_2_s103741"

ImagePath = Annotated[
    str,
    Path(
        description="The public path of an image, its slashes as they are; with `/raw` behind it the file as it is.",
        openapi_examples={"a streak camera": {"value": _EXAMPLE_PATH}},
    ),
]
"""In a route: ``{path:path}``."""


class NoParams(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


class PageParams(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str | None, Field(description="What `next` of the page before has.", max_length=500)] = None
    limit: Annotated[int, Field(description="How many at most.", ge=1, le=1000)] = 100


def reject_repeated_params(request: Request) -> None:
    """Insist that each parameter is there once.

    Raises:
        BadSelection: one is there again.
    """
    counts = Counter(name for name, _ in parse_qsl(get_query_string(request), keep_blank_values=True, errors="replace"))
    for name, number in counts.items():
        if number > 1:
            raise BadSelection(f"{name!r} is given {number} times; give it once.")


def get_query_string(request: Request) -> str:
    """The query string as it came, nothing decoded."""
    text: str = request.scope["query_string"].decode("latin-1")
    return text


def create_image_request(request: Request, catalog: Catalog, limits: Limits, path: str, kind: str) -> ImageRequest:
    """A question about an image.

    Args:
        request: the request.
        catalog: where images are.
        limits: the server's.
        path: the public path of what is to be opened.
        kind: what is asked about it; answers of different kinds are different things.
    """
    return ImageRequest(
        catalog,
        limits,
        path,
        kind,
        get_query_string(request),
        get_base_url(request),
        request.scope.get("app_root_path", ""),
        only_headers=is_head_request(request),
    )


def build_openapi_parameters(*names: str, dimensions: bool = True) -> dict[str, Any]:
    """Parameters that `protocols.rest` reads, for an operation of the OpenAPI document."""
    return {"parameters": describe_parameters(names, dimensions=dimensions)}
