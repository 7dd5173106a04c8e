"""URLs of the laboratory's prototype: ``/api/image/get/subtracted?shot=…&diagnostic=…``.

PIs have such URLs in their code. An alias: it finds the one image, and responds as ``/images/<path>`` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from shotdap.catalog import Catalog, Entry, NotFound
from shotdap.catalog.query import Pattern, Query, Term, TextRange
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import ApiRequest, build_openapi_parameters
from shotdap.server.api.facility_names import create_facility_term
from shotdap.server.api.problem_details import describe_other_responses, send_problem
from shotdap.server.api.resources.image_values import PARAMETER_NAMES, VALUE_RESPONSES, respond_with_image
from shotdap.server.api.schemas import Values
from shotdap.server.http.limits import Limits
from shotdap.server.search_threads import SearchThreads
from shotdap.transforms import BadSelection

ImageKind = Literal["subtracted", "image", "original", "background", "raw"]

_KIND_PARAMETERS: Final[Mapping[ImageKind, Mapping[str, str]]] = MappingProxyType(
    {
        "subtracted": {"variable": "background_subtracted"},
        "image": {"variable": "image"},
        "original": {"variable": "image"},
        "background": {"variable": "background"},
        "raw": {"raw": "true"},
    }
)
"""The parameters of ``/images/<path>`` that select each kind of image."""

_SEARCH_PARAMETERS: Final = ("facility", "shot", "diagnostic", "name")
_MAX_LISTED: Final = 20  # images in a problem document
_MAX_SHOT: Final = 10**18 - 1
_DEFAULT_FORMAT: Final = "png"
_SHOT_PATTERN: Final = re.compile("-?[0-9]{1,18}")

_PARAMETERS: Final = [
    {
        "name": "shot",
        "in": "query",
        "required": True,
        "description": "The shot's number.",
        "schema": {"type": "integer", "minimum": -_MAX_SHOT, "maximum": _MAX_SHOT},
        "example": 103741,
    },
    *(
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": sentence,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "example": example,
        }
        for name, sentence, example in (
            ("facility", "As in public paths, or as the archive's rows call it.", "omega"),
            ("diagnostic", "As the archive's rows call it.", "P510_2"),
            ("name", "The last segment of the image's public path, or its file's name.", "p510_2_s103741"),
        )
    ),
]


def create_legacy_router(catalogs: RequestCatalogs, limits: Limits, search_threads: SearchThreads) -> APIRouter:
    """Create the route."""
    routes = APIRouter(tags=["legacy"])
    own = [name for name in PARAMETER_NAMES if name not in {"variable", "raw"}]
    parameters = [*_PARAMETERS, *build_openapi_parameters(*own)["parameters"]]

    @routes.get(
        "/image/get/{kind}",
        operation_id="legacy_image",
        summary="The image of a shot, as the prototype was asked for it",
        deprecated=True,
        response_model=Values,
        responses={**VALUE_RESPONSES, **describe_other_responses(404, 406, 409, 413, 416)},
        openapi_extra={"parameters": parameters, "servers": [{"url": "/api"}]},
    )
    async def get_legacy_image(client: Request, request: ApiRequest, kind: ImageKind) -> Response:
        """Return the one image of a shot (and a diagnostic, and a name): an alias of `/images/{path}`, for programs.

        It has all parameters of `/images/{path}` except `variable` and `raw`; the default of `format` is `png`.
        More than one match is an error (409), which lists them.
        """
        catalog = catalogs.open(request)
        criteria, others = _split_query(request.query)
        entries = await search_threads.run(client.receive, partial(_search_entries, catalog, criteria))
        if not entries:
            raise NotFound("There is no such image; /api/v1/images?q= finds those that there are.")
        if len(entries) > 1:
            message = f"{len(entries)} images are called so; say facility, diagnostic and name to mean one of them."
            return send_problem(409, message, images=sorted(entry.path for entry in entries)[:_MAX_LISTED])
        query = urlencode([*_KIND_PARAMETERS[kind].items(), *others], errors="replace")
        image_request = replace(request, path=entries[0].path, query=query)
        return await run_in_threadpool(respond_with_image, image_request, catalog, limits)

    return routes


def _split_query(query: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Split a query string into the criteria of the image and the parameters of its values."""
    criteria: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for name, text in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in _SEARCH_PARAMETERS:
            others.append((name, text))
        elif name in criteria or not text:
            raise BadSelection(f"{name} is given once, and is not empty.")
        else:
            criteria[name] = text
    names = {name for name, _ in others}
    if names & {"variable", "raw"}:
        raise BadSelection("Which variable is said by the path: /api/image/get/subtracted.")
    return criteria, others if "format" in names else [*others, ("format", _DEFAULT_FORMAT)]


def _search_entries(catalog: Catalog, criteria: Mapping[str, str]) -> list[Entry]:
    shot = criteria.get("shot", "")
    if not _SHOT_PATTERN.fullmatch(shot):
        raise BadSelection("Say which shot by its number: shot=103741.")
    terms = [Term("shot", (TextRange(shot, shot),))]
    if "facility" in criteria:
        terms.append(create_facility_term(catalog, criteria["facility"]))
    if "diagnostic" in criteria:
        terms.append(Term("diagnostic", (Pattern(criteria["diagnostic"], is_quoted=True),)))
    entries = catalog.search(Query(tuple(terms)), limit=1000).entries
    name = criteria.get("name")
    return [
        entry
        for entry in entries
        if name is None or name in {entry.path.rpartition("/")[2], str(entry.facts.get("name", ""))}
    ]
