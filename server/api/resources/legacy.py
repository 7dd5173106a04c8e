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
from shotdap.catalog.query import Pattern, Query, Span, Term
from shotdap.server.api.dependencies import parameters, query_of
from shotdap.server.api.facility_names import of_facility
from shotdap.server.api.problem_details import others, problem_response
from shotdap.server.api.resources.image_values import NAMES, VALUES, answer
from shotdap.server.api.schemas import Values
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import Limits
from shotdap.transforms import BadSelection

__all__ = ["router"]

Kind = Literal["subtracted", "image", "original", "background", "raw"]

_ASKS: Final[Mapping[Kind, Mapping[str, str]]] = MappingProxyType(
    {
        "subtracted": {"variable": "background_subtracted"},
        "image": {"variable": "image"},
        "original": {"variable": "image"},
        "background": {"variable": "background"},
        "raw": {"raw": "true"},
    }
)
"""What each kind of image is, in the parameters of ``/images/<path>``."""

_FINDS: Final = ("facility", "shot", "diagnostic", "name")
_LISTED: Final = 20  # images in a refusal
_GREATEST: Final = 10**18 - 1
_FORMAT: Final = "png"  # the usual one
_SHOT: Final = re.compile("-?[0-9]{1,18}")

_PARAMETERS: Final = [
    {
        "name": "shot",
        "in": "query",
        "required": True,
        "description": "The shot's number.",
        "schema": {"type": "integer", "minimum": -_GREATEST, "maximum": _GREATEST},
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


def router(catalog: Catalog, limits: Limits) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["legacy"])

    @routes.get(
        "/image/get/{kind}",
        operation_id="legacy_image",
        summary="The image of a shot, as the prototype was asked for it",
        deprecated=True,
        response_model=Values,
        responses={**VALUES, **others(404, 406, 409, 413, 416)},
        openapi_extra=_documented(),
    )
    def image(request: Request, kind: Kind) -> Response:
        """The one image of a shot (and a diagnostic, and a name): an alias of `/images/{path}`, for URLs in programs.

        All parameters of `/images/{path}` but `variable` and `raw` are taken; `format` is `png` unless it is said.
        Where more than one image is found they are listed (409).
        """
        finds, others = _sorted_out(query_of(request))
        found = [each for each in _search(catalog, finds) if _is_called(each, finds.get("name"))]
        if len(found) != 1:
            return _refusal(found)
        query = urlencode([*_ASKS[kind].items(), *others], errors="replace")
        scope = {**request.scope, "query_string": query.encode(), "path_params": {"path": found[0].path}}
        return answer(Request(scope, request.receive), catalog, limits, found[0].path)

    return routes


def _documented() -> dict[str, Any]:
    own = [name for name in NAMES if name not in {"variable", "raw"}]
    extra = parameters(*own)
    return {"parameters": [*_PARAMETERS, *extra["parameters"]], "servers": [{"url": "/api"}]}


def _sorted_out(query: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What finds the image, and what is wanted of it."""
    finds: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for name, text in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in _FINDS:
            others.append((name, text))
        elif name in finds or not text:
            raise BadSelection(f"{name} is given once, and is not empty.")
        else:
            finds[name] = text
    given = {name for name, _ in others}
    if given & {"variable", "raw"}:
        raise BadSelection("Which variable is said by the path: /api/image/get/subtracted.")
    return finds, others if "format" in given else [*others, ("format", _FORMAT)]


def _search(catalog: Catalog, finds: Mapping[str, str]) -> list[Entry]:
    shot = finds.get("shot", "")
    if not _SHOT.fullmatch(shot):
        raise BadSelection("Say which shot by its number: shot=103741.")
    terms = [Term("shot", (Span(shot, shot),))]
    if "facility" in finds:
        terms.append(of_facility(catalog, finds["facility"]))
    if "diagnostic" in finds:
        terms.append(Term("diagnostic", (Pattern(finds["diagnostic"], quoted=True),)))
    return list(catalog.search(Query(tuple(terms)), limit=1000).entries)


def _is_called(entry: Entry, name: str | None) -> bool:
    return name is None or name in {entry.path.rpartition("/")[2], str(entry.facts.get("name", ""))}


def _refusal(found: list[Entry]) -> Response:
    if not found:
        raise NotFound("There is no such image; /api/v1/images?q= finds those that there are.")
    sentence = f"{len(found)} images are called so; say facility, diagnostic and name to mean one of them."
    paths = sorted(each.path for each in found)[:_LISTED]
    return problem_response(Problem(409, sentence, expected=True), images=paths)
