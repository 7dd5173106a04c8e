"""The way in which the laboratory's prototype was asked: ``/api/image/get/subtracted?shot=…&diagnostic=…``.

PIs have such URLs in their code. An alias: it finds the one image, and answers as ``/images/<path>`` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from shotdap.catalog import Catalog, Entry, NotFound
from shotdap.catalog.query import Pattern, Query, Term, TextRange
from shotdap.server.api.dependencies import build_openapi_parameters, get_query_string
from shotdap.server.api.facility_names import create_facility_term
from shotdap.server.api.problem_details import describe_other_responses, respond_with_problem
from shotdap.server.api.resources.image_values import PARAMETER_NAMES, VALUE_RESPONSES, respond_with_image
from shotdap.server.api.schemas import Values
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import Limits
from shotdap.transforms import BadSelection

__all__ = ["create_legacy_router"]

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
"""What each kind of image is, in the parameters of ``/images/<path>``."""

_SEARCH_PARAMETERS: Final = ("facility", "shot", "diagnostic", "name")
_MAX_LISTED: Final = 20  # images in a refusal
_MAX_SHOT: Final = 10**18 - 1
_DEFAULT_FORMAT: Final = "png"  # the usual one
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


def create_legacy_router(catalog: Catalog, limits: Limits) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["legacy"])

    @routes.get(
        "/image/get/{kind}",
        operation_id="legacy_image",
        summary="The image of a shot, as the prototype was asked for it",
        deprecated=True,
        response_model=Values,
        responses={**VALUE_RESPONSES, **describe_other_responses(404, 406, 409, 413, 416)},
        openapi_extra=_build_openapi_extra(),
    )
    def get_legacy_image(request: Request, kind: ImageKind) -> Response:
        """The one image of a shot (and a diagnostic, and a name): an alias of `/images/{path}`, for URLs in programs.

        All parameters of `/images/{path}` but `variable` and `raw` are taken; `format` is `png` unless it is said.
        Where more than one image is found they are listed (409).
        """
        finds, others = _split_query(get_query_string(request))
        found = [each for each in _search_entries(catalog, finds) if _has_name(each, finds.get("name"))]
        if len(found) != 1:
            return _respond_ambiguous(found)
        query = urlencode([*_KIND_PARAMETERS[kind].items(), *others], errors="replace")
        scope = {**request.scope, "query_string": query.encode(), "path_params": {"path": found[0].path}}
        return respond_with_image(Request(scope, request.receive), catalog, limits, found[0].path)

    return routes


def _build_openapi_extra() -> dict[str, Any]:
    own = [name for name in PARAMETER_NAMES if name not in {"variable", "raw"}]
    extra = build_openapi_parameters(*own)
    return {"parameters": [*_PARAMETERS, *extra["parameters"]], "servers": [{"url": "/api"}]}


def _split_query(query: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What finds the image, and what is wanted of it."""
    finds: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for name, text in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in _SEARCH_PARAMETERS:
            others.append((name, text))
        elif name in finds or not text:
            raise BadSelection(f"{name} is given once, and is not empty.")
        else:
            finds[name] = text
    given = {name for name, _ in others}
    if given & {"variable", "raw"}:
        raise BadSelection("Which variable is said by the path: /api/image/get/subtracted.")
    return finds, others if "format" in given else [*others, ("format", _DEFAULT_FORMAT)]


def _search_entries(catalog: Catalog, finds: Mapping[str, str]) -> list[Entry]:
    shot = finds.get("shot", "")
    if not _SHOT_PATTERN.fullmatch(shot):
        raise BadSelection("Say which shot by its number: shot=103741.")
    terms = [Term("shot", (TextRange(shot, shot),))]
    if "facility" in finds:
        terms.append(create_facility_term(catalog, finds["facility"]))
    if "diagnostic" in finds:
        terms.append(Term("diagnostic", (Pattern(finds["diagnostic"], is_quoted=True),)))
    return list(catalog.search(Query(tuple(terms)), limit=1000).entries)


def _has_name(entry: Entry, name: str | None) -> bool:
    return name is None or name in {entry.path.rpartition("/")[2], str(entry.facts.get("name", ""))}


def _respond_ambiguous(found: list[Entry]) -> Response:
    if not found:
        raise NotFound("There is no such image; /api/v1/images?q= finds those that there are.")
    sentence = f"{len(found)} images are called so; say facility, diagnostic and name to mean one of them."
    paths = sorted(each.path for each in found)[:_MAX_LISTED]
    return respond_with_problem(Problem(409, sentence, expected=True), images=paths)
