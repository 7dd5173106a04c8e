"""Documents as answers: strict JSON, compressed where the client takes it so, and not sent again to who has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import Request
from pydantic_core import PydanticSerializationError, to_json
from starlette.responses import Response

from shotdap.server.api.schemas import Document
from shotdap.server.encoders.json_values import convert_to_json, dump_json
from shotdap.server.http.conditional import has_matching_tag
from shotdap.server.http.response import PreparedResponse, compress_response, make_response

__all__ = [
    "build_link_header",
    "build_resource_url",
    "format_disposition",
    "get_api_url",
    "get_base_url",
    "prepare_document",
    "quote_path",
    "respond_compressed",
    "respond_with_document",
]

_TAG_BYTES: Final = 16
_JSON_MEDIA_TYPE: Final = "application/json"
_SAFE_CHARACTERS: Final = "/~!$&'()*+,;=:@"  # what a path may hold as it is (RFC 3986, 3.3)


def get_base_url(request: Request) -> str:
    """The server's URL as the client sees it, what it is mounted below included, without a slash at the end."""
    return str(request.base_url).rstrip("/")


def get_api_url(request: Request) -> str:
    """The API's."""
    return f"{get_base_url(request)}/api/v1"


def quote_path(path: str) -> str:
    """A public path as it stands in a URL."""
    return quote(path, safe=_SAFE_CHARACTERS, errors="replace")


def format_disposition(kind: str, name: str) -> str:
    """What browsers do with a file, and what they call it (RFC 6266); in two spellings, where one cannot hold it."""
    plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\%' else "_" for each in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return f'{kind}; filename="{plain}"{extended}'


def build_resource_url(request: Request, resource: str, **asked: str | int | None) -> str:
    """The URL of a resource below the API's, with what is asked of it."""
    said = {name: value for name, value in asked.items() if value is not None}
    query = f"?{urlencode(said, errors='replace')}" if said else ""
    return f"{get_api_url(request)}/{resource}{query}"


def build_link_header(following: str | None) -> dict[str, str]:
    """The header that leads to the page that follows (RFC 8288)."""
    return {"Link": f'<{following}>; rel="next"'} if following else {}


def prepare_document(content: Document, headers: Mapping[str, str] | None = None) -> PreparedResponse:
    """A document as strict JSON."""
    try:
        body = to_json(content, inf_nan_mode="strings")
    except PydanticSerializationError:  # an archive's name that is no Unicode
        body = dump_json(convert_to_json(asdict(content)))
    return PreparedResponse.from_body(body, _JSON_MEDIA_TYPE, headers or {})


def respond_with_document(request: Request, content: Document, headers: Mapping[str, str] | None = None) -> Response:
    """A document that is made anew for each request; who has it already is told so."""
    reply = prepare_document(content, headers)
    tag = blake2b(b"".join(reply.blocks), digest_size=_TAG_BYTES).hexdigest()
    kept = {"ETag": f'"{tag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if has_matching_tag(request.headers.get("if-none-match"), tag):
        return make_response(PreparedResponse("", None, (), kept, 304))
    return respond_compressed(request, replace(reply, headers={**reply.headers, **kept}))


def respond_compressed(request: Request, reply: PreparedResponse) -> Response:
    """A reply as the client takes it."""
    return make_response(compress_response(reply, request.headers.get("accept-encoding", "")))
