"""Dependencies of the API's routes: the request, and the parameters of lists and images."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import parse_qsl

from fastapi import Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from shotdap.server.http.request import HttpRequest
from shotdap.server.protocols.rest import describe_parameters
from shotdap.transforms import BadSelection

_EXAMPLE_PATH: Final = "omega/103741/p510_2/p510_2_s103741"


async def _convert_request(request: Request) -> HttpRequest:  # async, as FastAPI runs others in a thread
    return HttpRequest.from_starlette(request)


ApiRequest: TypeAlias = Annotated[HttpRequest, Depends(_convert_request)]
"""In a route: the request."""

ImagePath: TypeAlias = Annotated[
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
    """Parameters that select a page of a list."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str | None, Field(description="What `next` of the page before has.", max_length=500)] = None
    limit: Annotated[int, Field(description="How many at most.", ge=1, le=1000)] = 100


async def reject_repeated_params(request: ApiRequest) -> None:
    """Refuse a query string that repeats a parameter.

    Raises:
        BadSelection: it does.
    """
    counts = Counter(name for name, _ in parse_qsl(request.query, keep_blank_values=True, errors="replace"))
    for name, number in counts.items():
        if number > 1:
            raise BadSelection(f"{name!r} is given {number} times; give it once.")


def build_openapi_parameters(*names: str, dimensions: bool = True) -> dict[str, Any]:
    """Describe parameters that `protocols.rest` parses, for an operation of the OpenAPI document."""
    return {"parameters": describe_parameters(names, dimensions=dimensions)}
