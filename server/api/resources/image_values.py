"""What an image is, and its values as a file or a picture: the answers of ``/images/<path>``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import xarray as xr
from fastapi import HTTPException, Request
from starlette.responses import Response

from shotdap.catalog import Catalog, Collection, NotFound
from shotdap.server.api.dependencies import about, query_of
from shotdap.server.api.image_document import described
from shotdap.server.api.ranges import ranged
from shotdap.server.api.responses import compact, disposition, json_reply
from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.extraction import Wanted
from shotdap.server.http.conditional import Validator, validator
from shotdap.server.http.limits import Limits, refuse_attributes, refuse_size
from shotdap.server.http.response import Reply, respond
from shotdap.server.pictures.levels import Display, shown
from shotdap.server.protocols.rest import LOOKS, PARTS, Sought, accepted, parse
from shotdap.server.routes.image_request import Question
from shotdap.transforms import BadSelection

__all__ = ["NAMES", "VALUES", "answer", "checked_image", "encoded", "narrowed"]

NAMES: Final = (*PARTS, *LOOKS, "format", "download")
"""The parameters of an image's values."""

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_TAG: Final = {"description": "What `If-None-Match` takes.", "schema": {"type": "string"}}
_JSON: Final = "application/json"
_MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        each.name: each.media_type.partition(";")[0]
        for each in sorted(FORMATS.values(), key=lambda each: each.holds != "picture")
    }
)
"""Of the formats, pictures first: they are what `image/*` means."""

_FILES: Final = {media_type: _BINARY for media_type in _MEDIA_TYPES.values() if media_type != _JSON}

VALUES: Final[Mapping[int | str, dict[str, Any]]] = MappingProxyType(
    {
        200: {
            "description": "The description; or, with `format`, the values.",
            "content": _FILES,
            "headers": {"ETag": _TAG},
        },
        206: {
            "description": "The bytes of the values that `Range` asks for.",
            "content": {**_FILES, _JSON: _BINARY},
        },
    }
)
"""What an operation that gives values may answer."""


def answer(request: Request, catalog: Catalog, limits: Limits, path: str) -> Response:
    """The description of an image, or its values."""
    sought = parse(query_of(request), NAMES)
    form = _format(sought, request.headers.get("accept", ""))
    _check(sought, form)
    kind = f"rest image {form.name if form else ''}"
    question = about(request, catalog, limits, sought.wanted.path(path), kind)
    current = checked_image(question)
    if current.knows(request.headers):
        return respond(_varying(current.not_modified()))
    if form is None:
        return compact(request, current.on(_varying(_description(question, sought.wanted, request))))
    reply = encoded(question, form, sought.wanted, sought.display, download=sought.values.get("download", False))
    whole = ranged(_varying(current.on(reply)), request.headers)
    return respond(whole) if whole.status != 200 else compact(request, whole)  # noqa: PLR2004 — OK


def checked_image(question: Question) -> Validator:
    """The validator of what is asked about an image.

    Raises:
        NotFound: there is none; or a folder, which is none.
    """
    address = question.address
    if isinstance(address, Collection) and not address.steps:
        raise NotFound(
            f"{address.path!r} is a folder, not an image. /images?q= finds images, and /shots/FACILITY/SHOT has those"
            " of a shot."
        )
    return validator(question)


def _format(sought: Sought, accept: str) -> Format | None:
    """The format that is asked for; `None` for the description.

    Raises:
        BadSelection: there is no such format.
        HTTPException: there is none that the client takes.
    """
    try:
        name = sought.values.get("format") or accepted(accept, _MEDIA_TYPES)
    except LookupError as error:
        sentence = f"There is nothing here of the types that Accept names. The formats are: {', '.join(FORMATS)}."
        raise HTTPException(406, sentence) from error
    if name is None:
        return None
    if name not in FORMATS:
        raise BadSelection(f"There is no format {name!r}. The formats are: {', '.join(FORMATS)}.")
    return FORMATS[name]


def _check(sought: Sought, form: Format | None) -> None:
    """Refuse what would be left out of account in silence."""
    pictures = ", ".join(each.name for each in FORMATS.values() if each.holds == "picture")
    if sought.looks and (form is None or form.holds != "picture"):
        what = f"format={form.name} is none" if form else "without a format there is none"
        raise BadSelection(f"{', '.join(sought.looks)} is for pictures ({pictures}), and {what}.")
    if form is None and sought.values.get("download"):
        raise BadSelection(f"download is for files; say a format: {', '.join(FORMATS)}.")


def _varying(reply: Reply) -> Reply:
    """A reply whose address has other ones for those who accept other types."""
    return replace(reply, headers={**reply.headers, "Vary": "Accept, Accept-Encoding"})


def _description(question: Question, wanted: Wanted, request: Request) -> Reply:
    dataset = narrowed(question, wanted)
    refuse_attributes(dataset, question.limits)
    return json_reply(described(question, dataset, request.path_params["path"]))


def narrowed(question: Question, wanted: Wanted) -> xr.Dataset:
    """What is wanted of an image, lazily.

    Raises:
        BadSelection: it does not fit; what is called like nothing that there is, is neither parameter nor dimension.
    """
    dataset = question.open()
    unknown = [name for name in wanted.part if name not in dataset.dims]
    if unknown:
        dimensions = ", ".join(map(str, dataset.dims)) or "none"
        raise BadSelection(
            f"There is no parameter and no dimension {unknown[0]!r} here. The dimensions are: {dimensions}."
            f" The parameters are: {', '.join(NAMES)}."
        )
    return wanted.narrow(dataset)


def encoded(question: Question, form: Format, wanted: Wanted, display: Display, *, download: bool = False) -> Reply:
    """The values of an image in a format.

    Raises:
        BadSelection: what is wanted does not fit the image, or the format cannot hold it.
        TooLarge: it is more than one answer may hold.
        Unreadable: the file cannot be read.
    """
    part = narrowed(question, _of_one(form, wanted, question))
    refuse_size(part, question.limits, form.expands)
    headers = {
        "Content-Disposition": _disposition(question, form, wanted, download=download),
        "X-Content-Type-Options": "nosniff",
    }
    if question.only_headers:
        return Reply(form.media_type, None, (), headers)
    file = form.encode(part.compute(), display)
    return Reply(form.media_type, file.size, file.blocks, headers)


def _of_one(form: Format, wanted: Wanted, question: Question) -> Wanted:
    """What is wanted, as one variable where the format holds one and nobody says which."""
    if form.holds in {"image", "picture"} and not wanted.variables:
        return replace(wanted, variables=(shown(question.open()),))
    return wanted


def _disposition(question: Question, form: Format, wanted: Wanted, *, download: bool) -> str:
    """What browsers do with a file, and what they call it (RFC 6266)."""
    is_seen = form.holds == "picture" or form.media_type.startswith("text/") or form.media_type.endswith("json")
    kind = "inline" if is_seen and not download else "attachment"
    of_one = [name.rpartition("/")[2] for name in wanted.variables] if len(wanted.variables) == 1 else []
    name = "_".join((question.name, *of_one)) + form.ending
    return disposition(kind, name)
